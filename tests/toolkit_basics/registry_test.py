"""Tests of the registry of what is chosen by a name."""

import dataclasses
import importlib
import pathlib
import sys

from absl.testing import absltest

from toolkit_basics.registry import Registry


@dataclasses.dataclass(frozen=True)
class _Shape:
  sides: int = 3
  name = ''


class RegistryTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.shapes = Registry('shape')
    self.shapes.register('b')(1)
    self.shapes.register('a')(2)

  def test_entries_are_found_by_name_in_the_order_of_registration(self):
    self.assertEqual(self.shapes.names(), ('b', 'a'))
    self.assertEqual(self.shapes.items(), (('b', 1), ('a', 2)))
    self.assertEqual(list(self.shapes), ['b', 'a'])
    self.assertLen(self.shapes, 2)
    self.assertIn('a', self.shapes)
    self.assertEqual(self.shapes.get('a'), 2)

  def test_an_unknown_name_is_refused_with_those_there_are(self):
    with self.assertRaisesRegex(ValueError, "No shape 'c'; there are: b, a"):
      self.shapes.get('c')

  def test_a_name_is_given_once(self):
    with self.assertRaisesRegex(ValueError, "shape 'a' is there already"):
      self.shapes.register('a')(2)
    with self.assertRaisesRegex(ValueError, 'already'):
      self.shapes.register_class('a')(_Shape)
    self.assertEqual(_Shape.name, '')

  def test_a_class_gets_its_name_and_attributes(self):
    @self.shapes.register_class('square', flat=True)
    @dataclasses.dataclass(frozen=True)
    class Square(_Shape):
      sides: int = 4

    self.assertEqual((Square.name, Square.flat), ('square', True))
    self.assertEqual(self.shapes.create('square'), Square())
    self.assertEqual(self.shapes.create('square', sides=5).sides, 5)
    for option in ('name', 'flat', 'corners'):
      with self.assertRaisesRegex(
        ValueError, f'square has no option {option}; it has sides'
      ):
        self.shapes.create('square', **{option: 1})


class PackageTest(absltest.TestCase):
  """A package whose modules register entries."""

  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    package = self.folder / 'shelf'
    package.mkdir()
    (package / '__init__.py').write_text(
      'from toolkit_basics.registry import Registry\n'
      "BOOKS = Registry('book', __name__)\n"
    )
    for name in ('b', 'a'):
      (package / f'{name}.py').write_text(
        f"from shelf import BOOKS\nBOOKS.register('{name}')('{name}.py')\n"
      )
    sys.path.insert(0, str(self.folder))
    self.addCleanup(sys.path.remove, str(self.folder))
    self.addCleanup(self._forget)

  def _forget(self):
    for name in [n for n in sys.modules if n.split('.')[0] == 'shelf']:
      del sys.modules[name]

  def test_modules_are_imported_at_the_first_look_up(self):
    shelf = importlib.import_module('shelf')

    self.assertNotIn('shelf.a', sys.modules)
    self.assertEqual(shelf.BOOKS.items(), (('a', 'a.py'), ('b', 'b.py')))

  def test_a_module_that_fails_fails_every_time(self):
    (self.folder / 'shelf' / 'c.py').write_text('import no_such_package\n')
    shelf = importlib.import_module('shelf')

    for _ in range(2):
      with self.assertRaisesRegex(ImportError, 'no_such_package'):
        shelf.BOOKS.names()


if __name__ == '__main__':
  absltest.main()
