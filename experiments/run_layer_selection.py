"""Which layer to transfer: do scores predict what training gives?

  python -m experiments.run_layer_selection
  python -m experiments.run_layer_selection --networks=reshade --num_layers=12

The candidates are layers of one network, for each of several networks and
targets; a readout is really trained from each. Features are averaged over a
grid, so that a layer is not better only because its pictures are larger. Where
the bank has a network for the target, similarities to its representation are
compared too. A killed run goes on with --resume.
"""

import toolkit_basics.cli as cli
from experiments import selection_cli, shared_flags
from experiments.selection.features import Candidate, layers
from experiments.selection.study import Case
from experiments.selection.targets import LabelledImages
from experiments.selection_cli import Plan
from taskonomy_models.bank import Bank

FLAGS = cli.Flags()
_SELECTION = selection_cli.Selection(
  FLAGS,
  'layer_selection',
  grid=2,
  scene_targets=('scene_class', 'shape_class', 'mean_depth'),
)
_NETWORKS = shared_flags.networks(
  FLAGS, None, 'by default the first, the middle and the last one'
)
_NUM_LAYERS = FLAGS.integer(
  'num_layers',
  'How many layers of each network compete; they are evenly spaced.',
  8,
  lower_bound=3,
)
_NUM_UNLABELLED = selection_cli.num_unlabelled(FLAGS)


def plan(bank: Bank, data: LabelledImages) -> Plan:
  """The layers of each network compete for each target."""
  encoders = {encoder.name: encoder for encoder in bank.encoders}
  some = [bank.names[i] for i in (0, len(bank.names) // 2, -1)]
  wanted = _NETWORKS.value or some
  candidates, cases = [], []
  for network in (name for name in bank.names if name in wanted):
    cut = layers(encoders[network], _NUM_LAYERS.value)
    if len(cut) < 3:
      raise ValueError(
        f'{network} has {len(cut)} layers to choose from; 3 are needed.'
      )
    own = [
      Candidate(f'{network}.layer{number:02d}', encoder)
      for number, encoder in enumerate(cut, start=1)
    ]
    candidates += own
    names = tuple(candidate.name for candidate in own)
    cases += [
      Case(f'{network}-{target}', target, names) for target in data.targets
    ]
  if not cases:
    raise ValueError(f'None of the networks {wanted} can be used.')
  needed = {target.network for target in data.targets.values()} & set(encoders)
  candidates += [Candidate(name, encoders[name]) for name in sorted(needed)]

  number = min(_NUM_UNLABELLED.value, data.num_train)
  near = selection_cli.near_by_features(number)
  return Plan(candidates, cases, near)


def main() -> int:
  names = _NETWORKS.value
  # Similarities are to the networks of targets.
  with_those = names and [*names, *_SELECTION.networks_of_targets()]
  return _SELECTION.conduct(plan, networks=with_those)


if __name__ == '__main__':
  cli.run(main, FLAGS)
