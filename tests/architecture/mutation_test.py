"""Tests of the changes that tests are asked to find."""

import ast
import pathlib
from unittest import mock

from absl.testing import absltest

from tests import mutation

_SOURCE = '''
def low(x: int, y=(1 < 2)) -> bool:
  """Says -1 < 0."""
  if not x:
    return x <= 3 and y
  return -x
'''


class MutantsTest(absltest.TestCase):
  def test_each_is_one_change_of_what_is_computed(self):
    found = list(mutation.mutants('some.py', _SOURCE))
    self.assertCountEqual(
      [mutant.change for mutant in found],
      [
        '1 < 2 -> 1 <= 2',
        '1 -> 2',
        '2 -> 3',
        'not x -> x',
        'x <= 3 and y -> x <= 3 or y',
        'x <= 3 -> x < 3',
        '3 -> 4',
        '-x -> x',
      ],
    )
    original = ast.unparse(ast.parse(_SOURCE))
    self.assertLen({original, *(m.source for m in found)}, len(found) + 1)
    self.assertEqual({m.line for m in found}, {2, 4, 5, 6})

  def test_what_no_caller_can_see_is_left_alone(self):
    source = """
_BLOCK = 4
@dataclass(frozen=True)
class C:
  seed: int = 0
def f(a, seed=0, *, b):
  if zip(a, b, strict=True, extra=5):
    raise ValueError('one' * 2) from None
  return solve(a, check_finite=False)
"""
    self.assertEqual(
      [m.change for m in mutation.mutants('some.py', source)],
      [
        'if zip(a, b, strict=True, extra=5): -> '
        'if not zip(a, b, strict=True, extra=5):',
        '5 -> 6',
      ],
    )

  def test_tests_mirror_modules_or_are_those_of_the_folder(self):
    self.assertEqual(
      mutation.tests_of('transferability/hubs.py'),
      ['tests/transferability/hubs_test.py'],
    )
    self.assertEqual(
      mutation.tests_of('transferability/measures/logme.py'),
      ['tests/transferability/measures'],
    )
    self.assertIn(
      'tests/transferability/grouping_test.py',
      mutation.tests_of('transferability/permutations.py'),
    )

  def test_other_tests_of_the_package_that_name_a_module_are_found(self):
    found = mutation.tests_naming(
      'transferability/similarity/attribution_kernel.py'
    )
    self.assertIn('tests/transferability/subspaces_test.py', found)
    for name in found:
      self.assertNotStartsWith(name, 'tests/transferability/similarity/')
      self.assertIn('attribution_kernel', (mutation.ROOT / name).read_text())


class SurvivorsTest(absltest.TestCase):
  """Real tests, in real copies of this process."""

  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    (root / 'some.py').write_text('def more(x):\n  return x + 1\n')
    self.test = root / 'some_check.py'
    self.test.write_text(
      'import some\n\ndef test_it():\n  assert some.more(2) > 2\n'
    )
    self.enterContext(mock.patch.object(mutation, 'ROOT', root))
    self.enterContext(mock.patch('sys.path', [str(root), *mutation.sys.path]))
    source = (root / 'some.py').read_text()
    self.mutants = list(mutation.mutants('some.py', source))

  def test_what_no_test_finds_survives(self):
    tried = [(m, [str(self.test)]) for m in self.mutants]
    left = mutation.survivors(tried, 2)
    self.assertEqual([m.change for m in left], ['1 -> 2'])

  def test_tests_that_fail_anyhow_are_refused(self):
    self.test.write_text('def test_it():\n  assert False\n')
    with self.assertRaisesRegex(ValueError, 'fails without any change'):
      mutation.survivors([(self.mutants[0], [str(self.test)])], 1)


if __name__ == '__main__':
  absltest.main()
