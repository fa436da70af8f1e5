"""What earlier transfers say of networks for a target that is new.

  python -m experiments.run_history
  python -m experiments.run_history --history=history.csv
  python -m experiments.run_history --selection=results/model_selection

Leaves each target of a history out, predicts its transfers from the others (by
standing, by the similarity of targets, together with a measure), and says how
far the order of the predictions is that of the transfers. By default the
history is a bank's measured transfers; --history is a CSV file with the columns
target, network, score. Measures and similarities need a bank whose networks are
those of the history, and targets that are named as networks. --selection is
the folder of a finished `run_model_selection`: what it measured is the history,
and the scores that its measures gave the networks stand beside it.
"""

from collections.abc import Mapping, Sequence
import pathlib

import numpy as np

import toolkit_basics.cli as cli
from experiments import (
  evaluation,
  history_study,
  pipeline,
  run_record,
  shared_flags,
  transfer_affinities,
)
from experiments.selection import between, features, report, source_samples
from experiments.selection.features import Candidate
from taskonomy_models.bank import Bank
from toolkit_basics import files, progress
from transferability import source_data
from transferability.history import History
from transferability.ranking_files import duplicates

_DOMAIN_SIMILARITY = between.DOMAIN_SIMILARITY
_OF_SELECTION = ('logme', 'h_score_shrinkage', _DOMAIN_SIMILARITY)
_NUM_SCENES = 400  # Of the training scenes, for domain similarity.

FLAGS = cli.Flags()
_BANK = shared_flags.UsableBank(FLAGS)
_HISTORY = FLAGS.path(
  'history', "Earlier transfers (.csv); by default the bank's own."
)
_SELECTION = FLAGS.path(
  'selection',
  'A finished model selection: what it measured is the history, and --measures '
  f'are some of its own, by default {", ".join(_OF_SELECTION)}.',
)
_MEASURES = FLAGS.list(
  'measures',
  'Similarities or attribution methods that stand beside the history, as '
  'measures of networks and as similarities of targets; domain_similarity is '
  "of targets only, and needs the mini bank's scenes. With --history, by "
  'default none.',
)
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 200)
_NUM_DRAWS = shared_flags.num_draws(FLAGS, 'networks')
_COMPUTING = shared_flags.Computing(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/history')
_DEFAULT = ('elrp', 'cka', 'attribution_span', 'decodability')


def _between_domains(bank: Bank, known: History, output, options) -> np.ndarray:
  """Returns DS of targets: training scenes with the labels of each.

  By the bank's first network; float64 [targets, targets].
  """
  size = pipeline.probe_size(bank)
  scenes = source_samples.load(
    *(bank, _COMPUTING.data_dir, _NUM_SCENES, size),
    *(_COMPUTING.workers, progress.track),
  )
  first = Candidate(bank.names[0], bank.encoders[0])
  found = features.extract(
    first, scenes.images, 4, output / 'source_features', **options
  )
  sides = [(found.flat, scenes.labels[target]) for target in known.targets]
  return np.array(
    [
      [source_data.score(_DOMAIN_SIMILARITY, a, b) for a in sides]
      for b in sides
    ]
  )


def _of_networks(bank: Bank, known: History, names, output, options):
  """Returns measures [targets, networks] of known targets and networks."""
  probe = _PROBE.load(pipeline.probe_size(bank))
  looked = transfer_affinities.of_networks(
    *(names, bank, probe, known.targets, known.networks),
    *(output, progress.track),
    **options,
  )
  return looked.affinities


def _check(bank: Bank, known: History, names: Sequence[str]) -> None:
  measures = (*transfer_affinities.names_of_networks(), _DOMAIN_SIMILARITY)
  if unknown := [name for name in names if name not in measures]:
    raise ValueError(
      f'No measure of networks is named {unknown[0]!r}; choose from '
      f'{", ".join(measures)}.'
    )
  if repeated := duplicates(names):
    raise ValueError(f'Give each of the `measures` once, not {repeated}.')
  asked = {*known.targets, *known.networks} if names else set()
  if missing := sorted(asked - set(bank.names)):
    raise ValueError(
      f'The bank {bank.name!r} has no network {missing[0]!r}, which the '
      'history names; pass its `bank`, or no `measures`.'
    )
  if _DOMAIN_SIMILARITY in names and not source_samples.has_samples(bank):
    raise ValueError(
      f'It is not known what the networks of {bank.name!r} were trained on, '
      f'which {_DOMAIN_SIMILARITY} compares.'
    )


def _known(bank: Bank) -> tuple[History, tuple[str, ...]]:
  """Returns the history, and which measures stand beside it."""
  if _HISTORY.value is not None:
    return History.load(_HISTORY.value), tuple(_MEASURES.value or ())
  oracle = evaluation.load_oracle(bank, known_only=True)
  if oracle is None:
    raise ValueError(
      f'The bank {bank.name!r} has no measured transfers; pass a `history`.'
    )
  default = _DEFAULT
  if source_samples.has_samples(bank):
    default = (*default, _DOMAIN_SIMILARITY)
  return History.of_oracle(oracle), tuple(_MEASURES.value or default)


def _conclude(
  record: run_record.RunRecord,
  known: History,
  measures: Mapping[str, np.ndarray],
  alike: Mapping[str, np.ndarray],
  family: str,
) -> None:
  """Leaves each target out, and writes and prints what comes out."""
  output = record.output
  compared = history_study.leave_one_out(
    known, measures, alike, _NUM_DRAWS.value
  )
  summary = report.summarise(compared, dict.fromkeys(measures, family))
  known.save(output / 'history.csv')
  files.write_csv(output / 'summary.csv', summary)
  record.finish()
  print(evaluation.format_table(summary))
  print(f'Results: {output}')


def _is_finished(record: run_record.RunRecord) -> bool:
  """Whether there is nothing to do, which is then said."""
  if not record.is_finished:
    return False
  print(f'{record.output} is finished; nothing was computed again.')
  print(evaluation.table_text(record.output / 'summary.csv'))
  return True


def _of_selection(folder: str) -> int:
  if _HISTORY.value is not None:
    raise ValueError('Pass `selection` or `history`, not both.')
  names = tuple(_MEASURES.value or _OF_SELECTION)
  found = history_study.of_selection(folder, names)
  files_read = sorted(pathlib.Path(folder).glob('*.csv'))
  digests = {path.name: files.sha256(path) for path in files_read}
  record = _RECORD.open(digests, _COMPUTING.NOT_RECORDED)
  if not _is_finished(record):
    record.start()
    _conclude(record, *found, report.LABELS)
  return 0


def _work() -> int:
  if _SELECTION.value is not None:
    return _of_selection(_SELECTION.value)
  bank = _BANK.load(batch_size=_COMPUTING.batch_size)
  known, names = _known(bank)
  _check(bank, known, names)
  digests = dict(bank.digests())
  if _HISTORY.value is not None:
    digests['history'] = files.sha256(_HISTORY.value)
  record = _RECORD.open(digests, _COMPUTING.NOT_RECORDED)
  if _is_finished(record):
    return _BANK.report(record)
  output = record.output
  record.start()
  options = _COMPUTING.options()
  measures, alike = {}, {}
  if of_networks := [name for name in names if name != _DOMAIN_SIMILARITY]:
    with record.stage('networks'):
      measures = _of_networks(bank, known, of_networks, output, options)
    columns = [known.networks.index(target) for target in known.targets]
    alike = {name: values[:, columns] for name, values in measures.items()}
  if _DOMAIN_SIMILARITY in names:
    with record.stage('domains'):
      alike[_DOMAIN_SIMILARITY] = _between_domains(bank, known, output, options)
  record.note('left_out', _BANK.left_out)
  _conclude(record, known, measures, alike, 'no labels')
  return _BANK.report(record)


def main() -> int:
  return _BANK.carry_out(_work, _RECORD)


if __name__ == '__main__':
  cli.run(main, FLAGS)
