"""Which of several models to take for labelled data of one's own.

  python -m experiments.run_model_selection --bank=FOLDER --train_dir=DIR
  python -m experiments.run_model_selection

DIR has a folder of images for each class; without it, classes and numbers of
procedural scenes are the targets. All networks of the bank compete, of any
architecture and input size; their features are averaged over space (--grid=1)
and scored by every label-based measure, and a readout is really trained from
each: they are printed in that order, and report.html shows them in it. With
--target_bank=mini, label-free measures compare them with networks that were
trained for targets on scenes. A killed run goes on with --resume.
"""

import dataclasses
import functools

import toolkit_basics.cli as cli
from experiments import selection_cli, shared_flags
from experiments.selection import label_free
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import LabelledImages
from experiments.selection_cli import Plan
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank

FLAGS = cli.Flags()
_SELECTION = selection_cli.Selection(FLAGS, 'model_selection', grid=1)
_NETWORKS = shared_flags.networks(FLAGS, None, 'by default all')
_TARGET_BANK = FLAGS.path(
  'target_bank',
  'A bank, by name or folder, with networks that were trained for the targets. '
  'They do not compete; the candidates are also ranked, without labels, by how '
  'alike their features are, and where those have heads, by how well they '
  'predict what those predict.',
)
_NUM_UNLABELLED = selection_cli.num_unlabelled(FLAGS)


def plan(bank: Bank, data: LabelledImages, others: Bank | None = None) -> Plan:
  """The networks compete for every target.

  Args:
    bank: The candidates.
    data: Images and targets.
    others: Networks that were trained for targets; they do not compete.
  """
  if len(bank.names) < 3:
    raise ValueError(
      f'{len(bank.names)} networks of the bank {bank.name!r}; 3 are needed to '
      'speak of an order.'
    )
  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  cases = [Case(name, name, bank.names) for name in data.targets]
  if others is None:
    return Plan(candidates, cases)
  candidates += _networks_of_targets(bank, data, others)
  number = min(_NUM_UNLABELLED.value, data.num_train)
  return Plan(candidates, cases, selection_cli.near_by_features(number))


def _networks_of_targets(
  bank: Bank, data: LabelledImages, others: Bank
) -> list[Candidate]:
  needed = {target.network for target in data.targets.values()}
  found = [each for each in others.encoders if each.name in needed]
  if not found:
    raise ValueError(
      f'The bank {others.name!r} has no network for {", ".join(data.targets)}.'
    )
  banks.merge(bank, dataclasses.replace(others, encoders=tuple(found)))
  return [
    *(Candidate(encoder.name, encoder) for encoder in found),
    *(
      Candidate(label_free.prediction_of(encoder.name), encoder.predictor)
      for encoder in found
      if encoder.predictor is not None
    ),
  ]


def main() -> int:
  others, digests = None, {}
  if _TARGET_BANK.value is not None:
    others = banks.load(_TARGET_BANK.value)
    digests['target_bank'] = others.digests()
  return _SELECTION.conduct(
    functools.partial(plan, others=others),
    best_first=True,
    networks=_NETWORKS.value,
    digests=digests,
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
