"""Tests that the how-to pages are true: what they say is done, and works.

A page's files are written into a copy of the checkout, and its commands and
Python are run there as they stand, in the order of the page.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest
import numpy as np
import pytest

from tests import module_graph
from transferability import affinity

_DOCS = module_graph.ROOT / 'docs'
_PAGES = tuple(sorted(_DOCS.glob('adding_a*.md')))
# What a page asks for: a file, or a block to be run.
_STEP = re.compile(
  r'(?:(Append\s+to|Write)\s+`([\w./]+)`:\n\n)?```(\w+)\n(.*?)```', re.DOTALL
)
_ACTIVATIONS_ARE_FOUND = """
import tensorflow as tf
from attribution.explainer import Explainer
from tests import testing
graph = testing.freeze(
  lambda x: tf.atan(tf.reduce_sum(tf.sqrt(x * x + 1) / 2 - 0.5 + x, [1, 2]))
)
with Explainer(
  graph, input_tensor='input:0', representation_tensor='representation:0'
) as explainer:
  print(dict(explainer.summary.ruled))
"""
# Of distances a and b of pairs, as it is defined: the mean of a_ij b_ij - 2
# a_ij b_ik + a_ij b_kl over all indices, divided by those of a and a, b and b.
_DISTANCE_CORRELATION_IS_RIGHT = """
import numpy as np
from scipy.spatial.distance import cdist
from transferability import similarity
x, y = np.random.default_rng(0).normal(size=(2, 12, 3))
a, b = cdist(x, x), cdist(y, y)
def covariance(a, b):
  triples = np.einsum('ij,ik->', a, b) / 12**3
  return (a * b).mean() - 2 * triples + a.mean() * b.mean()
expected = np.sqrt(
  covariance(a, b) / np.sqrt(covariance(a, a) * covariance(b, b))
)
actual = similarity.score('distance_correlation', x, y)
np.testing.assert_allclose(actual, expected, rtol=1e-9)
"""


class Checkout:
  """A copy of the checkout in which a page can be followed."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder / 'checkout'
    for name in module_graph.packages():
      if '.' not in name:
        skipped = shutil.ignore_patterns('__pycache__')
        source = module_graph.ROOT / name
        shutil.copytree(source, self.folder / name, ignore=skipped)
    programs = folder / 'bin'
    programs.mkdir()
    self._keep_networks(7)
    # Not a link: a virtual environment's Python looks for it beside its name.
    (programs / 'python').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / 'python').chmod(0o755)
    self._environment = {
      **os.environ,
      'PATH': os.pathsep.join([str(programs), os.environ['PATH']]),
      'TF_CPP_MIN_LOG_LEVEL': '3',
    }

  def _keep_networks(self, number: int) -> None:
    """Leaves so many in the mini bank, so that the pages' runs are short."""
    path = self.folder / 'taskonomy_models' / 'mini' / 'bank.json'
    content = json.loads(path.read_text())
    content['encoders'] = content['encoders'][-number:]
    path.write_text(json.dumps(content))

  def run(self, *command: str) -> str:
    """Returns what a command prints; it must succeed."""
    done = subprocess.run(
      command,
      cwd=self.folder,
      env=self._environment,
      capture_output=True,
      text=True,
      check=False,
    )
    if done.returncode:
      raise AssertionError(f'{command}\n{done.stdout}\n{done.stderr}')
    return done.stdout

  def follow(self, page: str, python: str = '') -> list[str]:
    """Does all that a page says.

    Args:
      page: Its name.
      python: Run after the page's last Python, in the same process.

    Returns:
      What each block of commands or Python printed, in the order of the page.
    """
    text = (_DOCS / page).read_text(encoding='utf-8')
    printed, program = [], []

    def run_program():
      if program:
        printed.append(self.run('python', '-c', '\n'.join(program)))
        program.clear()

    for what, name, language, block in _STEP.findall(text):
      path = self.folder / name
      if what == 'Write':
        assert not path.exists(), path
        path.write_text(block, encoding='utf-8')
      elif what:
        path.write_text(path.read_text() + '\n\n' + block, encoding='utf-8')
      elif language == 'bash':
        run_program()
        printed.append(self.run('bash', '-euc', block))
      else:
        assert language == 'python', language
        program.append(block)
    if python:
      program.append(python)
    run_program()
    return printed

  def affinity(self, run: str, method: str) -> tuple[np.ndarray, list[str]]:
    path = self.folder / 'results' / run / 'affinity' / f'{method}.csv'
    return affinity.load_matrix(path)


class PagesTest(absltest.TestCase):
  def test_there_is_a_page_for_each_thing_to_add(self):
    names = [path.stem.split('_', 2)[2] for path in _PAGES]
    self.assertContainsSubset(
      ['activation', 'format', 'measure', 'method', 'network', 'probe_set'],
      names,
    )

  def test_a_page_is_no_longer_than_two_screens_without_its_blocks(self):
    for path in _PAGES:
      with self.subTest(path.name):
        text = re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)
        self.assertLess(len(text.splitlines()), 80)

  def test_files_and_modules_that_pages_name_are_there(self):
    for path in (*_DOCS.glob('*.md'), module_graph.ROOT / 'README.md'):
      text = path.read_text(encoding='utf-8')
      written = set(re.findall(r'Write\s+`([\w./]+)`', text))
      names = set(re.findall(r'`((?:\w+/)+[\w.]+\.\w+)`', text)) - written
      modules = re.findall(r'python -m ((?:\w+\.)+\w+)', text)
      for module in modules:
        file = module.replace('.', '/')
        is_package = (module_graph.ROOT / file / '__main__.py').exists()
        names.add(f'{file}/__main__.py' if is_package else f'{file}.py')
      for name in names:
        folder, *_ = name.split('/')
        if (module_graph.ROOT / folder).exists():
          with self.subTest(page=path.name, file=name):
            self.assertTrue((module_graph.ROOT / name).exists())


@pytest.mark.slow
class FollowedTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.checkout = Checkout(pathlib.Path(folder.name))

  def test_activations_of_the_page_get_a_rule(self):
    (printed,) = self.checkout.follow(
      'adding_an_activation.md', _ACTIVATIONS_ARE_FOUND
    )
    self.assertIn("'bent_identity': 1", printed)
    self.assertIn("'Atan': 1", printed)

  def test_methods_of_the_page_run_and_conform(self):
    run, conformance = self.checkout.follow('adding_a_method.md')
    self.assertRegex(run, r'\nsmooth_gradient +[01]\.\d+')
    self.assertRegex(conformance, r'\b[1-9]\d* passed')
    smooth, names = self.checkout.affinity('smooth', 'smooth_gradient')
    self.assertLen(names, 7)
    np.testing.assert_array_equal(np.diag(smooth), 1)
    plain, _ = self.checkout.affinity('smooth', 'saliency')
    self.assertGreater(np.abs(smooth - plain).max(), 0.01)
    command = 'python -m experiments.check class_places --bank=mini'
    checked = self.checkout.run(*command.split(), '--method=positive_lrp')
    self.assertIn('rule of layers', checked)

  def test_probe_sets_of_the_page_are_explained(self):
    (printed,) = self.checkout.follow('adding_a_probe_set.md')
    self.assertRegex(printed, r'\nelrp +[01]\.\d+')
    images = self.checkout.folder / 'results' / 'gratings' / 'images.csv'
    self.assertIn('grating 0/7', images.read_text())
    code = (
      'import os; from probe_data import probe_sets as p\n'
      'few, many = (p.load("gratings", num_images=n).images for n in (2, 5))\n'
      'assert (few == many[:2]).all() and few.std() > 10\n'
      'try: p.load("places")\n'
      'except p.ProbeSetError as error: print(error)'
    )
    self.assertIn("'places' are not", self.checkout.run('python', '-c', code))

  def test_networks_of_the_page_are_compared_and_placed(self):
    *_, printed = self.checkout.follow('adding_a_network.md')
    self.assertIn('layout by elrp, the nearest first', printed)
    matrix, names = self.checkout.affinity('my_bank', 'elrp')
    self.assertEqual(list(names), ['depth', 'edges', 'layout'])
    self.assertBetween(matrix[0, 1], -1, 0.99)

  def test_format_of_the_page_is_found_and_converted(self):
    shape, converted, tested = self.checkout.follow('adding_a_format.md')
    self.assertIn('(5, 16)', shape)
    self.assertIn('digits', converted)
    self.assertRegex(tested, r'\b2 passed')

  def test_measures_of_the_page_score_and_rank(self):
    scores, run = self.checkout.follow('adding_a_measure.md')
    self.assertRegex(run, r'\ndistance_correlation +[01]\.\d+')
    good, bad = map(float, scores.split())
    self.assertGreater(good, bad + 0.1)
    self.checkout.run('python', '-c', _DISTANCE_CORRELATION_IS_RIGHT)


if __name__ == '__main__':
  absltest.main()
