"""Tests of the readouts that measure transfers."""

from absl.testing import absltest, parameterized
import numpy as np

from taskonomy_models.mini import readouts
from taskonomy_models.mini import tasks as mini_tasks

TASKS = mini_tasks.MINI_TASKS


def _vector_data(number, seed=0):
  """A good source (the label shows), a weak one, and one of pure noise."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(6, size=number)
  sources = rng.normal(size=(3, number, 2, 2, 8)).astype(np.float32)
  sources[0, np.arange(number), 0, 0, labels] += 6
  sources[1, np.arange(number), 0, 0, labels] += 2
  return sources, labels


def _dense_data(number, seed=0):
  """The first source holds the labels of its cells, the second noise."""
  rng = np.random.default_rng(seed)
  labels = rng.normal(size=(number, 8, 8, 1)).astype(np.float32)
  cells = labels.reshape(number, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4)
  good = cells.reshape(number, 2, 2, 16)
  noise = rng.normal(size=good.shape).astype(np.float32)
  return np.stack([good, noise]), labels


class ReadoutsTest(parameterized.TestCase):
  def test_a_source_that_shows_the_label_wins(self):
    features, labels = _vector_data(600)
    recipe = readouts.ReadoutRecipe(steps=100)
    readout = readouts.Readouts(
      TASKS['class_places'], features[:, :400], labels[:400], recipe
    )
    readout.train(features[:, 400:500], labels[400:500])
    losses = readout.score(features[:, 500:], labels[500:]).mean(axis=1)
    self.assertLess(losses[0], 0.5 * losses[1])
    self.assertLess(losses[1], losses[2])

  def test_a_dense_readout_puts_each_cell_where_it_belongs(self):
    features, labels = _dense_data(400)
    recipe = readouts.ReadoutRecipe(steps=300, learning_rate=1e-2)
    readout = readouts.Readouts(
      TASKS['rgb2depth'], features[:, :300], labels[:300], recipe
    )
    readout.train(features[:, 300:350], labels[300:350])
    losses = readout.score(features[:, 350:], labels[350:]).mean(axis=1)
    self.assertLess(losses[0], 0.4)
    self.assertGreater(losses[1], 0.9)

  def test_a_cell_covers_its_share_of_the_label_whatever_the_grid(self):
    features, labels = _dense_data(300)
    # Four cells where there was one, and each of them with all 16 labels of it.
    fine = np.repeat(np.repeat(features[:1], 2, axis=2), 2, axis=3)
    corners = np.tile(np.eye(4).reshape(2, 2, 4), (2, 2, 1))
    corners = np.broadcast_to(corners, (1, 300, 4, 4, 4))
    fine = np.concatenate([fine, corners], axis=-1).astype(np.float32)
    readout = readouts.Readouts(
      TASKS['rgb2depth'],
      fine[:, :200],
      labels[:200],
      readouts.ReadoutRecipe(steps=300, learning_rate=1e-2),
    )
    readout.train(fine[:, 200:250], labels[200:250])
    losses = readout.score(fine[:, 250:], labels[250:])
    self.assertLess(losses.mean(), 0.6)

  @parameterized.parameters('class_places', 'rgb2depth')
  def test_no_source_depends_on_the_others(self, task):
    make = _vector_data if task == 'class_places' else _dense_data
    features, labels = make(120)
    recipe = readouts.ReadoutRecipe(steps=10, checkpoints=2)

    def losses(chosen):
      readout = readouts.Readouts(
        TASKS[task], chosen[:, :80], labels[:80], recipe
      )
      readout.train(chosen[:, 80:100], labels[80:100])
      return readout.score(chosen[:, 100:], labels[100:])

    together = losses(features)
    for number in range(len(features)):
      alone = losses(features[number : number + 1])
      np.testing.assert_allclose(together[number], alone[0], rtol=1e-3)

  def test_the_best_checkpoint_is_kept(self):
    features, labels = _vector_data(300)
    recipe = readouts.ReadoutRecipe(
      steps=200, checkpoints=20, learning_rate=0.05, dropout=0.0
    )
    readout = readouts.Readouts(
      TASKS['class_places'], features[:, :60], labels[:60], recipe
    )
    held_out = features[:, 60:], labels[60:]
    readout.train(*held_out)
    kept = readout.score(*held_out).mean(axis=1)
    last_only = readouts.Readouts(
      TASKS['class_places'],
      features[:, :60],
      labels[:60],
      readouts.ReadoutRecipe(
        steps=200, checkpoints=1, learning_rate=0.05, dropout=0.0
      ),
    )
    last_only.train(*held_out)
    last = last_only.score(*held_out).mean(axis=1)
    self.assertTrue(np.all(kept <= last + 1e-6))
    self.assertLess(kept[2], last[2])


if __name__ == '__main__':
  absltest.main()
