"""Trains the 20 networks of the mini bank on procedural scenes.

  python -m experiments.train_mini_bank --output=work/mini_bank

renders the scenes, trains one encoder and decoder a task, and writes the
frozen encoders, `bank.json` and `training.csv` (test losses). A killed run
goes on with the first network that is not done.
"""

from collections.abc import Sequence
import dataclasses

from absl import app, flags

from experiments import mini_bank
from taskonomy_models.mini import training as mini_training
from toolkit_basics import cli, progress

_DEFAULT = mini_training.Recipe()

_OUTPUT = flags.DEFINE_string('output', 'work/mini_bank', 'Folder of the bank.')
_DATA_DIR = flags.DEFINE_string(
  'data_dir', 'work/data', 'Folder of the rendered scenes.'
)
_STEPS = flags.DEFINE_integer(
  'steps', _DEFAULT.steps, 'Training steps.', lower_bound=1
)
_NOISE = flags.DEFINE_float(
  'noise',
  _DEFAULT.noise,
  'Largest standard deviation of the noise on training pictures in [-1, 1].',
  lower_bound=0.0,
)
_COMMON_START = flags.DEFINE_bool(
  'common_start',
  _DEFAULT.common_start,
  'Start all encoders from the same random weights.',
)
_SEED = flags.DEFINE_integer('seed', _DEFAULT.seed, 'Seed.', lower_bound=0)
_WORKERS = flags.DEFINE_integer('workers', 2, 'Processes.', lower_bound=1)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  recipe = dataclasses.replace(
    _DEFAULT,
    steps=_STEPS.value,
    noise=_NOISE.value,
    common_start=_COMMON_START.value,
    seed=_SEED.value,
  )
  mini_bank.train_bank(
    _OUTPUT.value,
    _DATA_DIR.value,
    recipe,
    workers=_WORKERS.value,
    progress=progress.track,
  )
  mini_bank.write_bank(_OUTPUT.value)


if __name__ == '__main__':
  cli.run(main)
