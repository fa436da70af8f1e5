"""Lets pytest run the absl tests, several at once, and tidies up after them."""

import os

from absl import flags
from absl.testing import absltest
import pytest

# Each holds TensorFlow: a gigabyte and more.
_MOST_PROCESSES = 4


# Thousands of files are loaded here that nobody made to do harm; the tests of
# `sandbox` say what they want.
os.environ.setdefault('ATTRIBUTION_TRANSFER_TRUST', 'checks')


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
  """Returns 0, for no other process than this, if single files are named.

  Else one for each core. pytest-xdist itself would count those of the machine,
  and not those that this process may use.
  """
  if all('.py' in argument for argument in config.args):
    return 0
  if hasattr(os, 'sched_getaffinity'):
    cores = len(os.sched_getaffinity(0))
  else:
    cores = os.cpu_count() or 1
  return min(cores, _MOST_PROCESSES)


@pytest.fixture(scope='session', autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
  """Parses absl's flags; `create_tempdir` is to work below pytest's folder."""
  folder = tmp_path_factory.mktemp('absl')
  flags.FLAGS(['pytest', f'--{absltest.TEST_TMPDIR.name}={folder}'])
