"""Tests of every preprocessing operation and of its inverse."""

from absl.testing import absltest, parameterized
import numpy as np
import skimage.color
import skimage.transform

from attribution import preprocessing_operations
from attribution.preprocessing import Preprocessing, PreprocessingError
from tests import testing

# An example of every operation, for images of 3 channels.
EXAMPLES = {
  'append_channel': 'append_channel(1)',
  'bayer_mosaic': 'bayer_mosaic',
  'bgr': 'bgr',
  'center_crop': 'center_crop',
  'channels_first': 'channels_first',
  'clip': 'clip(0.1, 0.9)',
  'crop': 'crop(12, 10)',
  'grayscale': 'grayscale',
  'lightness': 'lightness',
  'mask_center': 'mask_center(0.5)',
  'mean_std': 'mean_std((0.5, 0.4, 0.3), 0.25)',
  'pad_to_square': 'pad_to_square(0.5)',
  'range': 'range(-1, 1)',
  'resize': 'resize(16, 24)',
  'resize_shorter': 'resize_shorter(16)',
}


class ManyChannelsTest(absltest.TestCase):
  def test_each_channel_is_resized_alone(self):
    images = testing.images(4, 8).transpose(3, 1, 2, 0)[..., [0, 1, 2, 3, 1, 0]]
    for text in ('resize(19)', 'resize(3)'):
      t = Preprocessing.parse(text)
      made = t(images)
      back = t.inverse(made, images.shape[1:])
      for channel in range(6):
        one = images[..., channel : channel + 1]
        alone = t(one)
        np.testing.assert_allclose(
          made[..., channel], alone[..., 0], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(
          back[..., channel],
          t.inverse(alone, one.shape[1:])[..., 0],
          rtol=1e-5,
          atol=1e-6,
        )


def reference_resize(image, height, width):
  """Bilinear with half-pixel centres, pixel by pixel."""
  h, w, _ = image.shape
  result = np.zeros((height, width, image.shape[2]))
  for i in range(height):
    for j in range(width):
      y = np.clip((i + 0.5) * h / height - 0.5, 0, h - 1)
      x = np.clip((j + 0.5) * w / width - 0.5, 0, w - 1)
      y0, x0 = int(y), int(x)
      y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
      top = image[y0, x0] * (1 - x + x0) + image[y0, x1] * (x - x0)
      low = image[y1, x0] * (1 - x + x0) + image[y1, x1] * (x - x0)
      result[i, j] = top * (1 - y + y0) + low * (y - y0)
  return result


class ForwardTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.images = testing.images(2, 12, seed=4)
    self.floats = self.images / 255.0

  def test_bytes_and_floats_are_the_same_image(self):
    t = Preprocessing.parse('range(-1, 1)')
    np.testing.assert_allclose(t(self.images), t(self.floats), atol=1e-6)
    np.testing.assert_allclose(t(self.images), self.floats * 2 - 1, atol=1e-6)

  @parameterized.parameters((6, 6), (12, 12), (24, 24), (5, 17), (7, 3))
  def test_resize_is_bilinear_without_anti_aliasing(self, height, width):
    t = Preprocessing.parse(f'resize({height}, {width})')
    expected = [reference_resize(i, height, width) for i in self.floats]
    np.testing.assert_allclose(t(self.images), expected, atol=1e-5)

  def test_resize_agrees_with_scikit_image(self):
    for size in (5, 6, 9):
      expected = skimage.transform.resize(
        self.floats[0], (size, size), order=1, mode='edge', anti_aliasing=False
      )
      actual = Preprocessing.parse(f'resize({size})')(self.images)[0]
      np.testing.assert_allclose(actual, expected, atol=1e-5)

  def test_halving_takes_means_of_four_pixels(self):
    expected = self.floats.reshape(2, 6, 2, 6, 2, 3).mean(axis=(2, 4))
    actual = Preprocessing.parse('resize(6)')(self.images)
    np.testing.assert_allclose(actual, expected, atol=1e-6)

  @parameterized.parameters(
    ((12, 8), np.s_[2:10, 0:8]),
    ((7, 12), np.s_[0:6, 3:9]),
    ((5, 5), np.s_[0:4, 0:4]),
  )
  def test_center_crop_takes_the_even_central_square(self, size, window):
    images = self.images[:, : size[0], : size[1]]
    actual = Preprocessing.parse('center_crop')(images)
    np.testing.assert_allclose(
      actual,
      self.floats[:, : size[0], : size[1]][(slice(None), *window)],
      atol=1e-6,
    )

  @parameterized.parameters(
    # height, width, fraction, rows, columns
    (256, 256, 0.875, (16, 240), (16, 240)),
    (100, 200, 0.29, (36, 64), (86, 114)),
    (10, 7, 0.5, (4, 6), (2, 4)),
  )
  def test_center_crop_takes_a_fraction(self, h, w, fraction, rows, columns):
    places = np.stack(np.indices((h, w)), axis=2)[None] / 256
    t = Preprocessing.parse(f'center_crop({fraction})')
    actual = t(places)[0] * 256
    np.testing.assert_allclose(actual[0, 0], [rows[0], columns[0]])
    np.testing.assert_allclose(actual[-1, -1], [rows[1] - 1, columns[1] - 1])

  def test_the_shorter_side_is_resized_and_the_rest_cut_off(self):
    t = Preprocessing.parse('resize_shorter(8) | crop(6)')
    images = self.images[:, :8]  # 8 x 12: no resize at all.
    np.testing.assert_allclose(t(images), images[:, 1:7, 3:9] / 255, atol=1e-6)
    for shape, expected in (((16, 25), (8, 12)), ((30, 9), (26, 8))):
      t = Preprocessing.parse('resize_shorter(8)')
      self.assertEqual(t.output_shape((*shape, 3)), (*expected, 3))

  def test_an_image_is_padded_to_a_square_around_it(self):
    t = Preprocessing.parse('range(0, 255) | pad_to_square(114)')
    for images in (self.images[:, :7], self.images[:, :, :5]):
      actual = t(images)
      self.assertEqual(actual.shape, (2, 12, 12, 3))
      rows, columns = ((12 - n) // 2 for n in images.shape[1:3])
      window = np.s_[
        :,
        rows : rows + images.shape[1],
        columns : columns + images.shape[2],
      ]
      np.testing.assert_allclose(actual[window], images, rtol=1e-5)
      actual[window] = 114
      np.testing.assert_array_equal(actual, np.full(actual.shape, 114))

  def test_lightness_is_that_of_cie_lab(self):
    expected = skimage.color.rgb2lab(self.floats)[..., :1] / 100
    actual = Preprocessing.parse('lightness')(self.images)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    extremes = np.stack([np.zeros((4, 4, 3)), np.ones((4, 4, 3))])
    actual = Preprocessing.parse('lightness | range(-1, 1)')(extremes)
    np.testing.assert_allclose(actual[:, 0, 0, 0], [-1, 1], atol=1e-5)

  def test_mask_covers_rows_and_columns_64_to_191_of_256(self):
    t = Preprocessing.parse('range(-1, 1) | mask_center(0.5)')
    actual = t(np.zeros((1, 256, 256, 3), np.uint8))[0, ..., 0]
    expected = np.full((256, 256), -1.0)
    expected[64:192, 64:192] = 0
    np.testing.assert_array_equal(actual, expected)

  def test_values_are_clipped_and_normalised(self):
    actual = Preprocessing.parse('clip(0.1, 0.9) | range(-1, 1)')(self.images)
    np.testing.assert_allclose(
      actual, np.clip(self.floats, 0.1, 0.9) * 2 - 1, atol=1e-6
    )
    t = Preprocessing.parse('mean_std((0.5, 0.4, 0.3), 0.25)')
    expected = (self.floats - [0.5, 0.4, 0.3]) / 0.25
    np.testing.assert_allclose(t(self.images), expected, atol=1e-5)

  def test_channels_are_reordered(self):
    actual = Preprocessing.parse('bgr | channels_first')(self.images)
    expected = np.moveaxis(self.floats, 3, 1)[:, ::-1]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    self.assertTrue(actual.flags.c_contiguous)

  def test_a_channel_is_appended_and_dropped(self):
    t = Preprocessing.parse('range(0, 255) | append_channel(7)')
    actual = t(self.images)
    self.assertEqual(actual.shape, (2, 12, 12, 4))
    np.testing.assert_allclose(actual[..., :3], self.images, rtol=1e-5)
    np.testing.assert_array_equal(actual[..., 3], 7)
    maps = np.arange(2 * 12 * 12 * 4.0).reshape(2, 12, 12, 4)
    np.testing.assert_array_equal(t.inverse(maps, (12, 12, 3)), maps[..., :3])

  @parameterized.parameters(
    ('bayer_mosaic', 'RGGB'),
    ('bayer_mosaic(0, 1)', 'GRBG'),
    ('bayer_mosaic(1)', 'GBRG'),
    ('bayer_mosaic(1, 1)', 'BGGR'),
  )
  def test_mosaic_keeps_the_one_colour_of_each_pixel(self, text, pattern):
    images = self.images[:, :5, :8]
    expected = np.zeros(images.shape)
    for y, x in np.ndindex(5, 8):
      channel = 'RGB'.index(pattern[2 * (y % 2) + x % 2])
      expected[:, y, x, channel] = images[:, y, x, channel] / 255
    actual = Preprocessing.parse(text)(images)
    np.testing.assert_allclose(actual, expected, atol=1e-6)

  def test_images_given_are_not_changed(self):
    floats = self.floats.astype(np.float32)
    before = floats.copy()
    Preprocessing.parse('mask_center(0.5) | range(0, 2)')(floats)
    np.testing.assert_array_equal(floats, before)

  @parameterized.parameters(
    ('lightness | lightness', '3 channels'),
    ('mean_std((1, 2), 1)', '2 numbers for 3 channels'),
    ('grayscale | bayer_mosaic', '3 channels'),
    ('bayer_mosaic(2)', '2 is not 0 or 1'),
    ('crop(13)', '13 x 13 pixels'),
    ('center_crop(0.1)', 'no square'),
    ('center_crop(1.5)', 'fraction'),
    ('resize_shorter(0)', 'whole number'),
  )
  def test_text_that_does_not_fit_the_images_is_an_error(self, text, message):
    with self.assertRaisesRegex(PreprocessingError, message):
      Preprocessing.parse(text)(self.images)


class InverseTest(parameterized.TestCase):
  def test_examples_cover_every_operation(self):
    self.assertEqual(
      tuple(EXAMPLES), tuple(preprocessing_operations.operations())
    )

  @parameterized.parameters(*EXAMPLES.values())
  def test_a_lit_region_returns_to_where_it_was(self, text):
    t = Preprocessing.parse(text)
    for rows, columns in (
      (np.s_[4:8], np.s_[16:20]),
      (np.s_[0:4], np.s_[8:12]),
    ):
      lit = np.zeros((1, 16, 24, 3), np.float32)
      lit[:, rows, columns] = 1
      marked = self.difference(t, lit)
      maps = t.inverse(marked, (16, 24, 3))
      self.assertEqual(maps.shape, lit.shape)
      inside = maps[:, rows, columns].sum()
      self.assertGreater(inside, 0)
      self.assertAlmostEqual(maps.sum() / inside, 1, places=4)

  @parameterized.parameters(
    'center_crop | resize(32) | lightness | range(-1, 1)',
    'resize(48) | clip(0.1, 0.9) | range(0, 255) | channels_first',
    'resize(8, 12) | bgr | mean_std(0.5, 0.5)',
  )
  def test_the_centre_of_mass_survives_a_chain(self, text):
    t = Preprocessing.parse(text)
    lit = np.zeros((1, 16, 24, 3), np.float32)
    lit[:, 4:8, 8:12] = 1
    maps = t.inverse(self.difference(t, lit), (16, 24, 3))[0].sum(axis=2)
    rows, columns = np.indices(maps.shape) + 0.5
    self.assertAlmostEqual((rows * maps).sum() / maps.sum(), 6, places=3)
    self.assertAlmostEqual((columns * maps).sum() / maps.sum(), 10, places=3)

  def difference(self, t, lit):
    """Returns a map that is non-zero where the encoder sees the region."""
    return np.abs(t(lit) - t(np.zeros_like(lit)))

  def test_crop_is_padded_with_zeros(self):
    t = Preprocessing.parse('center_crop')
    maps = t.inverse(np.ones((2, 6, 6, 3)), (7, 10, 3))
    self.assertEqual(maps.shape, (2, 7, 10, 3))
    self.assertEqual(maps.sum(), 2 * 6 * 6 * 3)
    self.assertEqual(maps[:, :6, 2:8].sum(), maps.sum())

  @parameterized.parameters((40, 24), (18, 27), (9, 24), (40, 5))
  def test_a_map_that_shrinks_keeps_what_lies_between_its_points(self, h, w):
    t = Preprocessing.parse(f'resize({h}, {w})')
    lost = []
    for row, column in np.ndindex(h, w):
      maps = np.zeros((1, h, w, 1), np.float32)
      maps[0, row, column] = 1
      lost.append(t.inverse(maps, (8, 9, 1)).sum() * (h * w) / (8 * 9))
    self.assertGreater(min(lost), 0.4)  # Point sampling gives 0.
    self.assertLess(max(lost), 2.1)
    self.assertAlmostEqual(np.mean(lost), 1, places=5)

  @parameterized.parameters(2, 3, 5)
  def test_a_map_shrinks_to_means_over_areas(self, factor):
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(2, 4 * factor, 6 * factor, 3)).astype(np.float32)
    t = Preprocessing.parse(f'resize({4 * factor}, {6 * factor})')
    expected = maps.reshape(2, 4, factor, 6, factor, 3).mean(axis=(2, 4))
    actual = t.inverse(maps, (4, 6, 3))
    np.testing.assert_allclose(actual, expected, atol=1e-5)

  def test_one_channel_is_given_to_all(self):
    maps = np.arange(32.0).reshape(2, 4, 4, 1)
    for text in ('lightness', 'grayscale'):
      actual = Preprocessing.parse(text).inverse(maps, (4, 4, 3))
      np.testing.assert_array_equal(actual, maps.repeat(3, axis=3))

  def test_signs_are_kept(self):
    maps = -np.ones((1, 4, 4, 3))
    t = Preprocessing.parse('resize(4) | clip(0, 1) | range(-1, 1)')
    np.testing.assert_allclose(t.inverse(maps, (9, 5, 3)), -1)

  def test_maps_of_another_shape_are_refused(self):
    with self.assertRaisesRegex(PreprocessingError, r'\(5, 5, 3\)'):
      Preprocessing.parse('resize(4)').inverse(np.ones((1, 5, 5, 3)), (9, 9, 3))


class PixelTest(parameterized.TestCase):
  """A network that looks at one pixel lights that pixel of the image."""

  _SHAPES = ((12, 20, 3), (20, 12, 3), (15, 15, 3))
  # Of the encoder's input, as fractions of its sides.
  _PLACES = ((0, 0), (0.3, 0.7), (0.99, 0.99), (0.6, 0.1), (0.2, 0.5))

  def setUp(self):
    super().setUp()
    self.rng = np.random.default_rng(8)

  @parameterized.named_parameters(*EXAMPLES.items())
  def test_the_pixel_looked_at_is_lit_in_the_image(self, text):
    t = Preprocessing.parse(text)
    for shape in self._SHAPES:
      image = self.rng.uniform(0.2, 0.8, (1, *shape)).astype(np.float32)
      encoded = t(image)
      axes = (2, 3) if text == 'channels_first' else (1, 2)
      for place in self._PLACES:
        pixel = [
          int(p * encoded.shape[a]) for p, a in zip(place, axes, strict=True)
        ]
        with self.subTest(shape=shape, pixel=pixel):
          seen = self.pixels_that_matter(t, image, axes, pixel)
          maps = self.map_of_a_network_at(encoded, axes, pixel)
          lit = np.abs(t.inverse(maps, shape))[0].sum(axis=2)
          if not seen.any():  # Masked, or margin: nothing of the image.
            self.assertIn(text, ('mask_center(0.5)', 'pad_to_square(0.5)'))
            continue
          peak = np.unravel_index(lit.argmax(), lit.shape)
          tolerance = 1 if 'resize' in text else 0
          distance = np.abs(np.argwhere(seen) - peak).max(axis=1).min()
          self.assertLessEqual(distance, tolerance)
          for row, column in np.argwhere(lit > lit.max() / 2):
            nearest = np.abs(np.argwhere(seen) - (row, column)).max(axis=1)
            self.assertLessEqual(nearest.min(), tolerance)

  def map_of_a_network_at(self, encoded, axes, pixel):
    """Returns the gradient of the sum of one pixel's channels."""
    gradient = np.zeros_like(encoded)
    index = [slice(None)] * 4
    for axis, number in zip(axes, pixel, strict=True):
      index[axis] = number
    gradient[tuple(index)] = 1
    return gradient

  def pixels_that_matter(self, t, image, axes, pixel):
    """Returns which pixels change what the network sees, found by trying."""

    def look(images):
      encoded = t(images)
      for axis, number in sorted(zip(axes, pixel, strict=True), reverse=True):
        encoded = encoded.take(number, axis)
      return encoded.astype(float)

    height, width = image.shape[1:3]
    changed = np.repeat(image, height * width, axis=0)
    rows, columns = np.indices((height, width)).reshape(2, -1)
    changed[np.arange(height * width), rows, columns] += 0.05
    difference = np.abs(look(changed) - look(image)).max(axis=1)
    return difference.reshape(height, width) > 1e-5


if __name__ == '__main__':
  absltest.main()
