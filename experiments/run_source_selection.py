"""Which network to transfer from: do scores predict what training gives?

  python -m experiments.run_source_selection
  python -m experiments.run_source_selection --targets=scene_class,mean_depth

Extracts the features of all networks of a bank once, scores them by every
label-based measure, really trains a readout from each, and reports how far the
order of scores is the order of measured performance. Where the bank has a
network for the target, the label-free family (attribution maps, similarities)
is compared too; that network itself does not compete. Where it is known what
the networks were trained on (the mini bank's scenes), source-data measures are,
and static lists in any case. The default takes the mini bank and procedural
scenes. A killed run goes on with --resume.
"""

import toolkit_basics.cli as cli
from experiments import selection_cli, shared_flags
from experiments.selection import label_free, source_samples, strengths
from experiments.selection.features import Candidate
from experiments.selection.study import Case
from experiments.selection.targets import LabelledImages
from experiments.selection_cli import Plan
from taskonomy_models.bank import Bank
from toolkit_basics import progress

FLAGS = cli.Flags()
_SELECTION = selection_cli.Selection(FLAGS, 'source_selection')
_METHODS = shared_flags.methods(
  FLAGS, '; with none, label-free measures are left out', may_be_empty=True
)
_NUM_UNLABELLED = selection_cli.num_unlabelled(FLAGS)
_NUM_TWINS = FLAGS.integer(
  'num_twins',
  'How many untrained twins of each network show whether its likeness to them '
  'tells anything; fewer than 3 leave that out.',
  3,
  lower_bound=0,
)
_NUM_SOURCE = FLAGS.integer(
  'num_source',
  'How many images that the networks were trained on are looked at by '
  'source-data measures, where these are known; 0 leaves them out.',
  400,
  lower_bound=0,
)


def plan(bank: Bank, data: LabelledImages) -> Plan:
  """Every network competes for every target that it was not trained for."""
  cases = [
    Case(name, name, tuple(n for n in bank.names if n != target.network))
    for name, target in data.targets.items()
  ]

  def near(pairs, features, output):
    del features  # The maps have a forward pass of their own.
    number = min(_NUM_UNLABELLED.value, data.num_train)
    return label_free.compute(
      bank,
      data.images[:number],
      output,
      pairs,
      methods=_METHODS.value,
      track=progress.track,
      **_SELECTION.options(),
    )

  def more(features, output):
    number = min(_NUM_UNLABELLED.value, data.num_train)
    options = {'grid': _SELECTION.grid, **_SELECTION.options()}
    found = [
      strengths.compute(
        candidates,
        {name: one.values[:number] for name, one in features.items()},
        data.images[:number],
        {case.name: case.candidates for case in cases},
        *(output, progress.track),
        num_twins=_NUM_TWINS.value,
        **options,
      )
    ]
    if _NUM_SOURCE.value and source_samples.has_samples(bank):
      samples = _SELECTION.source_samples(
        bank, _NUM_SOURCE.value, data.images.shape[1:3]
      )
      found.append(
        source_samples.compute(
          *(samples, candidates, data, features),
          {case.name: (case.target, case.candidates) for case in cases},
          *(output, progress.track),
          **options,
        )
      )
    return found

  candidates = [Candidate(encoder.name, encoder) for encoder in bank.encoders]
  return Plan(candidates, cases, near if _METHODS.value else None, more)


def main() -> int:
  return _SELECTION.conduct(plan)


if __name__ == '__main__':
  cli.run(main, FLAGS)
