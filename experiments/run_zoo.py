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

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import re

from absl import app, flags, logging

from attribution import methods
from experiments import (
  evaluation,
  pipeline,
  results,
  run_record,
  zoo_evaluation,
)
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.zoo import networks as zoo
from toolkit_basics import cli
from transferability import map_transforms

ON_BAD_MODEL = ('error', 'skip')

_BANK = flags.DEFINE_string(
  'bank', None, "Folder of a bank; default: fetch_zoo's."
)
_PROBE = flags.DEFINE_string(
  'probe',
  'photos',
  f'Images: one of {list(probe_sets.names())}, or a folder, a list of files '
  '(.txt) or an array (.npy).',
)
_PROBE_DIR = flags.DEFINE_string(
  'probe_dir', None, 'Folder that holds the images of a named probe set.'
)
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images', 100, 'Probe images, or all if there are fewer.', lower_bound=1
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size', 224, 'Side of the probe images and of the maps.', lower_bound=8
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
_MAP_TRANSFORM = flags.DEFINE_list(
  'map_transform',
  [
    map_transforms.NONE,
    'pooled',
    'absolute+pooled',
    'absolute+pooled+centred',
    'absolute+root+pooled',
  ],
  f'What is done to maps before they are compared: {map_transforms.NONE} (the '
  f'paper), or steps joined by + of {", ".join(map_transforms.steps())}. All '
  'that are given are evaluated; the maps of the first are shown.',
)
_EPSILON = flags.DEFINE_float(
  'epsilon', 1e-4, 'Stabilizer of epsilon-LRP.', lower_bound=0.0
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size', 4, 'Images computed at once.', lower_bound=1
)
_DEVICE = flags.DEFINE_string(
  'device', None, "For example '/GPU:0'; by default TensorFlow's choice."
)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the sample of images and of the permutations.', lower_bound=0
)
_NUM_PERMUTATIONS = flags.DEFINE_integer(
  'num_permutations', 9999, 'Of labels, in each test.', lower_bound=1
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Result folder; default: results/zoo-<probe>.'
)
_RESUME = flags.DEFINE_bool('resume', False, 'Go on with a run.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace a run.')
_ON_BAD_MODEL = flags.DEFINE_enum(
  'on_bad_model',
  'error',
  ON_BAD_MODEL,
  'What to do with networks that a method refuses: stop and name them, or '
  'leave them out of all methods.',
)
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

_INCIDENTAL = (
  'output',
  'resume',
  'overwrite',
  'device',
  'on_bad_map',
  'on_bad_model',
)


def _default_output() -> str:
  name = re.sub(r'[^\w.-]', '_', pathlib.Path(_PROBE.value).stem)
  return os.path.join('results', f'zoo-{name}')


def _usable(bank: Bank, projection: pipeline.Projection) -> tuple[Bank, dict]:
  """Returns the bank without the networks that are refused, and those."""
  if not bank.groups:
    raise ValueError(
      f'{bank.folder}: encoders need a "group", the kind of their task.'
    )
  shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
  refused = pipeline.refusals(bank, projection, shape)
  if refused and _ON_BAD_MODEL.value == 'error':
    raise ValueError(
      f'{len(refused)} of {len(bank.encoders)} networks cannot be projected '
      f'({", ".join(refused)}). Pass --on_bad_model=skip to leave them out of '
      f'all methods, or other --methods. {" ".join(refused.values())}'
    )
  for reason in refused.values():
    logging.warning('Left out: %s', reason)
  kept = tuple(e for e in bank.encoders if e.name not in refused)
  return dataclasses.replace(bank, encoders=kept), refused


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  bank = banks.load(_BANK.value or str(zoo.default_folder()))
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    on_bad_map=_ON_BAD_MAP.value,
    map_transforms=tuple(_MAP_TRANSFORM.value),
  )
  zoo_evaluation.table_of(bank)  # An error in it is found here.
  digests = bank.digests()
  bank, left_out = _usable(bank, projection)
  output = pathlib.Path(_OUTPUT.value or _default_output())
  record = run_record.RunRecord(
    output,
    cli.flag_values(_BANK, _INCIDENTAL),
    {},  # The spaces know each network's graph, so that a bank may grow.
    resume=_RESUME.value,
    overwrite=_OVERWRITE.value,
  )
  if record.is_finished and record.noted('bank') == digests:
    print(f'{output} is finished; nothing was computed again.')
    print(zoo_evaluation.summary_of(output))
    return

  with record.stage('images'):
    probe = pipeline.load_probe(
      bank,
      _PROBE.value,
      (_IMAGE_SIZE.value,) * 2,
      probe_dir=_PROBE_DIR.value,
      num_images=_NUM_IMAGES.value,
      seed=_SEED.value,
      on_bad_image=_ON_BAD_IMAGE.value,
    )
  record.start()
  evaluation.write_image_list(probe, output)
  record.note('probe', probe.digest)
  log = results.Measured(output, _ON_BAD_MODEL.value == 'skip')
  with record.stage('projection'):
    spaces = pipeline.project(bank, probe, projection, output, observer=log)
  left_out |= log.failed_models
  record.note('bank', digests)
  record.note('left_out', left_out)
  results.finish('zoo', record, bank, probe, spaces)
  print(evaluation.table_text(output / 'networks.csv'))
  print(zoo_evaluation.summary_of(output))
  if left_out:
    print(f'Left out: {", ".join(left_out)} (see run.json).')
  print(f'Results: {output}')


if __name__ == '__main__':
  cli.run(main)
