"""Tests of the noise with the spectrum of photographs."""

from absl.testing import absltest
import numpy as np

from probe_data import noise, probe_sets


class NoiseTest(absltest.TestCase):
  def test_amplitude_falls_as_one_over_frequency(self):
    pictures, _ = noise.pictures(20, (128, 128))
    grey = pictures.mean(axis=-1)
    power = np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True)))
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2))
    inside = (frequency > 0.02) & (frequency < 0.3)
    slope, _ = np.polyfit(
      np.log(frequency[inside]), np.log(power.mean(axis=0)[inside]), 1
    )
    self.assertAlmostEqual(slope, -1, delta=0.05)

  def test_contrast_is_mostly_common_to_the_channels(self):
    pictures, _ = noise.pictures(10, (64, 64))
    values = pictures.reshape(-1, 3) / 255
    self.assertAlmostEqual(values.mean(), 0.5, delta=0.03)
    self.assertAlmostEqual(values.std(), 0.2, delta=0.02)
    correlation = np.corrcoef(values.T)
    self.assertAlmostEqual(correlation[0, 1], 1 / 1.09, delta=0.03)

  def test_a_picture_depends_on_its_number_and_the_seed_only(self):
    few, _ = noise.pictures(2, (16, 24))
    many, names = noise.pictures(5, (16, 24))
    other, _ = noise.pictures(2, (16, 24), seed=1)
    np.testing.assert_array_equal(few, many[:2])
    self.assertFalse(np.array_equal(few, other))
    self.assertFalse(np.array_equal(many[0], many[1]))
    self.assertLen(set(names), 5)

  def test_sides_may_be_odd(self):
    pictures, _ = noise.pictures(1, (15, 17))
    self.assertEqual(pictures.shape, (1, 15, 17, 3))

  def test_a_single_pixel_is_grey(self):
    pictures, _ = noise.pictures(1, (1, 1))
    np.testing.assert_array_equal(pictures, 128)

  def test_it_is_a_probe_set(self):
    probe = probe_sets.load('noise', num_images=3, image_size=(16, 16), seed=2)
    np.testing.assert_array_equal(
      probe.images, noise.pictures(3, (16, 16), 2)[0]
    )
    self.assertLen(set(probe.digests), 3)


if __name__ == '__main__':
  absltest.main()
