"""Tests of the errors that files of others cause."""

from absl.testing import absltest

from frozen_graphs import errors
from frozen_graphs.errors import GraphError, UnsafeGraphError


class ErrorsTest(absltest.TestCase):
  def test_message_is_one_line_whatever_a_name_in_the_file_is(self):
    error = UnsafeGraphError('the node a\n\x1b[2Jb is ' + 'long' * 10**5)
    self.assertStartsWith(str(error), 'the node a [2Jb is long')
    self.assertLessEqual(len(str(error)), 2000)

  def test_about_keeps_the_kind_of_our_own_errors(self):
    with (
      self.assertRaisesRegex(UnsafeGraphError, '^a.pb: it is bad$'),
      errors.about('a.pb'),
    ):
      raise UnsafeGraphError('it is bad')

  def test_about_makes_others_plain(self):
    with (
      self.assertRaisesRegex(ValueError, '^a.pb: .*utf-8') as raised,
      errors.about('a.pb'),
    ):
      b'\xff'.decode('utf-8')
    self.assertIs(type(raised.exception), ValueError)

  def test_everything_foreign_becomes_ours_at_the_door(self):
    for error, reason in (
      (KeyError('x'), 'is it damaged.*KeyError'),
      (RecursionError(), 'nested too deep to be read'),
      (MemoryError(), 'not enough memory for it to be read'),
    ):
      with (
        self.assertRaisesRegex(GraphError, f'^a.pb: .*{reason}'),
        errors.at_the_door('a.pb', 'be read'),
      ):
        raise error

  def test_an_object_in_memory_is_not_damaged(self):
    with (
      self.assertRaisesRegex(
        GraphError, '^the Net: it cannot be converted .Ke'
      ),
      errors.at_the_door('the Net', 'be converted', damaged=False),
    ):
      raise KeyError('x')

  def test_what_a_user_can_mend_passes_the_door(self):
    for error in (FileNotFoundError(2, 'No such file'), GraphError('mine')):
      with (
        self.assertRaises(type(error)) as raised,
        errors.at_the_door('a.pb', 'be read'),
      ):
        raise error
      self.assertIs(raised.exception, error)

  def test_a_long_reason_of_another_library_is_cut(self):
    with (
      self.assertRaisesRegex(GraphError, r'failed: .x+ \.\.\. x+') as raised,
      errors.explaining('It failed', KeyError),
    ):
      raise KeyError('x' * 5000)
    self.assertLess(len(str(raised.exception)), 1100)


if __name__ == '__main__':
  absltest.main()
