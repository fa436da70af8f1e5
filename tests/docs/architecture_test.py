"""Tests that the page on the architecture is true."""

import json
import re

from absl.testing import absltest
from PIL import Image

from tests import module_graph
from tests.architecture import layering_test, picture

_PAGE = (module_graph.ROOT / 'docs' / 'architecture.md').read_text('utf-8')


class ArchitectureTest(absltest.TestCase):
  def test_floors_are_those_that_modules_are_tested_for(self):
    rows = re.findall(r'^\| (\d) \| `(\w+)` \| (.*?) ?\|', _PAGE, re.MULTILINE)
    table = {
      package: (int(floor), names.replace('`', '').replace(',', ''))
      for floor, package, names in rows
    }
    self.assertEqual(table, layering_test.FLOORS)

  def test_picture_is_of_the_modules_as_they_are(self):
    with Image.open(picture.PATH) as image:
      drawn = json.loads(image.text['Description'])
    self.assertEqual(
      drawn,
      picture.description(),
      'Draw it again: python -m tests.architecture.picture',
    )

  def test_every_arrow_has_a_straight_way(self):
    self.assertNotEmpty(picture.draw().axes)

  def test_files_that_it_names_are_there(self):
    names = re.findall(r'`(\w+/[\w./]+)`', _PAGE)
    names += [f'docs/{link}' for link in re.findall(r'\]\((.+?)\)', _PAGE)]
    self.assertNotEmpty(names)
    for name in names:
      with self.subTest(name):
        self.assertTrue((module_graph.ROOT / name).exists())

  def test_it_is_one_page(self):
    self.assertLess(len(_PAGE.splitlines()), 90)


if __name__ == '__main__':
  absltest.main()
