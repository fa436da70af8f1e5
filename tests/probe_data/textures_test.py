"""Tests of the procedural textures."""

import colorsys

from absl.testing import absltest, parameterized
import numpy as np

from probe_data import textures

_KINDS = (
  textures.CHECKER,
  textures.STRIPES,
  textures.NOISE,
  textures.WOOD,
  textures.BRICK,
)


class TexturesTest(parameterized.TestCase):
  @parameterized.parameters(*_KINDS)
  def test_a_pattern_mixes_two_colours(self, kind):
    u, v = np.random.default_rng(0).uniform(-5, 5, (2, 2000))
    share = textures.pattern(kind, u, v)
    self.assertGreaterEqual(share.min(), 0)
    self.assertLessEqual(share.max(), 1)
    self.assertGreater(share.std(), 0.1)

  @parameterized.product(kind=(textures.SOLID, *_KINDS), density=(0, 0.5, 2, 4))
  def test_a_density_keeps_the_mean_colour(self, kind, density):
    rng = np.random.default_rng(1)
    u, v = rng.uniform(0, 60, (2, 40000))

    def colours(look):
      share = textures.pattern(look.kind, u * look.scale, v * look.scale)
      first, second = np.array(look.first), np.array(look.second)
      return first + (second - first) * share[:, None]

    look = textures.draw_look(rng, 200, 0.5, 0.6, kind)
    found = colours(textures.with_density(look, density))
    expected = colours(look).mean(axis=0)
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=0.01)
    self.assertGreaterEqual(found.min(), 0)
    self.assertLessEqual(found.max(), 1)
    is_plain = density == 0 or (kind == textures.SOLID and density < 1)
    self.assertEqual(found.std(axis=0).max() < 1e-12, is_plain)

  def test_a_solid_surface_has_one_colour(self):
    u, v = np.random.default_rng(0).uniform(-5, 5, (2, 10))
    np.testing.assert_array_equal(textures.pattern(textures.SOLID, u, v), 0)

  def test_a_checker_changes_with_each_step_to_the_side(self):
    u = np.array([0.1, 0.1 + 1 / 3, 0.1 + 2 / 3])
    share = textures.pattern(textures.CHECKER, u, np.full(3, 0.1))
    np.testing.assert_array_equal(share, [0, 1, 0])

  def test_a_look_has_the_colour_it_was_drawn_about(self):
    rng = np.random.default_rng(0)
    drawn = [
      textures.draw_look(rng, 120, 0.6, 0.5, textures.NOISE).first
      for _ in range(200)
    ]
    hues = [colorsys.rgb_to_hsv(*color)[0] * 360 for color in drawn]
    self.assertAlmostEqual(np.mean(hues), 120, delta=3)
    self.assertTrue(np.all((np.array(drawn) >= 0) & (np.array(drawn) <= 1)))


if __name__ == '__main__':
  absltest.main()
