"""Compares heterogeneous networks: which stand together, and by what?

  python -m taskonomy_models.fetch_zoo --output=FOLDER
  python -m experiments.run_zoo --bank=FOLDER --probe=coco --probe_dir=DIR

Networks of any architecture and input size meet in one space, as the inverse of
each one's T brings its maps back to the probe images. Writes affinities,
rankings and trees, and tests by permutation whether networks of one task stand
together, or of one architecture. --map_transform names what may be done to maps
before they are compared, outside the paper's protocol.

A killed run goes on with --resume; so does a finished one whose bank has got
further networks, and only they are projected.
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
  zoo_evaluation,
)
from transferability import map_transforms, similarity

FLAGS = cli.Flags()
_BANK = FLAGS.path('bank', 'Folder of the networks, as fetch_zoo makes it.')
_PROBE = shared_flags.Probe(FLAGS, 'photos', 100)
_IMAGE_SIZE = FLAGS.integer(
  'image_size',
  'Height and width of images and maps in pixels.',
  224,
  lower_bound=8,
)
_METHODS = shared_flags.methods(FLAGS)
_MAP_TRANSFORM = FLAGS.list(
  'map_transform',
  f'What is done to maps before they are compared: {map_transforms.NONE} (the '
  f'paper), or steps joined by + of {", ".join(map_transforms.steps())}. All '
  'that are given are evaluated; the maps of the first are shown.',
  [
    map_transforms.NONE,
    'pooled',
    'absolute+pooled',
    'absolute+pooled+centred',
    'absolute+root+pooled',
  ],
)
_SIMILARITIES = FLAGS.some_of(
  'similarities',
  'Measures of the spans of attributions and of representations to evaluate '
  'beside the methods.',
  similarities.names(),
  (*similarity.names('probes'), similarities.DECODABILITY, similarities.SPADE),
  may_be_empty=True,
)
_DIRECTIONS = shared_flags.Directions(FLAGS)
_EPSILON = shared_flags.epsilon(FLAGS)
_BATCH_SIZE = shared_flags.batch_size(FLAGS, 4)
_DEVICE = shared_flags.device(
  FLAGS, ' Several, as gpu:0,gpu:1, each take one network at a time.'
)
_PRECISION = shared_flags.precision(FLAGS)
_EXECUTOR = shared_flags.Executor(FLAGS)
FLAGS.integer(  # It is read off the run's record, in `results`.
  'num_permutations',
  'Number of permutations in each test. More take longer and can show smaller '
  'p-values.',
  9999,
  lower_bound=1,
)
_ON_BAD_MODEL = shared_flags.on_bad_model(FLAGS)
_ON_BAD_MAP = shared_flags.on_bad_map(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/zoo-PROBE', _PROBE)
FLAGS.require(_BANK)

_MAY_CHANGE = ('device', 'on_bad_map', *_EXECUTOR.NOT_RECORDED)


def main() -> int:
  log = bad_models.Log(_ON_BAD_MODEL.value)
  bank = bad_models.load(_BANK.value, log)
  chosen = _SIMILARITIES.value
  similarities.check(chosen, _METHODS.value)
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    precision=_PRECISION.value,
    **_EXECUTOR.options(),
    on_bad_map=_ON_BAD_MAP.value,
    map_transforms=tuple(_MAP_TRANSFORM.value),
    keep_representations=similarities.takes(chosen, 'representations'),
    representation_side=results.LAYER_SIDE,
    probes=_DIRECTIONS.value()
    if similarities.takes(chosen, 'probes')
    else None,
  )
  zoo_evaluation.table_of(bank)  # An error in it is found here.
  digests = bank.digests()
  if not bank.groups:
    raise ValueError(
      f'{bank.folder}: encoders need a "group", the kind of their task.'
    )
  shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
  bank = bad_models.checked(bank, projection, shape, log)
  # The spaces know each network's graph, so that a bank may grow.
  record = _RECORD.open({}, _MAY_CHANGE)
  output = record.output
  if results.is_finished(record) and record.noted('bank') == digests:
    print(f'{output} is finished; nothing was computed again.')
    print(zoo_evaluation.summary_of(output))
    return bad_models.report(record.noted('left_out'))
  with record.stage('images'):
    probe = _PROBE.load((_IMAGE_SIZE.value,) * 2)
  results.begin(record, probe)
  measured = results.Measured(output, log)
  with record.stage('projection'):
    spaces = pipeline.project(
      bank, probe, projection, output, observer=measured
    )
  bank = log.without(bank)
  record.note('bank', digests)
  record.note('left_out', log.reasons)
  half_precision.note(record, bank, probe, projection, spaces)
  results.finish('zoo', record, bank, probe, spaces)
  print(evaluation.table_text(output / 'networks.csv'))
  print(zoo_evaluation.summary_of(output))
  print(f'Results: {output}')
  return bad_models.report(log.reasons)


if __name__ == '__main__':
  cli.run(main, FLAGS)
