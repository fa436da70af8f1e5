"""Tests of fine-tuning a frozen graph."""

import dataclasses
import pathlib

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from experiments.selection import fine_tuning, targets
from frozen_graphs import graph
from taskonomy_models import bank as banks
from tests import bank_testing, testing

_RECIPE = fine_tuning.FineTuning(steps=40, batch_size=16)


class FineTuningTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder)
    self.encoders = banks.load(str(self.folder)).encoders
    self.images = testing.images(90, 16)
    brightness = self.images.mean(axis=(1, 2, 3))
    bright = (brightness > np.median(brightness)).astype(int)
    self.classes = targets.classification('bright', bright, 60)
    self.number = targets.regression('brightness', brightness, 60, 4)

  def tune(self, encoder, target, steps=40):
    recipe = dataclasses.replace(_RECIPE, steps=steps)
    return fine_tuning.fine_tune(encoder, target, self.images, 60, recipe, 0)

  def test_training_helps_with_classes_and_numbers(self):
    encoder = self.encoders[0]
    self.assertGreater(self.tune(encoder, self.classes), 0.65)
    before = self.tune(encoder, self.number, steps=1)
    after = self.tune(encoder, self.number)
    self.assertGreater(after, before + 0.2)

  def test_the_encoder_itself_is_changed_and_its_file_is_not(self):
    encoder = self.encoders[0]
    content = pathlib.Path(encoder.graph).read_bytes()
    network = fine_tuning.TunedNetwork(encoder, self.classes, _RECIPE, 0)
    fetch = network._features, {network._input: np.ones((1, 16, 16, 3))}
    before = network._session.run(*fetch)
    network.train(self.images, np.arange(60), 0)
    after = network._session.run(*fetch)
    network.close()
    self.assertGreater(np.abs(after - before).max(), 1e-3)
    self.assertEqual(pathlib.Path(encoder.graph).read_bytes(), content)
    with self.subTest('it starts as the frozen one'):
      pictures = np.full((1, 16, 16, 3), 255, np.uint8)  # 1 after T.
      frozen = encoder.load().run(pictures / np.float32(127.5) - 1)
      np.testing.assert_allclose(frozen, before, rtol=1e-4)

  def test_the_same_seed_gives_the_same_number(self):
    first, again = (
      self.tune(self.encoders[3], self.number, steps=5) for _ in range(2)
    )
    self.assertAlmostEqual(first, again, places=5)

  def test_weights_are_kernels_and_biases_of_any_precision(self):
    encoder = banks.load('mini').encoders[0]
    subgraph = graph.extract(
      graph.load_graph_def(encoder.graph), 'input:0', 'representation:0'
    )
    names = fine_tuning.weights(subgraph)
    kernels = [n for n, v in subgraph.nodes.items() if v.op == 'Conv2D']
    self.assertGreaterEqual(len(names), len(kernels))
    self.assertNotIn(subgraph.input_tensor, names)

  def test_an_encoder_without_weights_is_refused(self):
    path = self.folder / 'plain.pb'
    path.write_bytes(testing.freeze(tf.nn.relu).SerializeToString())
    encoder = dataclasses.replace(
      self.encoders[0], name='plain', graph=str(path)
    )
    with self.assertRaisesRegex(ValueError, 'plain: no weights'):
      self.tune(encoder, self.classes)


if __name__ == '__main__':
  absltest.main()
