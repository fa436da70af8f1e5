"""Tests of pictures that are made up."""

from absl.testing import absltest
import numpy as np

from taskonomy_models import pictures


class PicturesTest(absltest.TestCase):
  def test_pictures_have_the_spectrum_of_photographs(self):
    found = pictures.noise(4, 128)
    self.assertEqual(found.shape, (4, 128, 128, 3))
    np.testing.assert_array_equal(found, pictures.noise(4, 128))
    spectrum = np.abs(np.fft.fft(found.mean(axis=3), axis=2))
    spectrum = np.sqrt((spectrum**2).mean(axis=(0, 1)))
    slope = np.polyfit(np.log(np.arange(2, 33)), np.log(spectrum[2:33]), 1)[0]
    # A line through a 1/f surface falls off as 1/f^0.5, in amplitude.
    self.assertBetween(slope, -1.1, -0.3)


if __name__ == '__main__':
  absltest.main()
