"""Checks on banks with measured transfers how far `recommend` can be trusted.

  python -m experiments.calibrate_recommend --bank=mini
  python -m experiments.calibrate_recommend --bank=mini,FOLDER --num_images=200
  python -m experiments.calibrate_recommend --bank=mini --write=FILE

For every target of a bank, candidates are its other networks. Printed are how
often the network that is recommended is within 5 % of the least loss that was
measured, how often statements of a chance came true, and whether networks of
random weights are told from trained ones. With --write the noise of each
measure is estimated anew from one bank, and stored beside what the file holds
of banks of the other kind: of one architecture, or of several. The files of
networks without measured transfers may be missing; with --situations=history
and without --write, all may.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import os
import pathlib

import numpy as np

import toolkit_basics.cli as cli
from experiments import shared_flags
from experiments.evaluation import format_table
from experiments.recommending import looks
from experiments.recommending import measured as measured_lib
from experiments.recommending.looks import Looking
from experiments.recommending.measured import MeasuredBank
from taskonomy_models import bank as banks
from toolkit_basics import files, progress
from transferability import similarity
from transferability.recommendation import calibration, situations

FLAGS = cli.Flags()
_BANKS = FLAGS.paths(
  'bank', 'The banks, each by its name or folder, with commas.', ('mini',)
)
_NUM_IMAGES = FLAGS.integer(
  'num_images', 'How many scenes are looked at.', 200, lower_bound=20
)
_NUM_DRAWS = FLAGS.integer(
  'num_draws', 'How often the scenes are drawn anew.', 40, lower_bound=2
)
_UNTRAINED = FLAGS.integer(
  'untrained',
  'How many networks of random weights are looked at too.',
  10,
  lower_bound=0,
)
_TRIALS = FLAGS.integer(
  'trials',
  'How often three of them are put among seven others.',
  50,
  lower_bound=0,
)
_ANSWERED = [
  each.name for each in situations.SITUATIONS.values() if each.measures
]
_SITUATIONS = FLAGS.some_of(
  'situations', 'What is known of a target.', _ANSWERED, _ANSWERED
)
_RIVALS = FLAGS.some_of(
  'rivals',
  'Similarities whose picks are compared too, where a network of the target is '
  'known.',
  similarity.names('representations'),
  (),
  may_be_empty=True,
)
_SCENES = FLAGS.integer(
  'num_scenes',
  'How many scenes the split has that is rendered.',
  2500,
  lower_bound=20,
)
_WRITE = FLAGS.path(
  'write', 'A file (JSON) that gets the calibration of the only bank.'
)
_OUTPUT = shared_flags.output(FLAGS, None, 'a folder for tables, if any')
_DATA_DIR = shared_flags.data_dir(FLAGS)
_WORKERS = shared_flags.workers(FLAGS)
_USABLE = shared_flags.UsableBanks(FLAGS)


def _work() -> int:
  if _WRITE.value and len(_BANKS.value) != 1:
    raise ValueError('--write needs exactly one --bank.')
  if _NUM_IMAGES.value > _SCENES.value:
    raise ValueError(
      f'--num_images={_NUM_IMAGES.value} are more than '
      f'--num_scenes={_SCENES.value}.'
    )
  earlier = _earlier()  # An error in it is found before long work.
  found, rows, kept, others = {}, {}, [], []
  for seen in _seen():
    for name in _SITUATIONS.value:
      _check(seen, situations.SITUATIONS[name], found, rows, kept)
    if _RIVALS.value:  # Preparing features for them takes time.
      others += _compare(seen)
  if _WRITE.value:
    calibration.save(_WRITE.value, {**earlier, **found})
  header = ('bank', 'situation', 'stated from', 'to', 'mean', 'true', 'number')
  tables = {
    'chances': [header, *(row for each in rows.values() for row in each)],
    'picked': [_PICKED, *kept],
  }
  if others:
    tables['rivals'] = [_PICKED[:7], *others]
  for name, table in tables.items():
    print(f'{format_table(table)}\n')
    if _OUTPUT.value:
      files.write_csv(pathlib.Path(_OUTPUT.value) / f'{name}.csv', table)
  return _USABLE.report()


def _earlier() -> dict[str, calibration.Calibration]:
  """Returns the calibrations that --write has already."""
  if not (_WRITE.value and os.path.exists(_WRITE.value)):
    return {}
  return calibration.read(_WRITE.value)


def _seen() -> Iterator[MeasuredBank]:
  """Yields the banks with what is seen of their networks, where that counts."""
  names = shared_flags.shown_names(_BANKS)
  opened = [
    dataclasses.replace(banks.load(bank, needs_graphs=False), name=name)
    for bank, name in zip(_BANKS.value, names, strict=True)
  ]
  losses = list(map(measured_lib.losses_of, opened))
  if _SITUATIONS.value == ['history'] and not (_RIVALS.value or _WRITE.value):
    for bank, known in zip(opened, losses, strict=True):
      yield MeasuredBank(bank, known, {}, {}, {})
    return
  for i, known in enumerate(losses):  # Before long work begins.
    there = {*known, *(source for row in known.values() for source in row)}
    bank = _USABLE.open(_BANKS.value[i], there.intersection(opened[i].names))
    opened[i] = dataclasses.replace(bank, name=names[i])
  data = measured_lib.scenes(
    _DATA_DIR.value,
    _NUM_IMAGES.value,
    _SCENES.value,
    _WORKERS.value,
    progress.track,
  )
  how = Looking(tries_ranges=False, grid=looks.FINE_GRID)
  for bank in opened:
    yield measured_lib.see(bank, data, how, _UNTRAINED.value, progress.track)


_PICKED = (
  'bank',
  'situation',
  'measure',
  'targets',
  'within 5 %',
  'mean regret',
  'largest',
  'untrained flagged',
  'recommended',
  'trained flagged',
)


def _check(
  seen: MeasuredBank,
  situation: situations.Situation,
  found: dict[str, calibration.Calibration],
  rows: dict,
  kept: list,
) -> None:
  """Adds what a bank says of a situation to the tables."""
  cases, trials = _cases(seen, situation)
  if len(cases) < 3:
    return
  name = seen.bank.name
  are_mixed = looks.are_mixed(seen.looks)
  if _WRITE.value:
    key = calibration.key_of(situation.name, are_mixed)
    found[key] = calibration.measure(situation.measures[0], cases, name)
    table = found[key].reliability
  else:
    noise = calibration.of(situation.name, are_mixed).noise
    table = calibration.reliability(
      [
        (case.stated(noise).among, case.ranks < calibration.K)
        for case in calibration.with_parts(cases)
      ]
    )
  rows[name, situation.name] = [(name, situation.name, *row) for row in table]
  total = len(trials) * _TRIALS.value
  shares = [sum(column) for column in zip(*trials, strict=True)] or [0, 0, 0]
  kept.append(
    (
      *_picked(name, situation.name, situation.measures[0], cases),
      shares[0] / total if total else float('nan'),
      shares[1] / total if total else float('nan'),
      shares[2] / (7 * total) if total else float('nan'),
    )
  )


def _picked(
  bank: str,
  situation: str,
  measure: str,
  cases: Sequence[calibration.MeasuredTarget],
) -> tuple:
  """Returns how good the picks of a measure are, the first of `_PICKED`."""
  excess = [case.excess for case in cases]
  return (
    *(bank, situation, measure, len(cases)),
    sum(value <= 0.05 for value in excess),
    float(np.nanmean(excess)),
    float(np.nanmax(excess)),
  )


def _compare(seen: MeasuredBank) -> list[tuple]:
  """Returns how good the picks of --rivals are, and those of a static order."""
  name = seen.bank.name
  cases_of_static = measured_lib.history_cases(seen.losses)
  return [
    *(
      _picked(name, 'target', rival, cases)
      for rival, cases in measured_lib.rivals(seen, _RIVALS.value).items()
    ),
    _picked(name, 'history', 'standing', cases_of_static),
  ]


def _cases(
  seen: MeasuredBank, situation: situations.Situation
) -> tuple[list[calibration.MeasuredTarget], list[tuple[int, int, int]]]:
  """Returns the cases of a bank, and what became of untrained networks."""
  if situation.name == 'history':
    return measured_lib.history_cases(seen.losses), []
  found = measured_lib.evidence_of(
    seen, situation, _NUM_DRAWS.value, progress.track
  )
  cases, trials = [], []
  for number, (target, evidence) in enumerate(found.items()):
    cases.append(measured_lib.case_of(evidence, seen, target))
    sources = tuple(seen.losses[target])
    if len(seen.untrained) >= 3 and len(sources) >= 7:
      trials.append(
        measured_lib.flagged(evidence, sources, _TRIALS.value, number)
      )
  return cases, trials


def main() -> int:
  return _USABLE.carry_out(_work)


if __name__ == '__main__':
  cli.run(main, FLAGS)
