"""Tests of what holds for every architecture of a mini bank."""

from absl.testing import absltest, parameterized
import numpy as np

from attribution.explainer import Explainer
import frozen_graphs
from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini.architectures import registry

_GRIDS = {
  'inverted': (16, 16, 4),
  'narrow': (8, 8, 8),
  'plain': (8, 8, 12),
  'residual': (8, 8, 8),
  'transformer': (8, 8, 16),
}
_METHODS = ('saliency', 'gradient_times_input', 'elrp')


def _encoder(name, channels=3, seed=0):
  encoder = registry.get(name)(channels, 64)
  mini_network.initialise(encoder, seed)
  return encoder


def _inputs(number=4, channels=3):
  rng = np.random.default_rng(1)
  return rng.uniform(-1, 1, (number, 64, 64, channels)).astype(np.float32)


class ArchitecturesTest(parameterized.TestCase):
  def test_every_architecture_is_tested(self):
    self.assertSameElements(registry.names(), _GRIDS)

  @parameterized.parameters(*_GRIDS)
  def test_a_frozen_encoder_is_small_and_every_method_explains_it(self, name):
    encoder = _encoder(name)
    inputs = _inputs()
    for _ in range(3):  # Moving statistics that are not the initial ones.
      encoder(inputs, training=True)
    graph_def = mini_network.freeze(encoder, 64)
    self.assertLess(encoder.count_params(), 180_000)
    self.assertLess(graph_def.ByteSize(), 400_000)
    network = frozen_graphs.load(graph_def, representation='representation:0')
    explainer = Explainer(
      network, preprocessing='range(-1, 1)', methods=_METHODS, batch_size=4
    )
    found = explainer.explain((inputs + 1) / 2)
    expected = encoder(inputs, training=False).numpy()
    self.assertEqual(expected.shape[1:], _GRIDS[name])
    # The weights of the frozen graph have the precision of float16.
    np.testing.assert_allclose(
      found.representation.reshape(expected.shape),
      expected,
      atol=5e-3 * np.abs(expected).max(),
    )
    for method in _METHODS:
      maps = found.maps[method]
      self.assertEqual(maps.shape, inputs.shape)
      self.assertTrue(np.isfinite(maps).all())
      self.assertGreater(maps.std(axis=(1, 2, 3)).min(), 0)

  @parameterized.parameters(*_GRIDS)
  def test_a_seed_fixes_all_weights_but_those_that_start_alike(self, name):
    one, two, other = (_encoder(name, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(one.weights, two.weights, other.weights, strict=True):
      np.testing.assert_array_equal(a, b)
      if a.path.endswith(('kernel', 'positions')):
        self.assertFalse(np.allclose(a, c), a.path)

  @parameterized.parameters(*_GRIDS)
  def test_the_seed_says_all(self, name):
    """The layers' own random numbers are all replaced."""
    drawn = registry.get(name)(3, 64)
    before = [weight.numpy() for weight in drawn.trainable_weights]
    mini_network.initialise(drawn, 0)
    for weight, old in zip(drawn.trainable_weights, before, strict=True):
      if old.std() > 0:
        self.assertFalse(np.allclose(weight, old), weight.path)

  @parameterized.parameters(*_GRIDS)
  def test_a_grey_stem_answers_as_a_colour_stem_does_to_grey(self, name):
    grey = _inputs(2, channels=1)
    one, three = (_encoder(name, channels, seed=5) for channels in (1, 3))
    np.testing.assert_allclose(
      one(grey).numpy(),
      three(np.repeat(grey, 3, -1)).numpy(),
      atol=2e-4,
    )


if __name__ == '__main__':
  absltest.main()
