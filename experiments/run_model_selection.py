"""Which of several models to take for labelled data of one's own.

  python -m experiments.run_model_selection --bank=FOLDER --train_dir=DIR
  python -m experiments.run_model_selection

DIR has a folder of images for each class; without it, classes and numbers of
procedural scenes are the targets. All networks of the bank compete, of any
architecture and input size; their features are averaged over space (--grid=1)
and scored by every label-based measure, and a readout is really trained from
each. A killed run goes on with --resume.
"""

from experiments import selection_cli
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import Data
from experiments.selection_cli import Plan
from taskonomy_models.bank import Bank


def plan(bank: Bank, data: Data) -> Plan:
  """All networks compete for every target."""
  if len(bank.names) < 3:
    raise ValueError(
      f'The bank {bank.name!r} has {len(bank.names)} networks; 3 are needed to '
      'speak of an order.'
    )
  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  return Plan(candidates, [Case(n, n, bank.names) for n in data.targets])


if __name__ == '__main__':
  selection_cli.run('model_selection', plan, grid=1)
