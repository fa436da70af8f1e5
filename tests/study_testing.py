"""A study of the small bank of `bank_testing`, conducted once."""

import pathlib

from experiments import study
from tests import bank_testing


def make(folder: pathlib.Path, **settings) -> study.Study:
  """Returns a study of four tiny networks on a dozen pictures of noise."""
  bank = folder / 'bank'
  if not bank.exists():
    bank_testing.write(bank)
  options = {
    'probes': ('noise',),
    'num_images': 12,
    'batch_size': 4,
    'image_size': bank_testing.SIZE,
  }
  return study.Study(
    folder / 'output',
    study.Settings(bank=str(bank), **(options | settings)),
    track=lambda items, **_: items,
  )
