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
import json
import math
import os
import pathlib
import re
import resource
import sys

from absl import app, flags, logging

from attribution import methods
from experiments import (
  evaluation,
  pipeline,
  run_record,
  visuals,
  zoo_evaluation,
)
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo import table as zoo_bank
from toolkit_basics import cli, files
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


class _Log(pipeline.Observer):
  """Keeps what was measured of each network, over all tries of a run."""

  def __init__(self, path: pathlib.Path):
    self._path = path
    self.measured: dict[str, dict] = {}
    self.failed_models: dict[str, str] = {}
    if path.exists():
      self.measured = json.loads(path.read_text(encoding='utf-8'))

  def finished(self, encoder, images, seconds, ruled) -> None:
    before = self.measured.get(encoder.name, {'images': 0, 'seconds': 0.0})
    self.measured[encoder.name] = {
      'images': before['images'] + images,
      'seconds': round(before['seconds'] + seconds, 3),
      'ruled': ruled,
    }
    text = json.dumps(self.measured, indent=1) + '\n'
    files.write_atomically(self._path, text.encode())

  def failed(self, encoder, error) -> None:
    if _ON_BAD_MODEL.value == 'error':
      raise error
    self.failed_models[encoder.name] = str(error)
    logging.warning('Left out: %s', error)


def _default_output() -> str:
  name = re.sub(r'[^\w.-]', '_', pathlib.Path(_PROBE.value).stem)
  return os.path.join('results', f'zoo-{name}')


def _without(bank: Bank, names: Sequence[str]) -> Bank:
  kept = tuple(e for e in bank.encoders if e.name not in names)
  return dataclasses.replace(bank, encoders=kept)


def _usable(bank: Bank, projection: pipeline.Projection) -> tuple[Bank, dict]:
  """Returns the bank without the networks that are refused, and those."""
  if bank.groups is None:
    raise ValueError(
      f'{bank.folder}: every encoder needs a "group", the kind of its task.'
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
  return _without(bank, refused), refused


def _labels(bank: Bank, rows: dict) -> zoo_evaluation.Labels:
  known = all(name in rows for name in bank.names)
  return zoo_evaluation.Labels(
    groups=[encoder.group for encoder in bank.encoders],
    architectures=(
      [rows[name].architecture for name in bank.names] if known else None
    ),
    families=[rows[name].family for name in bank.names] if known else None,
  )


def _network_rows(bank: Bank, rows: dict, spaces: dict, log: _Log) -> list:
  """Returns the table of networks, a header first."""
  pair = [spaces.get(name) for name in ('elrp', 'gradient_times_input')]
  table = [
    [
      'network',
      'group',
      'architecture',
      'input',
      'nodes',
      'nonlinear',
      'ruled',
      'seconds_per_image',
      'cosine_elrp_gradient_times_input',
    ]
  ]
  for encoder in bank.encoders:
    row = rows.get(encoder.name)
    # Lost if the run was killed at the very end of the network.
    measured = log.measured.get(encoder.name, {})
    known = ['architecture', 'input_shape', 'nodes', 'nonlinear']
    table.append(
      [
        encoder.name,
        encoder.group,
        *(getattr(row, field, '') for field in known),
        measured.get('ruled', ''),
        measured.get('seconds', math.nan) / measured.get('images', 1),
        zoo_evaluation.mean_cosine(*pair, encoder.name)
        if all(pair)
        else math.nan,
      ]
    )
  return table


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  bank = banks.load(_BANK.value or str(zoo.default_folder()))
  transforms = tuple(_MAP_TRANSFORM.value)
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    on_bad_map=_ON_BAD_MAP.value,
    map_transforms=transforms,
  )
  has_table = os.path.exists(os.path.join(bank.folder, zoo_bank.TABLE))
  rows = zoo_bank.read_table(pathlib.Path(bank.folder)) if has_table else {}
  digests = bank.digests()
  bank, left_out = _usable(bank, projection)
  output = pathlib.Path(_OUTPUT.value or _default_output())
  settings = cli.flag_values(_BANK, _INCIDENTAL)
  record = run_record.RunRecord(
    output,
    settings,
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
  log = _Log(output / 'measured.json')
  with record.stage('projection'):
    spaces = pipeline.project(bank, probe, projection, output, observer=log)
  left_out |= log.failed_models
  bank = _without(bank, left_out)
  record.note('bank', digests)
  record.note('left_out', left_out)
  record.note('dropped_images', pipeline.dropped_images(spaces))
  with record.stage('evaluation'):
    labels = _labels(bank, rows)
    result = zoo_evaluation.evaluate(spaces, bank.names, labels)
    zoo_evaluation.write(
      result, labels, output, _NUM_PERMUTATIONS.value, _SEED.value
    )
    table = _network_rows(bank, rows, spaces, log)
    files.write_csv(output / 'networks.csv', table)
  with record.stage('figures'):
    # A page and summaries of one transform; all of them would be too large.
    names = [name for name, _, t in projection.spaces() if t == transforms[0]]
    others = zoo_evaluation.only(result, set(result.affinities) - set(names))
    visuals.draw_affinities(bank, probe, others, output)
    visuals.draw(
      bank,
      probe,
      {name: spaces[name] for name in names},
      zoo_evaluation.only(result, names),
      output,
      settings,
    )
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  peak = peak / 2**20 if sys.platform == 'darwin' else peak / 2**10
  record.note('peak_memory_mb', round(peak))
  record.finish()
  print(evaluation.format_table(table))
  print(zoo_evaluation.summary_of(output))
  if left_out:
    print(f'Left out: {", ".join(left_out)} (see run.json).')
  print(f'Results: {output}')


if __name__ == '__main__':
  cli.run(main)
