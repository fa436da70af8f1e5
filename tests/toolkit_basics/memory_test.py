"""Tests of memory that is given back."""

import pathlib
import unittest
import weakref

from absl.testing import absltest
import numpy as np

from toolkit_basics import memory

_STATUS = pathlib.Path('/proc/self/statm')
_PAGE = 4096


class _Ring:
  """Holds itself."""

  def __init__(self):
    # Parts are too small to be mapped one by one, and so stay with the library.
    self.parts = [np.ones(2**12) for _ in range(2000)]
    self.own = self


class GiveBackTest(absltest.TestCase):
  def test_what_only_holds_itself_is_freed(self):
    ring = weakref.ref(_Ring())
    memory.give_back()
    self.assertIsNone(ring())

  @unittest.skipUnless(_STATUS.exists(), 'The system does not tell.')
  def test_the_system_gets_it(self):
    def resident():
      return int(_STATUS.read_text().split()[1]) * _PAGE

    ring = _Ring()
    held = resident()
    del ring
    memory.give_back()
    self.assertLess(resident(), held - 2**25)


if __name__ == '__main__':
  absltest.main()
