"""Which of several models to take for labelled data of one's own.

  python -m experiments.run_model_selection --bank=FOLDER --train_dir=DIR
  python -m experiments.run_model_selection

DIR has a folder of images for each class; without it, classes and numbers of
procedural scenes are the targets. All networks of the bank compete, of any
architecture and input size; their features are averaged over space (--grid=1)
and scored by every label-based measure, and a readout is really trained from
each: they are printed in that order, and report.html shows them in it. A killed
run goes on with --resume.
"""

import toolkit_basics.cli as cli
from experiments import selection_cli, shared_flags
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import LabelledImages
from experiments.selection_cli import Plan
from taskonomy_models.bank import Bank

FLAGS = cli.Flags()
_SELECTION = selection_cli.Selection(FLAGS, 'model_selection', grid=1)
_NETWORKS = shared_flags.networks(FLAGS, None, 'by default all')


def plan(bank: Bank, data: LabelledImages) -> Plan:
  """The networks compete for every target."""
  if len(bank.names) < 3:
    raise ValueError(
      f'{len(bank.names)} networks of the bank {bank.name!r}; 3 are needed to '
      'speak of an order.'
    )
  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  return Plan(candidates, [Case(n, n, bank.names) for n in data.targets])


def main() -> int:
  return _SELECTION.conduct(plan, best_first=True, networks=_NETWORKS.value)


if __name__ == '__main__':
  cli.run(main, FLAGS)
