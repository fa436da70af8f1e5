"""Tests of the documentation site: complete, and built without a warning."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import unittest

from absl.testing import absltest
import pytest

from attribution import methods
from tests import module_graph
from transferability import label_free, measures, similarity, source_data

_DOCS = module_graph.ROOT / 'docs'
_CONFIG = module_graph.ROOT / 'mkdocs.yml'
_HAS_MKDOCS = all(
  importlib.util.find_spec(name)
  for name in ('mkdocs', 'material', 'mkdocstrings', 'latex2mathml')
)


class SiteTest(absltest.TestCase):
  def test_every_page_is_in_the_navigation(self):
    listed = re.findall(r': ([\w/]+\.md)$', _CONFIG.read_text(), re.MULTILINE)
    pages = [str(path.relative_to(_DOCS)) for path in _DOCS.rglob('*.md')]
    self.assertCountEqual(listed, pages)

  def test_every_measure_and_method_has_its_equation(self):
    text = (_DOCS / 'equations.md').read_text(encoding='utf-8')
    registers = measures, similarity, methods, source_data, label_free
    names = [name for register in registers for name in register.names()]
    for name in (*names, 'depara'):
      with self.subTest(name):
        _, found, after = text.partition(f'**`{name}`**')
        self.assertTrue(found)
        self.assertIn('$$', after.partition('\n## ')[0])

  def test_pictures_of_pages_exist_and_have_a_description(self):
    for page in _DOCS.rglob('*.md'):
      for said, name in re.findall(
        r'!\[([^\]]*)\]\(([^)]+)\)', page.read_text()
      ):
        with self.subTest(page=page.name, picture=name):
          self.assertTrue((page.parent / name).exists())
          self.assertGreater(len(said), 9)

  @pytest.mark.slow
  @unittest.skipUnless(_HAS_MKDOCS, "pip install '.[docs]'")
  def test_it_is_built_without_a_warning(self):
    site = pathlib.Path(self.create_tempdir().full_path)
    result = subprocess.run(
      [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', site],
      cwd=module_graph.ROOT,
      env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertNotIn('WARNING', result.stderr)
    page = (site / 'equations.html').read_text(encoding='utf-8')
    self.assertIn('<math', page)
    self.assertNotIn('$$', page)
    api = (site / 'api' / 'attribution_transfer.html').read_text()
    self.assertIn('Returns the other networks as sources', api)


if __name__ == '__main__':
  absltest.main()
