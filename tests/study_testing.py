"""A study of the small bank of `bank_testing`, conducted once."""

import pathlib

from experiments import study
from tests import bank_testing
from tests.tracking_testing import silent


def write_second(folder: pathlib.Path) -> None:
  """Writes a bank of three networks without an oracle."""
  content = bank_testing.write(folder, oracle=False)
  content['name'] = 'second'
  content['encoders'] = [
    {**entry, 'name': f'{entry["name"]}_2', 'group': 'other'}
    for entry in content['encoders'][1:]
  ]
  bank_testing.write_json(folder, content)


def make(folder: pathlib.Path, **settings) -> study.Study:
  """Returns a study of four tiny networks on a dozen pictures of noise."""
  bank, second = folder / 'bank', folder / 'second_bank'
  if not bank.exists():
    bank_testing.write(bank)
    write_second(second)
  options = {
    'probes': ('noise',),
    'num_images': 12,
    'batch_size': 4,
    'image_size': bank_testing.SIZE,
  }
  return study.Study(
    folder / 'output',
    study.Settings(
      bank=str(bank), second_bank=str(second), **(options | settings)
    ),
    track=silent,
  )
