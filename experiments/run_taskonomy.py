"""Ranks the networks of a bank as sources for each other's tasks.

  python -m experiments.run_taskonomy
  python -m experiments.run_taskonomy --probe=coco --probe_dir=DIR
  python -m experiments.run_taskonomy --bank=FOLDER --probe=IMAGE_FOLDER

Explains probe images through every network, places the networks in a model
space, and writes affinities, rankings, precision and recall against the
bank's oracle, task similarity trees, figures and TensorBoard summaries.
"""

import toolkit_basics.cli as cli
from experiments import (
  bad_models,
  evaluation,
  half_precision,
  pipeline,
  results,
  shared_flags,
  similarities,
)
from taskonomy_models import tasks

FLAGS = cli.Flags()
_BANK = shared_flags.bank(FLAGS)
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 1000)
_IMAGE_SIZE = shared_flags.image_size(FLAGS)
_METHODS = shared_flags.methods(FLAGS)
_SIMILARITIES = FLAGS.some_of(
  'similarities',
  'Other measures to show beside the methods: similarities of the '
  'representations, and of the spans of attributions.',
  similarities.names(),
  similarities.DEFAULT,
  may_be_empty=True,
)
_PROTOCOL = FLAGS.enum(
  'protocol',
  'How maps are compared: paper does as the paper says, released_code as the '
  'code that its authors released.',
  pipeline.PROTOCOLS,
  'paper',
)
_DIRECTIONS = shared_flags.Directions(FLAGS)
_EPSILON = shared_flags.epsilon(FLAGS)
_BATCH_SIZE = shared_flags.batch_size(FLAGS)
_DEVICE = shared_flags.device(
  FLAGS, ' Several, as gpu:0,gpu:1, each take one network at a time.'
)
_PRECISION = shared_flags.precision(FLAGS)
_EXECUTOR = shared_flags.Executor(FLAGS)
_ON_BAD_MODEL = shared_flags.on_bad_model(FLAGS)
_ON_BAD_MAP = shared_flags.on_bad_map(FLAGS)
_SPACE_DTYPE = FLAGS.enum(
  'space_dtype',
  'Type of the numbers in the model space: float32 is more exact, and takes '
  'twice the room on the disk.',
  ['float16', 'float32'],
  'float16',
)
_POINT = FLAGS.string(
  'point',
  'What the model space keeps of each map: full is all of it, sketch:256 a '
  'sketch of 256 numbers, which tells affinities over 1000 images within 0.002 '
  'and shows no maps. Maps of random directions are sketched too if '
  'attribution_kernel alone needs them.',
  'full',
)
FLAGS.enum(  # It is read off the run's record, in `visuals`.
  'task_names',
  "What figures call the paper's tasks: plain says Surface normals, paper says "
  'Rgb2sfnorm.',
  tasks.NAMINGS,
  'plain',
)
_SAVE_MAPS = FLAGS.bool(
  'save_maps', 'Also write the maps to maps/<method>/<network>.npy.'
)
_RECORD = shared_flags.Record(FLAGS, 'results/taskonomy-PROBE', _PROBE)

# What a resumed run may change. A run that stopped at a bad map goes on with
# --on_bad_map=drop_image; which images are dropped is recorded by itself.
_MAY_CHANGE = ('device', 'on_bad_map', *_EXECUTOR.NOT_RECORDED)


def main() -> int:
  log = bad_models.Log(_ON_BAD_MODEL.value)
  bank = bad_models.load(_BANK.value, log)
  size = pipeline.probe_size(bank, _IMAGE_SIZE.value)
  similarities.check(_SIMILARITIES.value, _METHODS.value)
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    protocol=_PROTOCOL.value,
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    precision=_PRECISION.value,
    on_bad_map=_ON_BAD_MAP.value,
    way_on='`resume` with `on_bad_map=drop_image` goes on without the image.',
    dtype=_SPACE_DTYPE.value,
    point=_POINT.value,
    probe_point=similarities.probe_point(_SIMILARITIES.value, _POINT.value),
    save_maps=_SAVE_MAPS.value,
    keep_representations=similarities.takes(
      _SIMILARITIES.value, 'representations'
    ),
    **_EXECUTOR.options(),
    probes=_DIRECTIONS.value()
    if similarities.takes(_SIMILARITIES.value, 'probes')
    else None,
  )
  if log.skips:
    bank = bad_models.checked(bank, projection, (*size, 3), log)
  pipeline.check(bank, projection, (*size, 3))
  evaluation.load_oracle(bank)  # An error in it is found here.
  record = _RECORD.open(bank.digests(), _MAY_CHANGE)
  output = record.output
  if results.is_finished(record):
    print(f'{output} is finished; nothing was computed again.')
    print(evaluation.summary_of(output))
    return bad_models.report(record.noted('left_out'))

  with record.stage('images'):
    probe = _PROBE.load(size)
  results.begin(record, probe)
  record.note('skipped_images', dict(probe.skipped))
  with record.stage('projection'):
    spaces = pipeline.project(bank, probe, projection, output, observer=log)
  bank = log.without(bank)
  record.note('left_out', log.reasons)
  half_precision.note(record, bank, probe, projection, spaces)
  results.finish('comparison', record, bank, probe, spaces)
  print(evaluation.summary_of(output))
  print(f'Results: {output}')
  return bad_models.report(log.reasons)


if __name__ == '__main__':
  cli.run(main, FLAGS)
