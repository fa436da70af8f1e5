"""Measures transfers from two and three sources at once, of a mini bank.

  python -m experiments.measure_higher_order --output=work/higher_order

trains a readout from every frozen encoder to every target, from all pairs of
its five best sources, and from the best pair with each of the others, and
writes their losses to `higher_order.csv`, which `run_transfer_graph --order=2`
takes. A killed run goes on where it stopped.
"""

import os

import toolkit_basics.cli as cli
from experiments import shared_flags, transfer_choices
from taskonomy_models import bank as banks
from taskonomy_models.mini import building, higher_order, readouts
from toolkit_basics import progress

FLAGS = cli.Flags()
_BANK = shared_flags.bank(FLAGS)
_DATA_DIR = shared_flags.data_dir(FLAGS)
_OUTPUT = FLAGS.path(
  'output', 'Folder of the table, and of what is kept on the way.'
)
_NUM_TRAIN = FLAGS.integer(
  'num_train', 'Number of training pictures.', 2000, lower_bound=10
)
_STEPS = FLAGS.integer(
  'steps',
  'In how many steps each readout is trained.',
  readouts.ReadoutRecipe().steps,
  lower_bound=5,
)
_TARGETS = FLAGS.list(
  'targets',
  'Only these targets; by default all.',
  higher_order.HigherOrderPlan().targets,
)
_WORKERS = shared_flags.workers(FLAGS)
FLAGS.require(_OUTPUT)
FLAGS.claim(lambda: _OUTPUT.value)


def main() -> None:
  bank = banks.load(_BANK.value)
  known = higher_order.HigherOrderPlan().targets
  if unknown := sorted(set(_TARGETS.value) - set(known)):
    raise ValueError(
      f'No target is named {unknown[0]!r}; choose from {", ".join(known)}.'
    )
  plan = higher_order.HigherOrderPlan(
    targets=tuple(_TARGETS.value),
    num_images=_NUM_TRAIN.value,
    recipe=readouts.ReadoutRecipe(steps=_STEPS.value),
  )
  scenes = building.Scenes(_DATA_DIR.value, building.data_sizes(bank.folder))
  losses = higher_order.measure(
    *(bank.folder, scenes, _OUTPUT.value, plan, _WORKERS.value, progress.track)
  )
  path = os.path.join(_OUTPUT.value, transfer_choices.HIGHER_ORDER)
  transfer_choices.write_losses(path, losses)
  several = sum(len(sources) > 1 for _, sources in losses)
  print(
    f'{len(losses)} transfers, {several} of them from several sources: {path}'
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
