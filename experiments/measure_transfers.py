"""Measures the transfers of a mini bank and derives its oracle.

  python -m experiments.measure_transfers --bank=work/bank

trains a readout from every frozen encoder to every target, for several seeds
and with many and few labels, and writes `oracle.csv` and its tables into the
bank's folder. A killed run goes on where it stopped.
"""

from absl import logging

import toolkit_basics.cli as cli
from experiments import shared_flags
from taskonomy_models.mini import building, transfers
from toolkit_basics import progress

FLAGS = cli.Flags()
_BANK = FLAGS.path('bank', 'Folder of the trained bank.', 'work/mini_bank')
FLAGS.claim(lambda: _BANK.value)
_DATA_DIR = shared_flags.data_dir(FLAGS)
_NUM_TRAIN = FLAGS.integers(
  'num_train',
  'Numbers of training pictures; for each the transfers are measured.',
  [2000, 200],
  lower_bound=1,
)
_SEEDS = FLAGS.integer(
  'seeds', 'How often each readout is trained.', 3, lower_bound=1
)
_WORKERS = shared_flags.workers(FLAGS)


def main() -> None:
  plan = transfers.TransferPlan(
    num_images=tuple(_NUM_TRAIN.value),
    seeds=tuple(range(_SEEDS.value)),
  )
  scenes = building.Scenes(_DATA_DIR.value, building.data_sizes(_BANK.value))
  transfers.measure(_BANK.value, scenes, plan, _WORKERS.value, progress.track)
  transfers.write_oracle(_BANK.value, plan)
  for row in transfers.stability_table(_BANK.value, plan):
    logging.info('%s', row)


if __name__ == '__main__':
  cli.run(main, FLAGS)
