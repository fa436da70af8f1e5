"""Tests of heads behind the representations of mini networks."""

import dataclasses
import pathlib

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs import graph
from taskonomy_models import bank as banks
from taskonomy_models.mini import heads, readouts
from taskonomy_models.mini.building import DataSizes, Scenes
from taskonomy_models.mini.tasks import MINI_TASKS
from toolkit_basics import progress


def _run(graph_def, names, images):
  with tf.Graph().as_default():
    tf.graph_util.import_graph_def(graph_def, name='')
    with tf.compat.v1.Session() as session:
      return session.run(names, {'input:0': images})


class WithHeadTest(parameterized.TestCase):
  @parameterized.parameters('rgb2sfnorm', 'segmentsemantic', 'class_places')
  def test_a_graph_goes_on_to_what_the_readout_predicts(self, name):
    task = MINI_TASKS[name]
    graph_def = graph.load_graph_def(banks.load('mini').encoders[0].graph)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (12, 64, 64, 3)).astype(np.float32)
    (seen,) = _run(graph_def, ['representation:0'], images)
    shape = (12, 32, 32) if task.dense else (12,)
    if task.classes:
      labels = rng.integers(task.outputs, size=shape)
    else:
      labels = rng.normal(3, 2, (*shape, task.outputs)).astype(np.float32)
    readout = readouts.Readouts(
      task, seen[None], labels, readouts.ReadoutRecipe(steps=2, checkpoints=1)
    )
    readout.train(seen[None, :4], labels[:4])
    expected = readout.predict(seen[None])[0]
    if task.classes:
      expected = tf.nn.softmax(expected).numpy()
    found = heads.with_head(graph_def, readout)
    predicted, represented = _run(
      found, [heads.PREDICTION, 'representation:0'], images
    )
    np.testing.assert_array_equal(represented, seen)
    # Weights are stored as float16.
    spread = expected.std() + 1e-6
    np.testing.assert_allclose(predicted, expected, atol=0.02 * spread)


class AddAllTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    sizes = DataSizes(train=24, transfer=2, validation=2, test=2)
    self.scenes = Scenes(str(self.folder / 'scenes'), sizes)
    self.enter_context(
      absltest.mock.patch.object(
        heads, 'RECIPE', readouts.ReadoutRecipe(steps=2, checkpoints=1)
      )
    )
    self.enter_context(
      absltest.mock.patch.object(
        heads.building,
        'parallel',
        lambda function, calls, *unused: [function(*each) for each in calls],
      )
    )

  def _add(self, bank):
    return heads.add_all(
      bank, self.folder / 'copy', self.scenes, progress=progress.track
    )

  def test_a_copy_of_the_bank_says_what_its_networks_predict(self):
    bank = banks.load('mini').only(['rgb2depth', 'class_places'])
    copy = self._add(bank)
    self.assertEqual(copy.names, bank.names)
    for path in (copy.oracle, copy.oracle_affinity, copy.oracle_losses):
      self.assertTrue(path.startswith(str(self.folder)))
    images = np.zeros((1, 64, 64, 3), np.float32)
    for encoder, shape in zip(
      copy.encoders, [(1, 32, 32, 1), (1, 6)], strict=True
    ):
      network = copy.networks.get(encoder.predictor)
      self.assertEqual(network.run(images).shape, shape)

  def test_a_head_that_is_there_is_kept_and_another_bank_gets_another(self):
    bank = banks.load('mini').only(['rgb2depth'])
    path = self.folder / 'copy' / 'rgb2depth.pb'
    self._add(bank)
    before = path.stat().st_mtime_ns
    self._add(bank)
    self.assertEqual(path.stat().st_mtime_ns, before)
    self._add(banks.load('mini_seed1').only(['rgb2depth']))
    self.assertNotEqual(path.stat().st_mtime_ns, before)

  def test_a_network_of_no_task_is_refused(self):
    bank = banks.load('mini').only(['rgb2depth'])
    stranger = dataclasses.replace(bank.encoders[0], name='stranger')
    with self.assertRaisesRegex(ValueError, "'stranger' of the bank 'mini'"):
      self._add(dataclasses.replace(bank, encoders=(stranger,)))


if __name__ == '__main__':
  absltest.main()
