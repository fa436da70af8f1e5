"""Tests of the limits of NumPy's threads."""

from absl.testing import absltest
import threadpoolctl

from toolkit_basics import blas


def _threads():
  found = threadpoolctl.threadpool_info()
  return {each['num_threads'] for each in found if each['user_api'] == 'blas'}


class BlasTest(absltest.TestCase):
  def test_within_it_one_thread_and_afterwards_what_was_before(self):
    before = _threads()
    with blas.one_thread():
      self.assertEqual(_threads(), {1})
    self.assertEqual(_threads(), before)


if __name__ == '__main__':
  absltest.main()
