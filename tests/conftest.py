"""Lets pytest run the absl tests, with temporary folders that it tidies up."""

from absl import flags
from absl.testing import absltest
import pytest


@pytest.fixture(scope='session', autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
  """Parses absl's flags; `create_tempdir` is to work below pytest's folder."""
  folder = tmp_path_factory.mktemp('absl')
  flags.FLAGS(['pytest', f'--{absltest.TEST_TMPDIR.name}={folder}'])
