"""Measures the transfers of a mini bank and derives its oracle.

  python -m experiments.measure_transfers --bank_dir=work/bank

trains a readout from every frozen encoder to every target, for several seeds
and with many and few labels, and writes `oracle.csv` and its tables into the
bank's folder. A killed run goes on where it stopped.
"""

from collections.abc import Sequence

from absl import app, flags, logging

from experiments import mini_bank, transfers
from toolkit_basics import cli, progress

_BANK_DIR = flags.DEFINE_string(
  'bank_dir', 'work/mini_bank', 'Folder of the trained bank.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', 'work/data', 'Folder of the rendered scenes.'
)
_NUM_IMAGES = flags.DEFINE_list(
  'num_images', ['2000', '200'], 'Numbers of training pictures.'
)
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Number of seeds.', lower_bound=1)
_WORKERS = flags.DEFINE_integer('workers', 2, 'Processes.', lower_bound=1)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  plan = transfers.TransferPlan(
    num_images=tuple(int(number) for number in _NUM_IMAGES.value),
    seeds=tuple(range(_SEEDS.value)),
  )
  transfers.measure(
    _BANK_DIR.value,
    _DATA_DIR.value,
    mini_bank.data_sizes(_BANK_DIR.value),
    plan,
    _WORKERS.value,
    progress.track,
  )
  transfers.write_oracle(_BANK_DIR.value, plan)
  for row in transfers.stability_table(_BANK_DIR.value, plan):
    logging.info('%s', row)


if __name__ == '__main__':
  cli.run(main)
