"""Tests of what is told from the bytes of an image file."""

import struct
import zlib

from absl.testing import absltest, parameterized
import numpy as np
from PIL import Image, ImageCms

from probe_data import containers, errors, images
from tests import image_testing

_NOISE = np.random.default_rng(0).integers(0, 256, (37, 90, 3), np.uint8)
_FILES = {
  'jpeg': image_testing.encode(_NOISE, 'JPEG'),
  'progressive_jpeg': image_testing.encode(_NOISE, 'JPEG', progressive=True),
  'jpeg_with_restarts': image_testing.encode(
    _NOISE, 'JPEG', restart_marker_blocks=2
  ),
  'cmyk_jpeg': image_testing.encode(
    Image.fromarray(_NOISE).convert('CMYK'), 'JPEG'
  ),
  'png': image_testing.encode(_NOISE, 'PNG'),
  'lossy_webp': image_testing.encode(_NOISE, 'WEBP'),
  'lossless_webp': image_testing.encode(_NOISE, 'WEBP', lossless=True),
  'extended_webp': image_testing.encode(
    np.dstack([_NOISE, _NOISE[..., :1]]), 'WEBP'
  ),
  'tiff': image_testing.encode(_NOISE, 'TIFF'),
  'lzw_tiff': image_testing.encode(_NOISE, 'TIFF', compression='tiff_lzw'),
  'gif': image_testing.encode(Image.fromarray(_NOISE).quantize(), 'GIF'),
  'bmp': image_testing.encode(_NOISE, 'BMP'),
  'ppm': image_testing.encode(_NOISE, 'PPM'),
  'pgm': image_testing.encode(_NOISE[..., 0], 'PPM'),
}


def _png_chunk(kind: bytes, content: bytes) -> bytes:
  checksum = zlib.crc32(kind + content)
  return (
    struct.pack('>I', len(content))
    + kind
    + content
    + struct.pack('>I', checksum)
  )


def _tiff(values: np.ndarray, sample_format: int) -> bytes:
  """Returns a TIFF file of [height, width, channels] numbers."""
  height, width, channels = values.shape
  bits, content = 8 * values.itemsize, values.tobytes()
  tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [1],
          262: [2 if channels == 3 else 1], 273: [8], 277: [channels],
          278: [height], 279: [len(content)],
          339: [sample_format] * channels}  # fmt: skip
  start = 8 + len(content)
  behind, entries, more = start + 6 + 12 * len(tags), b'', b''
  for tag, numbers in tags.items():
    value = struct.pack(f'<{len(numbers)}H', *numbers)
    if len(value) > 4:
      value, more = struct.pack('<I', behind + len(more)), more + value
    entries += struct.pack('<HHI', tag, 3, len(numbers)) + value.ljust(4, b'\0')
  directory = struct.pack('<H', len(tags)) + entries + bytes(4)
  return b'II*\0' + struct.pack('<I', start) + content + directory + more


def _bmp(bits: int, masks: tuple[int, int, int], pixel: int) -> bytes:
  """Returns a BMP file of 2 x 2 equal pixels."""
  content = pixel.to_bytes(bits // 8, 'little') * 4
  head = struct.pack(
    '<IiiHHIIiiII', 40, 2, 2, 1, bits, 3, len(content), *[0] * 4
  )
  body = head + struct.pack('<III', *masks) + content
  return b'BM' + struct.pack('<IHHI', 14 + len(body), 0, 0, 66) + body


class ReadSizeTest(parameterized.TestCase):
  @parameterized.named_parameters(_FILES.items())
  def test_size_is_the_size_of_the_picture(self, data):
    self.assertEqual(containers.read_size(data), (37, 90))

  @parameterized.product(
    kind=('jpeg', 'progressive_jpeg', 'jpeg_with_restarts', 'cmyk_jpeg', 'png'),
    part=(0.01, 0.05, 0.2, 0.5, 0.9, 0.99),
  )
  def test_truncated_file_is_refused(self, kind, part):
    data = _FILES[kind]
    with self.assertRaisesRegex(errors.ImageFileError, 'truncated'):
      containers.read_size(data[: int(part * len(data))])

  @parameterized.named_parameters(_FILES.items())
  def test_no_prefix_of_a_file_raises_another_error(self, data):
    for length in range(0, min(len(data), 700)):
      try:
        containers.read_size(data[:length])
      except errors.ImageFileError:
        pass

  @parameterized.parameters('jpeg', 'progressive_jpeg', 'png')
  def test_file_without_its_last_byte_is_refused(self, kind):
    with self.assertRaisesRegex(errors.ImageFileError, 'truncated'):
      containers.read_size(_FILES[kind][:-1])

  @parameterized.parameters('jpeg', 'progressive_jpeg', 'png')
  def test_file_filled_up_with_zeros_is_refused(self, kind):
    data = _FILES[kind]
    half = data[: len(data) // 2]
    with self.assertRaises(errors.ImageFileError):
      containers.read_size(half + bytes(len(data) - len(half)))

  @parameterized.parameters('jpeg', 'png')
  def test_bytes_after_the_end_are_allowed(self, kind):
    self.assertEqual(containers.read_size(_FILES[kind] + b'more'), (37, 90))

  def test_end_of_an_embedded_thumbnail_is_not_the_end_of_the_picture(self):
    thumbnail = image_testing.encode(_NOISE[:8, :8], 'JPEG')
    segment = b'\xff\xe1' + struct.pack('>H', len(thumbnail) + 2) + thumbnail
    data = b'\xff\xd8' + segment + _FILES['jpeg'][2:]
    self.assertEqual(containers.read_size(data), (37, 90))
    with self.assertRaisesRegex(errors.ImageFileError, 'truncated'):
      containers.read_size(data[:-2])

  def test_second_size_does_not_hide_the_first(self):
    frame = b'\xff\xc0' + struct.pack('>HBHHB', 8, 8, 1, 1, 1)
    data = _FILES['jpeg'][:-2] + frame + b'\xff\xd9'
    self.assertEqual(containers.read_size(data), (37, 90))

  def test_fill_bytes_before_a_marker_are_allowed(self):
    data = _FILES['jpeg']
    filled = data[:-2] + b'\xff\xff\xff\xd9'
    self.assertEqual(containers.read_size(filled), (37, 90))

  def test_flipped_bit_in_the_pixels_of_a_png_is_refused(self):
    data = bytearray(_FILES['png'])
    data[len(data) // 2] ^= 1
    with self.assertRaisesRegex(errors.ImageFileError, 'damaged.*IDAT'):
      containers.read_size(bytes(data))

  def test_bomb_is_told_by_its_header_alone(self):
    header = struct.pack('>IIBBBBB', 2**30, 2**30, 8, 2, 0, 0, 0)
    data = b'\x89PNG\r\n\x1a\n' + b''.join(
      _png_chunk(kind, content)
      for kind, content in (
        (b'IHDR', header),
        (b'IDAT', zlib.compress(b'')),
        (b'IEND', b''),
      )
    )
    self.assertEqual(containers.read_size(data), (2**30, 2**30))

  @parameterized.named_parameters(
    ('empty', b'', 'empty'),
    ('text', b'I am not a picture.', "known format.*b'I am not a p'"),
    ('web_page', b'<!DOCTYPE html><html></html>', 'known format'),
    ('jpeg_of_no_picture', b'\xff\xd8\xff\xd9', 'without an image'),
    ('text_like_pnm', b'P2 is the name of a road', 'width'),
    ('no_rows', b'P5 7 0 255\n', '0 x 7'),
  )
  def test_reason_says_what_is_wrong(self, data, reason):
    with self.assertRaisesRegex(errors.ImageFileError, reason):
      containers.read_size(data)

  @parameterized.product(largest=(1, 15, 100, 255, 1023, 4095, 65_535),
                         channels=(1, 3), is_text=(False, True))  # fmt: skip
  def test_pnm_is_scaled_by_its_largest_value(self, largest, channels, is_text):
    rng = np.random.default_rng(0)
    values = rng.integers(0, largest + 1, (5, 7, channels))
    kind = {1: 5, 3: 6}[channels] - 3 * is_text
    if is_text:
      content = ' '.join(map(str, values.ravel())).encode()
    else:
      content = values.astype('>u2' if largest > 255 else 'u1').tobytes()
    header = b'P%d\n# a camera\n7 5\n%d\n' % (kind, largest)
    picture = images.decode(header + content)
    expected = np.broadcast_to(values * 255 / largest, (5, 7, 3))
    np.testing.assert_allclose(picture, expected, 0, 1)
    with self.assertRaises(errors.ImageFileError):
      images.decode(header + content[: len(content) // 2])

  @parameterized.parameters(b'P5 2 1 0 ab', b'P5 2 1 9 ab', b'P2 2 1 9 1 x')
  def test_pnm_that_contradicts_itself_is_refused(self, data):
    with self.assertRaises(errors.ImageFileError):
      images.decode(data)

  def test_tiff_in_lab_colours_is_refused(self):
    picture = Image.fromarray(_NOISE)
    profile = ImageCms.createProfile
    turn = ImageCms.buildTransform(
      profile('sRGB'), profile('LAB'), 'RGB', 'LAB'
    )
    lab = ImageCms.applyTransform(picture, turn)
    with self.assertRaisesRegex(errors.ImageFileError, r'L\*a\*b\*'):
      images.decode(image_testing.encode(lab, 'TIFF'))

  @parameterized.parameters(
    ('<i2', 2, 1), ('<i2', 2, 3), ('<i1', 2, 1), ('<f4', 3, 1), ('<f4', 3, 3)
  )
  def test_tiff_of_signed_numbers_or_fractions_is_refused(
    self, kind, number, channels
  ):
    values = np.ones((4, 6, channels), kind)
    data = _tiff(values, number)
    with self.assertRaisesRegex(errors.ImageFileError, 'sign or a fraction'):
      images.decode(data)
    np.testing.assert_array_equal(
      images.decode(_tiff(np.full((4, 6, channels), 7, np.uint8), 1)), 7
    )

  @parameterized.parameters(
    (16, (0xF800, 0x07E0, 0x001F)),
    (16, (0x7C00, 0x03E0, 0x001F)),
    (32, (0xFF0000, 0x00FF00, 0x0000FF)),
  )
  def test_bmp_with_usual_masks_is_read(self, bits, masks):
    data = _bmp(bits, masks, masks[0])
    np.testing.assert_allclose(images.decode(data)[0, 0], [255, 0, 0], 0, 8)

  @parameterized.parameters(
    (32, (0x0000FF, 0x00FF00, 0xFF0000)),  # Red would be blue.
    (32, (0x3FF << 20, 0x3FF << 10, 0x3FF)),
    (16, (0x0F00, 0x00F0, 0x000F)),
  )
  def test_bmp_with_its_colours_in_other_bits_is_refused(self, bits, masks):
    with self.assertRaisesRegex(errors.ImageFileError, 'unusual'):
      images.decode(_bmp(bits, masks, masks[0]))

  def test_bmp_of_os_2_is_read(self):
    # Two rows from below, each filled up to 8 bytes.
    content = b'\1\2\3\4\5\6\0\0' + b'\7\x08\x09\x0a\x0b\x0c\0\0'
    head = struct.pack('<IHHHH', 12, 2, 2, 1, 24)
    size = 14 + len(head) + len(content)
    data = b'BM' + struct.pack('<IHHI', size, 0, 0, 26) + head + content
    expected = [[[9, 8, 7], [12, 11, 10]], [[3, 2, 1], [6, 5, 4]]]
    np.testing.assert_array_equal(images.decode(data), expected)

  def test_jpeg_marker_without_a_length_is_passed_over(self):
    data = _FILES['jpeg']
    marked = data[:2] + b'\xff\x01' + data[2:]
    self.assertEqual(containers.read_size(marked), (37, 90))

  def test_pnm_comments_are_passed_over(self):
    data = b'P5\n# 1 1\n# made by hand\n3 2\n255\n' + bytes(6)
    self.assertEqual(containers.read_size(data), (2, 3))


if __name__ == '__main__':
  absltest.main()
