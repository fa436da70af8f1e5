"""Tests with real networks, fetched by npm and pip; skipped where they cannot.

python -m pytest -m network tests/taskonomy_models/zoo
"""

import os
import pathlib
import subprocess
import sys

from absl.testing import absltest
import cv2
import numpy as np
import pytest
from skimage import data
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from taskonomy_models import bank as banks
from taskonomy_models.zoo import archives, packages
from taskonomy_models.zoo import conversion as zoo_conversion
from taskonomy_models.zoo import networks as zoo
from transferability import affinity as affinity_lib

_ROOT = pathlib.Path(__file__).parents[3]
# Kept between runs if it is set, for example by a continuous integration.
_PACKAGES = os.environ.get('ZOO_PACKAGES_DIR')

pytestmark = [pytest.mark.network, pytest.mark.slow]


class NetworkTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.packages = pathlib.Path(_PACKAGES or self.folder / 'packages')

  def run_module(self, module, *arguments):
    return subprocess.run(
      [sys.executable, '-m', module, *arguments],
      cwd=_ROOT,
      capture_output=True,
      text=True,
      check=False,
    )


class EndToEndTest(NetworkTestCase):
  def test_three_networks_from_two_registries_to_a_tree(self):
    bank, output = self.folder / 'bank', self.folder / 'output'
    fetched = self.run_module(
      'taskonomy_models.fetch_zoo',
      '--networks=esrgan_slim_x2,esrgan_slim_x4,demosaicnet',
      f'--packages_dir={self.packages}',
      f'--output={bank}',
    )
    if 'packages are missing' in fetched.stderr:
      self.assertNotIn('not the known file', fetched.stderr)
      self.skipTest(fetched.stderr)
    self.assertEqual(fetched.returncode, 0, fetched.stderr)
    names = ('demosaicnet', 'esrgan_slim_x2', 'esrgan_slim_x4')
    self.assertEqual(banks.load(str(bank)).names, names)
    result = self.run_module(
      'experiments.run_zoo',
      f'--bank={bank}',
      '--probe=photos',
      '--num_images=4',
      '--image_size=96',
      '--map_transform=none,absolute+pooled',
      f'--output={output}',
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    for method in ('saliency', 'gradient_times_input', 'elrp'):
      matrix, found = affinity_lib.load_matrix(
        output / f'affinity/{method}.csv'
      )
      self.assertEqual(found, names)
      # One architecture, one kind of task, two factors.
      self.assertGreater(matrix[1, 2], 0.5)
      self.assertGreater(matrix[1, 2], matrix[0, 1:].max() + 0.2)
      tree = (output / f'tree/{method}.newick').read_text()
      self.assertRegex(tree, r'\(esrgan_slim_x\d:[^,()]*,esrgan_slim_x\d:')


class ResultTest(NetworkTestCase):
  """The right answers: so input range, layout and weights are right."""

  def run_network(self, name, images, output):
    """Returns what a network makes of pictures, at any of its tensors."""
    network = zoo.load().networks[name]
    package = zoo.load().packages[network.package]
    found, failed = packages.obtain_all([package], self.packages)
    if failed:
      self.assertNotIn('not the known file', failed[package.key])
      self.skipTest(failed[package.key])
    archives.extract(found[package.key], network.members, self.folder)
    frozen = zoo_conversion.load(network, self.folder)
    inputs = Preprocessing.parse(network.preprocessing)(images)
    with tf.Graph().as_default():
      tf.import_graph_def(frozen.graph_def, name='')
      with tf.compat.v1.Session() as session:
        return session.run(output, {network.input: inputs})

  def test_efficientnet_lite_names_what_photographs_show(self):
    pictures = [data.chelsea(), data.coffee(), data.rocket()]
    squares = []
    for picture in pictures:
      side = min(picture.shape[:2])
      top, left = ((n - side) // 2 for n in picture.shape[:2])
      square = picture[top : top + side, left : left + side]
      squares.append(
        cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
      )
    logits = self.run_network(
      'efficientnet_lite0', np.stack(squares), 'logits:0'
    )
    cat, coffee, rocket = np.argmax(logits, axis=1)
    self.assertIn(cat, (281, 282, 285))  # Tabby, tiger cat, Egyptian cat.
    self.assertEqual(coffee, 967)  # Espresso.
    self.assertEqual(rocket, 657)  # Missile.

  def test_demosaicnet_reconstructs_a_photograph(self):
    picture = data.astronaut()[None, :224, 128:352]
    output = self.run_network('demosaicnet', picture, 'output:0')
    error = (np.clip(output, 0, 1) - picture / 255)[:, 16:-16, 16:-16]
    self.assertGreater(-10 * np.log10(np.mean(error**2)), 40)  # dB.


if __name__ == '__main__':
  absltest.main()
