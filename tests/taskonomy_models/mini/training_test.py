"""Tests of the training of the mini bank's networks."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np
import pytest

from probe_data import scene_labels, scenes
from taskonomy_models.mini import tasks as mini_tasks
from taskonomy_models.mini import training as mini_training

TASKS = mini_tasks.MINI_TASKS


def _scale(images):
  return images.astype(np.float32) / 127.5 - 1


def _data(name, number=64, size=32):
  seeds = [scenes.scene_seed('train', index) for index in range(number)]
  images, labels = scene_labels.labelled_images(seeds, size)
  return mini_training.Data(images, labels[name])


class MiniTrainingTest(parameterized.TestCase):
  def test_the_rate_rises_then_falls_to_zero(self):
    recipe = mini_training.Recipe(steps=200, warm_up=20, learning_rate=1e-3)
    rates = [recipe.rate(step) for step in range(200)]
    self.assertAlmostEqual(max(rates), 1e-3, delta=5e-5)
    self.assertLess(rates[0], 1e-4)
    self.assertLess(rates[-1], 1e-6)
    self.assertTrue(np.all(np.diff(rates[20:]) < 0))

  def test_a_depth_network_learns_what_it_is_shown(self):
    data = _data('rgb2depth')
    recipe = mini_training.Recipe(steps=60, warm_up=5, noise=0.0)
    _, results = mini_training.train(
      TASKS['rgb2depth'], recipe, data, data, _scale
    )
    self.assertLess(results['train_loss'], 0.8 * results['constant_loss'])
    self.assertAlmostEqual(results['constant_loss'], 1, delta=0.01)

  @pytest.mark.slow
  def test_a_common_start_is_common_and_an_own_start_is_not(self):
    data = _data('class_places', number=16)
    still = mini_training.Recipe(
      steps=1, batch_size=8, learning_rate=0.0, seed=3
    )

    def stem(task_number, common):
      encoder, _ = mini_training.train(
        TASKS['class_places'],
        dataclasses.replace(still, common_start=common),
        data,
        data,
        _scale,
        task_number=task_number,
      )
      return encoder.get_layer('stem').kernel.numpy()

    np.testing.assert_array_equal(stem(0, True), stem(1, True))
    self.assertFalse(np.allclose(stem(0, False), stem(1, False)))

  def test_a_masked_task_is_scored_in_the_centre_only(self):
    labels = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
    labels = labels.astype(np.float32)
    loss = mini_training.loss_function(TASKS['inpainting_whole'], labels)
    outputs = np.zeros(labels.shape, np.float32)
    around = outputs + 7
    around[:, 2:6, 2:6] = 0
    np.testing.assert_allclose(loss(labels, around), loss(labels, outputs))
    centre = outputs.copy()
    centre[:, 2:6, 2:6] = 7
    self.assertTrue(
      np.all(loss(labels, centre).numpy() > loss(labels, outputs).numpy())
    )

  def test_squared_error_is_that_of_standardised_labels(self):
    rng = np.random.default_rng(1)
    labels = rng.normal(5, 3, (50, 9)).astype(np.float32)
    loss = mini_training.loss_function(TASKS['room_layout'], labels)
    outputs = rng.normal(size=(50, 9)).astype(np.float32)
    scaled = (labels - labels.mean(axis=0)) / labels.std(axis=0)
    np.testing.assert_allclose(
      loss(labels, outputs), ((outputs - scaled) ** 2).mean(axis=1), rtol=1e-4
    )

  def test_cross_entropy_of_the_class_frequencies_is_their_entropy(self):
    labels = np.array([0] * 600 + [1] * 300 + [5] * 100)
    task = TASKS['class_places']
    constant = mini_training.constant_outputs(task, labels)
    loss = mini_training.loss_function(task, labels)
    outputs = np.tile(constant, (1000, 1))
    share = np.array([0.6, 0.3, 0.1])
    self.assertAlmostEqual(
      float(np.mean(loss(labels, outputs))),
      float(-(share * np.log(share)).sum()),
      delta=0.01,
    )


if __name__ == '__main__':
  absltest.main()
