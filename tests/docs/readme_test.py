"""Tests that what the README shows is true."""

import contextlib
import io
import os
import pathlib
import re
import tempfile

from absl.testing import absltest
import pytest

from tests import mini_run_testing

_ROOT = pathlib.Path(__file__).parents[2]
_README = (_ROOT / 'README.md').read_text(encoding='utf-8')


class ReadmeTest(absltest.TestCase):
  @pytest.mark.slow
  def test_its_python_runs(self):
    blocks = re.findall(r'```python\n(.*?)```', _README, re.DOTALL)
    self.assertGreaterEqual(len(blocks), 2)
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
      os.symlink(
        _ROOT / 'taskonomy_models', os.path.join(folder, 'taskonomy_models')
      )
      mini_run_testing.write(os.path.join(folder, 'results/taskonomy-scenes'))
      self.addCleanup(os.chdir, os.getcwd())
      os.chdir(folder)
      with contextlib.redirect_stdout(printed):
        for block in blocks:
          exec(compile(block, 'README.md', 'exec'), {})
      os.chdir(_ROOT)
    self.assertIn('rgb2mist', printed.getvalue())

  def test_its_links_lead_somewhere(self):
    links = re.findall(r'\]\(([^)#]+)\)', _README)
    self.assertNotEmpty(links)
    for link in links:
      if not link.startswith('http'):
        self.assertTrue((_ROOT / link).exists(), link)

  def test_its_commands_name_real_modules(self):
    for module in set(re.findall(r'-m (experiments\.\w+)', _README)):
      path = _ROOT / (module.replace('.', '/') + '.py')
      self.assertTrue(path.exists(), module)

  def test_every_dependency_has_its_reason(self):
    setup = (_ROOT / 'setup.py').read_text(encoding='utf-8')
    declared = set(re.findall(r"'([a-z0-9-]+)[\[>=]", setup))
    tools = {'pytest', 'hypothesis', 'pillow', 'setuptools', 'ruff'}
    tools |= {'ipykernel', 'nbclient', 'nbformat'}
    tools |= {'mypy', 'pre-commit', 'pytest-xdist'}
    section = _README.split('## Dependencies')[1]
    for name in declared - tools:
      self.assertIn(name, section)


if __name__ == '__main__':
  absltest.main()
