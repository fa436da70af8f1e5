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
import resource
import sys

from absl import logging

import toolkit_basics.cli as cli
from experiments import (
  evaluation,
  pipeline,
  shared_flags,
  visuals,
  zoo_evaluation,
)
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo import table as zoo_bank
from toolkit_basics import files
from transferability import map_transforms

ON_BAD_MODEL = ('error', 'skip')

FLAGS = cli.Flags()
_BANK = FLAGS.path(
  'bank', 'Folder of the networks; by default where fetch_zoo puts them.'
)
_PROBE = shared_flags.Probe(FLAGS, 'photos', 100)
_IMAGE_SIZE = FLAGS.integer(
  'image_size',
  'Height and width to which images, and with them maps, are brought.',
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
_EPSILON = shared_flags.epsilon(FLAGS)
_BATCH_SIZE = shared_flags.batch_size(FLAGS, 4)
_DEVICE = shared_flags.device(FLAGS)
_NUM_PERMUTATIONS = FLAGS.integer(
  'num_permutations',
  'How often each test permutes the labels of the networks.',
  9999,
  lower_bound=1,
)
_ON_BAD_MODEL = FLAGS.enum(
  'on_bad_model',
  'What happens if a method refuses a network: the command stops and names '
  'it, or leaves it out of all methods.',
  ON_BAD_MODEL,
  'error',
)
_ON_BAD_MAP = shared_flags.on_bad_map(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/zoo-PROBE')

_MAY_CHANGE = ('device', 'on_bad_map', 'on_bad_model')


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


def _peak_memory() -> int:
  """Returns the most memory that this process had, in MB."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return round(peak / (2**20 if sys.platform == 'darwin' else 2**10))


def main() -> None:
  bank = banks.load(_BANK.value or str(zoo.default_folder()))
  projection = pipeline.Projection(
    methods=pipeline.method_objects(_METHODS.value, _EPSILON.value),
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    on_bad_map=_ON_BAD_MAP.value,
    map_transforms=tuple(_MAP_TRANSFORM.value),
  )
  has_table = os.path.exists(os.path.join(bank.folder, zoo_bank.TABLE))
  rows = zoo_bank.read_table(pathlib.Path(bank.folder)) if has_table else {}
  digests = bank.digests()
  bank, left_out = _usable(bank, projection)
  output = _RECORD.folder(probe=_PROBE.name)
  settings = _RECORD.settings(_MAY_CHANGE)
  # The spaces know each network's graph, so that a bank may grow.
  record = _RECORD.open(output, settings, {})
  if record.is_finished and record.noted('bank') == digests:
    print(f'{output} is finished; nothing was computed again.')
    print(zoo_evaluation.summary_of(output))
    return
  with record.stage('images'):
    probe = _PROBE.load(_IMAGE_SIZE.value)
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
      result, labels, output, _NUM_PERMUTATIONS.value, _PROBE.seed.value
    )
    table = _network_rows(bank, rows, spaces, log)
    files.write_csv(output / 'networks.csv', table)
  with record.stage('figures'):
    # A page and summaries of one transform; all of them would be too large.
    first = projection.map_transforms[0]
    names = [name for name, _, t in projection.spaces() if t == first]
    others = zoo_evaluation.only(result, set(result.affinities) - set(names))
    shown = zoo_evaluation.only(result, names)
    some = {name: spaces[name] for name in names}
    visuals.draw(bank, probe, some, shown, output, settings, others)
  record.note('peak_memory_mb', _peak_memory())
  record.finish()
  print(evaluation.format_table(table))
  print(zoo_evaluation.summary_of(output))
  if left_out:
    print(f'Left out: {", ".join(left_out)} (see run.json).')
  print(f'Results: {output}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
