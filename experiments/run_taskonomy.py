"""Ranks the networks of a bank as sources for each other's tasks.

  python -m experiments.run_taskonomy
  python -m experiments.run_taskonomy --probe=coco --probe_dir=DIR
  python -m experiments.run_taskonomy --bank=FOLDER --probe=IMAGE_FOLDER

Explains probe images through every network, places the networks in a model
space, and writes affinities, rankings, precision and recall against the
bank's oracle, task similarity trees, figures and TensorBoard summaries.
"""

from collections.abc import Sequence
import os
import pathlib
import re

from absl import app, flags

from attribution import methods
from experiments import evaluation, pipeline, results, run_record, similarities
from probe_data import probe_sets
from taskonomy_models import bank as banks
from toolkit_basics import cli

_BANK = flags.DEFINE_string(
  'bank', 'mini', f'Networks: one of {list(banks.NAMED)}, or a folder.'
)
_PROBE = flags.DEFINE_string(
  'probe',
  'scenes',
  f'Images: one of {list(probe_sets.names())}, or a folder, a list of files '
  '(.txt) or an array (.npy).',
)
_PROBE_DIR = flags.DEFINE_string(
  'probe_dir', None, 'Folder that holds the images of a named probe set.'
)
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images', 1000, 'Probe images, or all if there are fewer.', lower_bound=1
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size',
  0,
  'Side of the probe images; 0: what suits the bank.',
  lower_bound=0,
)
_METHODS = flags.DEFINE_list(
  'methods',
  ['saliency', 'gradient_times_input', 'elrp'],
  f'Attribution methods, of {list(methods.names())}.',
)
flags.register_validator(
  'methods',
  lambda chosen: bool(chosen) and set(chosen) <= set(methods.names()),
  f'choose from {", ".join(methods.names())}',
)
_SIMILARITIES = flags.DEFINE_list(
  'similarities',
  [],
  'Similarities of the representations to show beside the methods, of '
  f'{list(similarities.names())}.',
)
_PROTOCOL = flags.DEFINE_enum(
  'protocol',
  'paper',
  pipeline.PROTOCOLS,
  'As the paper says, or as the code its authors released computes.',
)
_EPSILON = flags.DEFINE_float(
  'epsilon', 1e-4, 'Stabilizer of epsilon-LRP.', lower_bound=0.0
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size', 50, 'Images computed at once.', lower_bound=1
)
_DEVICE = flags.DEFINE_string(
  'device', None, "For example '/GPU:0'; by default TensorFlow's choice."
)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the sample of images, or of the scenes.', lower_bound=0
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Result folder; default: results/taskonomy-<probe>.'
)
_RESUME = flags.DEFINE_bool('resume', False, 'Go on with a run.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace a run.')
_ON_BAD_MAP = flags.DEFINE_enum(
  'on_bad_map',
  'error',
  pipeline.ON_BAD_MAP,
  'What to do where a map is all zero or not finite.',
)
_ON_BAD_IMAGE = flags.DEFINE_enum(
  'on_bad_image',
  'skip',
  probe_sets.ON_BAD_IMAGE,
  'What to do with files that are no readable images.',
)
_SPACE_DTYPE = flags.DEFINE_enum(
  'space_dtype',
  'float16',
  ['float16', 'float32'],
  'Storage type of the model space.',
)
_SAVE_MAPS = flags.DEFINE_bool(
  'save_maps', False, 'Also write maps/<method>/<model>.npy.'
)

# What a resumed run may change. A run that stopped at a bad map goes on with
# --on_bad_map=drop_image; which images are dropped is recorded by itself.
_INCIDENTAL = ('output', 'resume', 'overwrite', 'device', 'on_bad_map')


def _default_output() -> str:
  name = re.sub(r'[^\w.-]', '_', pathlib.Path(_PROBE.value).stem)
  return os.path.join('results', f'taskonomy-{name}')


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  bank = banks.load(_BANK.value)
  size = pipeline.probe_size(bank, _IMAGE_SIZE.value)
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    protocol=_PROTOCOL.value,
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    on_bad_map=_ON_BAD_MAP.value,
    dtype=_SPACE_DTYPE.value,
    save_maps=_SAVE_MAPS.value,
    keep_representations=bool(_SIMILARITIES.value),
  )
  similarities.check(_SIMILARITIES.value, _METHODS.value)
  pipeline.check(bank, projection, (*size, 3))
  evaluation.load_oracle(bank)  # An error in it is found here.
  output = _OUTPUT.value or _default_output()
  record = run_record.RunRecord(
    output,
    cli.flag_values(_BANK, _INCIDENTAL),
    bank.digests(),
    resume=_RESUME.value,
    overwrite=_OVERWRITE.value,
  )
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print(evaluation.summary_of(output))
    return

  with record.stage('images'):
    probe = pipeline.load_probe(
      bank,
      _PROBE.value,
      size,
      probe_dir=_PROBE_DIR.value,
      num_images=_NUM_IMAGES.value,
      seed=_SEED.value,
      on_bad_image=_ON_BAD_IMAGE.value,
    )
  record.start()
  evaluation.write_image_list(probe, output)
  record.note('probe', probe.digest)
  record.note('skipped_images', dict(probe.skipped))
  with record.stage('projection'):
    spaces = pipeline.project(bank, probe, projection, output)
  results.finish('comparison', record, bank, probe, spaces)
  print(evaluation.summary_of(output))
  print(f'Results: {output}')


if __name__ == '__main__':
  cli.run(main)
