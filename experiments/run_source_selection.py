"""Which network to transfer from: do scores predict what training gives?

  python -m experiments.run_source_selection
  python -m experiments.run_source_selection --targets=scene_class,mean_depth

Extracts the features of all networks of a bank once, scores them by every
label-based measure, really trains a readout from each, and reports how far the
order of scores is the order of measured performance. Where the bank has a
network for the target, the label-free family (attribution maps, similarities)
is compared too; that network itself does not compete. The default takes the
mini bank and procedural scenes. A killed run goes on with --resume.
"""

from experiments import selection_cli
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import Data
from taskonomy_models.bank import Bank


def plan(bank: Bank, data: Data) -> tuple[list[Candidate], list[Case]]:
  """Every network competes for every target that it was not trained for."""
  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  cases = [
    Case(
      name, name, tuple(n for n in bank.names if n != data.targets[name].network)
    )
    for name in data.targets
  ]
  return candidates, cases


if __name__ == '__main__':
  selection_cli.run('source_selection', plan, may_use_maps=True)
