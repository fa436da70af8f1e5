"""Gives the networks of a mini bank heads: what each predicts of a scene.

  python -m experiments.add_heads --bank=mini --output=work/mini_heads

trains a readout of every network's own task on the scenes that it was trained
on, and writes a copy of the bank whose graphs go on to the prediction. With it,
`recommend --target=NAME` asks how well candidates predict what the network of
the target does. A killed run goes on with the first head that is not done.
"""

import toolkit_basics.cli as cli
from experiments import shared_flags
from taskonomy_models import bank as banks
from taskonomy_models.mini import building, heads
from toolkit_basics import progress

FLAGS = cli.Flags()
_BANK = shared_flags.bank(FLAGS)
_OUTPUT = shared_flags.output(FLAGS, 'work/heads', 'the folder of the copy')
_DATA_DIR = shared_flags.data_dir(FLAGS)
_WORKERS = shared_flags.workers(FLAGS)


def main() -> None:
  heads.add_all(
    banks.load(_BANK.value),
    _OUTPUT.value,
    building.Scenes(_DATA_DIR.value),
    workers=_WORKERS.value,
    progress=progress.track,
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
