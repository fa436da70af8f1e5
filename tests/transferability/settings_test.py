"""Tests of the comparison of settings."""

from absl.testing import absltest, parameterized

from transferability import settings


class SettingsTest(parameterized.TestCase):
  @parameterized.parameters(
    ({'a': 1}, {'a': 2}, 'a is 1, not 2'),
    ({'a': {'b': 'x'}}, {'a': {'b': 'y'}}, "a.b is 'x', not 'y'"),
    ({'a': [1, 2]}, {'a': [1, 3]}, r'a\[1\] is 2, not 3'),
    ({'a': [1]}, {'a': [1, 3]}, 'a has 1 entries, not 2'),
    ({}, {'a': None}, 'a is missing'),
    ({'a': None}, {}, 'a is there, but not expected'),
    ({'a': True}, {'a': 1}, 'a is True, not 1'),
    ({'a': [1]}, {'a': 1}, r'a is \[1\], not 1'),
    ({'a': 1}, {'a': [1]}, r'a is 1, not \[1\]'),
    ({'a': {'b': 1}}, {'a': 1}, r"a is {'b': 1}, not 1"),
    ({'a': None}, {'a': {'b': 1}}, r"a is None, not {'b': 1}"),
    ({'a': [{'b': 1}]}, {'a': [{'b': 2}]}, r'a\[0\]\.b is 1, not 2'),
    ({'a': [1, 2]}, {'a': [1]}, 'a has 2 entries, not 1'),
  )
  def test_the_first_difference_is_named(self, found, wanted, text):
    self.assertRegex(settings.difference(found, wanted), f'^{text}$')

  def test_equal_settings_do_not_differ_nor_do_their_bytes(self):
    a = settings.normalised({'x': (1, 2), 'e': 1e-4, 'n': None}, 'a')
    b = settings.normalised({'n': None, 'e': 0.0001, 'x': [1, 2]}, 'b')
    self.assertEqual(settings.difference(a, b), '')
    self.assertEqual(settings.to_bytes(a), settings.to_bytes(b))

  @parameterized.parameters(float('nan'), complex(1, 2), object())
  def test_what_json_cannot_store_is_refused(self, value):
    with self.assertRaisesRegex(ValueError, 'the settings'):
      settings.normalised({'x': value}, 'the settings')


if __name__ == '__main__':
  absltest.main()
