"""Tests of decoding, cropping and resizing."""

import io
import os
import struct
from unittest import mock
import zlib

from absl.testing import absltest, parameterized
import cv2
import numpy as np
from PIL import Image, ImageOps

from probe_data import containers, errors, images
from tests import image_testing

_PICTURE = image_testing.picture()
_GREY = _PICTURE[..., 0]
_ALPHA = np.where(_GREY > 128, 255, 0).astype(np.uint8)[..., None]


def _repeated(grey: np.ndarray) -> np.ndarray:
  return np.repeat(grey[..., None], 3, axis=-1)


class DecodeTest(parameterized.TestCase):
  @parameterized.parameters('PNG', 'BMP', 'PPM', 'TIFF')
  def test_lossless_picture_is_kept_in_rgb_order(self, kind):
    data = image_testing.encode(_PICTURE, kind)
    np.testing.assert_array_equal(images.decode(data), _PICTURE)

  @parameterized.parameters(
    ({},), ({'progressive': True},), ({'subsampling': 0},)
  )
  def test_jpeg_is_near_the_picture(self, options):
    data = image_testing.encode(_PICTURE, 'JPEG', quality=95, **options)
    error = images.decode(data).astype(int) - _PICTURE
    self.assertLess(np.abs(error).mean(), 3)

  def test_cmyk_jpeg_is_converted(self):
    cmyk = Image.fromarray(_PICTURE).convert('CMYK')
    data = image_testing.encode(cmyk, 'JPEG', quality=95)
    error = images.decode(data).astype(int) - _PICTURE
    self.assertLess(np.abs(error).mean(), 3)

  @parameterized.parameters('PNG', 'TIFF', 'PPM')
  def test_grey_is_repeated(self, kind):
    decoded = images.decode(image_testing.encode(_GREY, kind))
    np.testing.assert_array_equal(decoded, _repeated(_GREY))

  def test_grey_jpeg_has_three_equal_channels(self):
    decoded = images.decode(image_testing.encode(_GREY, 'JPEG', quality=95))
    self.assertEqual(decoded.shape, _PICTURE.shape)
    np.testing.assert_array_equal(decoded, _repeated(decoded[..., 0]))

  @parameterized.parameters(
    ('PNG', {}), ('WEBP', {'lossless': True, 'exact': True})
  )
  def test_alpha_is_dropped_and_not_composited(self, kind, options):
    rgba = np.concatenate([_PICTURE, _ALPHA], axis=-1)
    decoded = images.decode(image_testing.encode(rgba, kind, **options))
    np.testing.assert_array_equal(decoded, _PICTURE)

  def test_alpha_of_a_grey_picture_is_dropped(self):
    grey_alpha = Image.fromarray(np.dstack([_GREY, _ALPHA]), 'LA')
    decoded = images.decode(image_testing.encode(grey_alpha, 'PNG'))
    np.testing.assert_array_equal(decoded, _repeated(_GREY))

  @parameterized.parameters(({},), ({'transparency': 3},))
  def test_palette_is_looked_up(self, options):
    palette = Image.fromarray(_PICTURE).quantize(16)
    data = image_testing.encode(palette, 'PNG', **options)
    expected = np.asarray(palette.convert('RGB'))
    np.testing.assert_array_equal(images.decode(data), expected)

  def test_black_and_white_is_expanded(self):
    bits = Image.fromarray(_PICTURE).convert('1')
    expected = np.asarray(bits.convert('RGB'))
    decoded = images.decode(image_testing.encode(bits, 'PNG'))
    np.testing.assert_array_equal(decoded, expected)

  @parameterized.product(suffix=('.png', '.tiff'), channels=(1, 3))
  def test_sixteen_bits_are_reduced_to_eight(self, suffix, channels):
    values = _PICTURE[..., :channels].astype(np.uint16) * 257
    encoded, data = cv2.imencode(suffix, values[..., ::-1])
    self.assertTrue(encoded)
    expected = np.broadcast_to(_PICTURE[..., :channels], _PICTURE.shape)
    np.testing.assert_array_equal(images.decode(data.tobytes()), expected)

  @parameterized.product(orientation=tuple(range(1, 9)), kind=('JPEG', 'PNG'))
  def test_exif_orientation_is_applied(self, orientation, kind):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = image_testing.encode(_PICTURE, kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    decoded = images.decode(data)
    self.assertEqual(decoded.shape, np.asarray(upright).shape)
    self.assertLess(np.abs(decoded.astype(int) - upright).mean(), 1)

  @parameterized.parameters(
    ('PNG', {}), ('TIFF', {}), ('WEBP', {'lossless': True})
  )
  def test_first_picture_of_several_is_taken(self, kind, options):
    second = Image.fromarray(255 - _PICTURE)
    data = image_testing.encode(
      _PICTURE, kind, save_all=True, append_images=[second], **options
    )
    np.testing.assert_array_equal(images.decode(data), _PICTURE)

  def test_first_picture_of_an_animated_gif_is_taken(self):
    palettes = [
      Image.fromarray(p).quantize(64) for p in (_PICTURE, 255 - _PICTURE)
    ]
    data = image_testing.encode(
      palettes[0], 'GIF', save_all=True, append_images=palettes[1:]
    )
    expected = np.asarray(palettes[0].convert('RGB'))
    np.testing.assert_array_equal(images.decode(data), expected)

  @parameterized.product(
    kind=('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'PPM'),
    part=(0.02, 0.3, 0.6, 0.95),
  )
  def test_truncated_picture_is_refused(self, kind, part):
    data = image_testing.encode(image_testing.picture(200, 300), kind)
    with self.assertRaises(errors.ImageFileError):
      images.decode(data[: int(part * len(data))])

  def test_damage_that_only_the_decoder_sees_is_refused(self):
    data = image_testing.encode(_PICTURE, 'PNG')
    begin = data.index(b'IDAT')
    (length,) = struct.unpack_from('>I', data, begin - 4)
    half = data[begin : begin + 4 + length // 2]
    damaged = (
      data[: begin - 4]
      + struct.pack('>I', len(half) - 4)
      + half
      + struct.pack('>I', zlib.crc32(half))
      + data[begin + 8 + length :]
    )
    self.assertEqual(containers.read_size(damaged), _PICTURE.shape[:2])
    with self.assertRaisesRegex(errors.ImageFileError, 'OpenCV'):
      images.decode(damaged)

  def test_bomb_is_refused_undecoded(self):
    data = bytearray(image_testing.encode(_PICTURE, 'BMP'))
    struct.pack_into('<ii', data, 18, 30_000, 30_000)
    with mock.patch.object(cv2, 'imdecode') as decoder:
      with self.assertRaisesRegex(errors.ImageFileError, '30000 x 30000 pix'):
        images.decode(bytes(data))
    decoder.assert_not_called()


class ReadTest(absltest.TestCase):
  def test_format_is_told_by_the_content_and_not_by_the_name(self):
    data = image_testing.encode(_PICTURE, 'PNG')
    path = image_testing.write(self.create_tempdir().full_path, 'a.jpg', data)
    np.testing.assert_array_equal(images.read(path), _PICTURE)

  def test_what_is_no_regular_file_is_refused_without_reading_it(self):
    folder = self.create_tempdir().full_path
    pipe = os.path.join(folder, 'pipe.jpg')
    os.mkfifo(pipe)
    link = os.path.join(folder, 'link.jpg')
    os.symlink(os.path.join(folder, 'gone.jpg'), link)
    for path in (pipe, link, folder):
      with self.assertRaisesRegex(errors.ImageFileError, 'not a regular file'):
        images.read(path)
    with self.assertRaisesRegex(errors.ImageFileError, 'no such file'):
      images.read(os.path.join(folder, 'gone.jpg'))

  def test_file_that_is_too_large_is_refused_without_reading_it(self):
    path = os.path.join(self.create_tempdir().full_path, 'large.jpg')
    with open(path, 'wb') as file:
      file.truncate(images.MAX_BYTES + 1)  # Sparse: takes no space.
    with self.assertRaisesRegex(errors.ImageFileError, 'larger than'):
      images.read(path)


class FitTest(parameterized.TestCase):
  @parameterized.parameters(
    (10, 16, slice(0, 10), slice(3, 13)),
    (16, 10, slice(3, 13), slice(0, 10)),
    (11, 16, slice(0, 10), slice(3, 13)),
    (13, 13, slice(0, 12), slice(0, 12)),
  )
  def test_square_crop_is_the_task_bank_one(self, height, width, rows, columns):
    image = image_testing.picture(height, width)
    side = rows.stop - rows.start
    np.testing.assert_array_equal(
      images.fit(image, (side, side)), image[rows, columns]
    )

  @parameterized.parameters((30, 90), (90, 30), (30, 20))
  def test_crop_is_the_largest_centred_one_of_the_aspect(self, height, width):
    image = image_testing.picture(height, width)
    expected_rows = min(height, width * 10 // 20) // 2 * 2
    expected_columns = min(width, height * 20 // 10) // 2 * 2
    top = height // 2 - expected_rows // 2
    left = width // 2 - expected_columns // 2
    crop = image[top : top + expected_rows, left : left + expected_columns]
    expected = cv2.resize(crop, (20, 10), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(images.fit(image, (10, 20)), expected)

  def test_shrinking_takes_the_means_of_areas(self):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    means = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(images.fit(image, (16, 16)), means, atol=0.51)

  def test_enlarging_is_bilinear(self):
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 200
    row = images.fit(image, (4, 4))[0, :, 0]
    np.testing.assert_array_equal(row, [0, 50, 150, 200])

  @parameterized.product(shape=((1, 1), (1, 50), (3, 2), (70, 1)), side=(1, 8))
  def test_tiny_images_get_the_size_asked_for(self, shape, side):
    image = np.full((*shape, 3), 7, np.uint8)
    fitted = images.fit(image, (side, side))
    np.testing.assert_array_equal(fitted, np.full((side, side, 3), 7))


if __name__ == '__main__':
  absltest.main()
