"""Tests of the progress of long work."""

import io
from unittest import mock

from absl.testing import absltest, parameterized

from toolkit_basics import progress


class _Terminal(io.StringIO):
  def isatty(self) -> bool:
    return True


class _Clock:
  """A clock that the test moves."""

  def __init__(self):
    self.now = 1000.0

  def monotonic(self) -> float:
    return self.now


class ProgressTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.clock = _Clock()
    self.enter_context(mock.patch.object(progress, 'time', self.clock))


class BarTest(ProgressTestCase):
  def test_all_steps_are_shown_however_they_are_counted(self):
    stream = _Terminal()
    with mock.patch.object(progress.sys, 'stderr', stream):
      with progress.Bar(7, 'Projecting') as bar:
        for steps in (1, 4, 2):
          bar.advance(steps)
    last = stream.getvalue().rstrip('\n').split('\r')[-1]
    self.assertStartsWith(last, 'Projecting: 100%')
    self.assertIn('7/7', last)

  def test_elsewhere_a_line_a_minute_counts_the_steps(self):
    with mock.patch.object(progress.sys, 'stderr', io.StringIO()):
      with self.assertLogs('absl', 'INFO') as logs:
        with progress.Bar(40, 'Projecting') as bar:
          for steps in (5, 0, 15):
            self.clock.now += 30.0
            bar.advance(steps)
          self.clock.now += 30.0
          bar.advance(0)
    self.assertEqual(
      [record.getMessage() for record in logs.records],
      [
        'Projecting: 5 of 40, 0:07:00 left',
        'Projecting: 20 of 40, 0:02:00 left',
      ],
    )

  def test_it_is_closed_by_an_error(self):
    stream = _Terminal()
    with mock.patch.object(progress.sys, 'stderr', stream):
      with self.assertRaisesRegex(ValueError, 'inside'):
        with progress.Bar(2, 'Drawing') as bar:
          bar.advance()
          raise ValueError('inside')
    self.assertEndsWith(stream.getvalue(), '\n')


class TrackTest(ProgressTestCase):
  def _lines(self, iterable, seconds, **kwargs):
    """Returns the lines that are logged while items take `seconds` each."""
    with mock.patch.object(progress.sys, 'stderr', io.StringIO()):
      with self.assertLogs('absl', 'INFO') as logs:
        progress.logging.info('start')
        for _ in progress.track(iterable, **kwargs):
          self.clock.now += seconds
    return [record.getMessage() for record in logs.records[1:]]

  @parameterized.parameters(io.StringIO, _Terminal)
  def test_items_come_in_order_and_once(self, stream):
    with mock.patch.object(progress.sys, 'stderr', stream()):
      self.assertEqual(list(progress.track(iter('abc'))), ['a', 'b', 'c'])
      self.assertEqual(list(progress.track([])), [])

  @parameterized.parameters(io.StringIO, _Terminal)
  def test_nothing_is_taken_ahead_of_its_time(self, stream):
    taken = []
    items = (taken.append(i) or i for i in range(3))
    with mock.patch.object(progress.sys, 'stderr', stream()):
      for i in progress.track(items):
        self.assertEqual(taken, list(range(i + 1)))

  def test_terminal_gets_a_bar_with_its_description(self):
    stream = _Terminal()
    with mock.patch.object(progress.sys, 'stderr', stream):
      list(progress.track(range(3), description='Reading'))
    self.assertIn('Reading', stream.getvalue())
    self.assertIn('3/3', stream.getvalue())

  def test_short_work_is_silent_elsewhere(self):
    self.assertEmpty(self._lines(range(50), 1.0))

  def test_long_work_gets_a_line_a_minute_with_the_time_left(self):
    lines = self._lines(range(10), 20.0, description='Projecting')
    self.assertEqual(
      lines,
      [
        'Projecting: 3 of 10, 0:02:20 left',
        'Projecting: 6 of 10, 0:01:20 left',
        'Projecting: 9 of 10, 0:00:20 left',
      ],
    )

  def test_hours_are_counted(self):
    lines = self._lines(range(100), 360.0)
    self.assertEndsWith(lines[0], '1 of 100, 9:54:00 left')

  def test_total_of_an_iterator_can_be_told(self):
    lines = self._lines(iter(range(2)), 90.0, total=2)
    self.assertEndsWith(lines[0], '1 of 2, 0:01:30 left')

  def test_without_a_total_the_time_gone_is_shown(self):
    lines = self._lines(iter(range(2)), 90.0, description='Reading')
    self.assertEqual(lines[0], 'Reading: 1 after 0:01:30')

  def test_error_in_the_work_is_passed_on(self):
    def broken():
      yield 1
      raise ValueError('inside')

    with self.assertRaisesRegex(ValueError, 'inside'):
      list(progress.track(broken()))


if __name__ == '__main__':
  absltest.main()
