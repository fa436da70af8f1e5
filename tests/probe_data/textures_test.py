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
