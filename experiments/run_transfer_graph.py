"""Which tasks to label, so that all targets are served best by transfer.

  python -m experiments.run_transfer_graph --budget=4
  python -m experiments.run_transfer_graph --bank=taskonomy --budget=4
  python -m experiments.run_transfer_graph --affinity=oracle,elrp,cka

Taskonomy's last step: an integer program chooses the sources to train with
labels, and the transfer that serves each target. Draws the directed transfer
graph of the budget, and writes the quality of every budget, for affinities
that were measured or only guessed: what was chosen by a guess is judged by the
measured transfers of the bank. --bank=taskonomy takes the transfers that
Taskonomy published, and no networks.
"""

from collections.abc import Sequence

import numpy as np

import toolkit_basics.cli as cli
from experiments import (
  complements,
  evaluation,
  pipeline,
  shared_flags,
  transfer_affinities,
  transfer_choices,
)
from experiments.selection import report
from experiments.transfer_choices import Choice
from taskonomy_models import tasks
from toolkit_basics import files, progress
from transferability import similarity
from transferability.oracle import Oracle

_TASKONOMY = 'taskonomy'
_TAKEN = 'representations'  # By similarities to several sources at once.

FLAGS = cli.Flags()
_BANK = shared_flags.UsableBank(
  FLAGS, more=f' {_TASKONOMY} is the transfers published, without networks.'
)
_BUDGET = FLAGS.integer(
  'budget', 'How many sources may be trained with labels.', 4, lower_bound=1
)
_AFFINITY = FLAGS.paths(
  'affinity',
  'What sources are chosen by: oracle, other_targets (a static order), '
  'attribution methods, similarities, or tables of affinities that a run wrote '
  '(.csv); the graph of each is drawn.',
  [transfer_affinities.ORACLE, transfer_affinities.OTHER_TARGETS],
)
_ORDER = FLAGS.integer(
  'order',
  'From how many sources at once a target may be served; more than 1 needs '
  "the bank's measured transfers of that order.",
  1,
  lower_bound=1,
  upper_bound=3,
)
_HIGHER_ORDER = FLAGS.path(
  'higher_order',
  'Table of transfers from several sources (target, sources, loss), as '
  'measure_higher_order writes it; by default that of the bank.',
)
_TARGETS = FLAGS.list('targets', 'Only these targets; by default all.')
_SOURCES = FLAGS.list('sources', 'Only these may be labelled; by default all.')
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 200)
_BATCH_SIZE = shared_flags.batch_size(FLAGS)
_DEVICE = shared_flags.device(FLAGS)
_PRECISION = shared_flags.precision(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/transfer_graph')


def _ask(oracle: Oracle, measured: dict) -> Choice:
  return Choice.of(
    oracle,
    measured,
    order=_ORDER.value,
    budget=_BUDGET.value,
    targets=_TARGETS.value,
    sources=_SOURCES.value,
  )


def _without_networks(
  chosen: Sequence[str], oracle: Oracle
) -> dict[str, np.ndarray]:
  """Returns the affinities for which nothing is looked at."""
  found = {}
  for name in chosen:
    if name == transfer_affinities.OTHER_TARGETS:
      found[name] = transfer_affinities.static_order(oracle)
    elif transfer_affinities.is_table(name):
      found[name] = transfer_affinities.of_table(name, oracle)
  return found


def _of_tables(chosen: Sequence[str]) -> dict[str, str]:
  """Returns the digests of the tables that are named."""
  paths = [name for name in chosen if transfer_affinities.is_table(name)]
  if _HIGHER_ORDER.value:
    paths.append(_HIGHER_ORDER.value)
  return {path: files.sha256(path) for path in paths}


def _write_pairs(measured, represented, names, output) -> None:
  """Writes how far complements are told, and prints it."""
  for kind, compared in zip(
    ('loss', 'gain'),
    complements.compare(measured, represented, names),
    strict=True,
  ):
    families = {n: 'no labels' for found in compared.values() for n in found}
    single = complements.BEST_SINGLE, complements.MEAN_SINGLE
    table = report.summarise(
      compared, families | dict.fromkeys(single, 'measured single sources')
    )
    files.write_csv(output / f'pairs_by_{kind}.csv', table)
    print(f'Pairs of sources by their {kind}:')
    print(evaluation.format_table(table))


def _how_networks_run() -> dict:
  return {
    'batch_size': _BATCH_SIZE.value,
    'device': _DEVICE.value,
    'precision': _PRECISION.value,
  }


def _work() -> int:
  chosen, is_published = _AFFINITY.value, _BANK.value == _TASKONOMY
  transfer_affinities.check(chosen, not is_published)
  needed = [n for n in chosen if transfer_affinities.needs_networks(n)]
  if is_published:
    bank, oracle, digests = None, Oracle.taskonomy(), {}
    groups = {task.name: task.group for task in tasks.TASKS}
  else:
    bank = _BANK.load(batch_size=_BATCH_SIZE.value)
    oracle, groups = evaluation.load_oracle(bank, known_only=True), bank.groups
    if oracle is None or oracle.affinity is None:
      raise ValueError(
        f'The bank {bank.name!r} has no measured transfers between two or more '
        'of its networks ("oracle" and "oracle_affinity" in bank.json), by '
        'which choices are judged.'
      )
    digests = bank.digests()
  measured = transfer_choices.higher_order(
    _ORDER.value, _HIGHER_ORDER.value, bank
  )
  question = _ask(oracle, measured)
  found = _without_networks(chosen, oracle)
  record = _RECORD.open(digests | _of_tables(chosen))
  output = record.output
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print(transfer_choices.text(output))
    return _BANK.report(record)
  record.start()
  represented = {}
  if needed:
    with record.stage('images'):
      probe = _PROBE.load(pipeline.probe_size(bank))
    record.note('images', [files.sha256(d.encode()) for d in probe.digests])
    with record.stage('affinities'):
      looked = transfer_affinities.of_networks(
        *(needed, bank, probe, oracle.targets, oracle.sources, output),
        progress.track,
        **_how_networks_run(),
      )
    found, represented = found | looked.affinities, looked.represented
  with record.stage('choices'):
    transfer_choices.write(
      question, chosen, found, represented, groups, output, progress.track
    )
  similar = [name for name in chosen if name in similarity.names(_TAKEN)]
  if measured and similar:
    with record.stage('pairs'):
      _write_pairs(measured, represented, similar, output)
  record.note('left_out', _BANK.left_out)
  record.finish()
  print(transfer_choices.text(output))
  print(f'Results: {output}')
  return _BANK.report(record)


def main() -> int:
  return _BANK.carry_out(_work, _RECORD)


if __name__ == '__main__':
  cli.run(main, FLAGS)
