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

from absl import flags

from attribution import methods
from experiments import selection_cli
from experiments.selection import label_free
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import Data
from experiments.selection_cli import Plan
from taskonomy_models.bank import Bank
from toolkit_basics import progress

_METHODS = flags.DEFINE_list(
  'methods',
  ['saliency', 'gradient_times_input', 'elrp'],
  f'Attribution methods, of {list(methods.names())}; with none, label-free '
  'measures are left out.',
)
flags.register_validator(
  'methods',
  lambda chosen: set(chosen) <= set(methods.names()),
  f'choose from {", ".join(methods.names())}',
)
_NUM_UNLABELLED = flags.DEFINE_integer(
  'num_unlabelled',
  200,
  'Images of the label-free measures: the first ones to train on.',
  lower_bound=3,
)


def plan(bank: Bank, data: Data) -> Plan:
  """Every network competes for every target that it was not trained for."""
  networks = {
    name: target.network if target.network in bank.names else None
    for name, target in data.targets.items()
  }
  cases = [
    Case(name, name, tuple(n for n in bank.names if n != networks[name]))
    for name in data.targets
  ]

  def near(features, output):
    del features  # The maps have a forward pass of their own.
    pairs = {
      case.name: (networks[case.target], case.candidates)
      for case in cases
      if networks[case.target] is not None
    }
    if not pairs or not _METHODS.value:
      return None
    number = min(_NUM_UNLABELLED.value, data.num_train)
    return label_free.compute(
      bank,
      data.images[:number],
      output,
      methods=_METHODS.value,
      track=progress.track,
      **selection_cli.options(),
    ).near(pairs)

  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  return Plan(candidates, cases, near)


def main() -> None:
  selection_cli.run('source_selection', plan, (_METHODS, _NUM_UNLABELLED))


if __name__ == '__main__':
  main()
