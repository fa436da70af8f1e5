import dataclasses
import math

from absl.testing import absltest

from transferability import functions


@dataclasses.dataclass(frozen=True)
class _Entry(functions.Registered):
  needs: tuple[str, ...] = ('x',)


def _power(x, *, exponent=2):
  """Returns x to a power."""
  return math.inf if x is math.inf else x**exponent


class FunctionsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    # A package without modules that register anything here.
    self.register = functions.Register('power', 'transferability.data', _Entry)
    self.register.add('square', cost='O(1)', reference='Euclid')(_power)
    self.entry = self.register.info('square')

  def test_a_function_is_found_by_name_with_its_facts(self):
    self.assertEqual(self.register.names(), ('square',))
    self.assertEqual(self.entry.options, {'exponent': 2})
    self.assertEqual(self.entry.needs, ('x',))
    self.assertEqual(self.entry.value(3, exponent=3), 27.0)
    with self.assertRaisesRegex(ValueError, "No power 'cube'.*square"):
      self.register.info('cube')

  def test_what_is_wrong_is_said(self):
    with self.assertRaisesRegex(ValueError, "no option 'luck'.*exponent"):
      self.entry.check({'luck': 1})
    with self.assertRaisesRegex(ValueError, 'square is inf on these inputs'):
      self.entry.value(math.inf)
    with self.assertRaisesRegex(ValueError, 'square needs x'):
      self.entry.pick({'x': None}, self.entry.needs)


if __name__ == '__main__':
  absltest.main()
