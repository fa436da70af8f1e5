"""Trains the 20 networks of the mini bank on procedural scenes.

  python -m experiments.train_mini_bank --output=work/mini_bank

renders the scenes, trains one encoder and decoder a task, and writes the
frozen encoders, `bank.json` and `training.csv` (test losses). A killed run
goes on with the first network that is not done.
"""

import dataclasses

import toolkit_basics.cli as cli
from experiments import shared_flags
from taskonomy_models.mini import building
from taskonomy_models.mini import training as mini_training
from taskonomy_models.mini.architectures import registry
from toolkit_basics import progress

_DEFAULT = mini_training.Recipe()

FLAGS = cli.Flags()
_OUTPUT = shared_flags.output(FLAGS, 'work/mini_bank', 'the folder of the bank')
_DATA_DIR = shared_flags.data_dir(FLAGS)
_STEPS = FLAGS.integer(
  'steps',
  'In how many steps each network is trained.',
  _DEFAULT.steps,
  lower_bound=1,
)
_NOISE = FLAGS.float(
  'noise',
  'Largest standard deviation of the noise on training pictures in [-1, 1].',
  _DEFAULT.noise,
  lower_bound=0.0,
)
_COMMON_START = FLAGS.bool(
  'common_start',
  'All encoders start from the same random weights.',
  _DEFAULT.common_start,
)
_ARCHITECTURE = FLAGS.enum(
  'architecture',
  'Of the encoders; mixed gives each of four to five tasks.',
  (*registry.names(), registry.MIXED),
  _DEFAULT.architecture,
)
_SEED = shared_flags.seed(FLAGS, _DEFAULT.seed)
_WORKERS = shared_flags.workers(FLAGS)


def main() -> None:
  recipe = dataclasses.replace(
    _DEFAULT,
    steps=_STEPS.value,
    noise=_NOISE.value,
    common_start=_COMMON_START.value,
    seed=_SEED.value,
    architecture=_ARCHITECTURE.value,
  )
  building.train_bank(
    _OUTPUT.value,
    building.Scenes(_DATA_DIR.value),
    recipe,
    workers=_WORKERS.value,
    progress=progress.track,
  )
  building.write_bank(_OUTPUT.value)


if __name__ == '__main__':
  cli.run(main, FLAGS)
