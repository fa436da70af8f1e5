"""What the bytes of an image file claim: its format, size and completeness.

OpenCV decodes the pixels, but it allocates whatever size a header asks for and,
depending on its version, fills what is missing of a truncated file with grey.
Both are found here from the file's structure, before anything is decoded.
"""

from collections.abc import Callable
import re
import struct
import zlib

import numpy as np

from probe_data.errors import ImageFileError

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'

# A JPEG marker: not a stuffed byte (FF 00), a fill byte (FF FF) or a restart
# (FF D0 ... FF D7), which all occur inside of entropy-coded data.
_JPEG_MARKER = re.compile(rb'\xff([\x01-\xcf\xd8-\xfe])', re.DOTALL)
_JPEG_END = 0xD9
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset((0x01, 0xD8))

_LAB = (8, 9, 10)  # CIE, of an ICC profile, of ITU; as TIFF numbers them.
_UNSIGNED = 1  # As TIFF numbers what its samples are.
_BMP_MASKED = (3, 6)  # Its ways to say which bits are red, green and blue.
_BMP_MASKS = {
  16: ((0xF800, 0x07E0, 0x001F), (0x7C00, 0x03E0, 0x001F)),
  32: ((0xFF0000, 0x00FF00, 0x0000FF),),
}
_GAP = rb'(?:\s+|#[^\n]*\n)+'
_PNM_HEADER = re.compile(
  rb'P([1-6])' + _GAP + rb'(\d{1,9})' + _GAP + rb'(\d{1,9})\s'
)
_PNM_LARGEST = re.compile(rb'(?:\s*|#[^\n]*\n)*(\d{1,5})(?:\s|#[^\n]*\n)')


def read_size(data: bytes) -> tuple[int, int]:
  """Returns the height and width that an image file claims to have.

  Args:
    data: The whole file.

  Raises:
    ImageFileError: If the file is empty, is of no known format, or is a JPEG or
      PNG file that is truncated or damaged.
  """
  if not data:
    raise ImageFileError('the file is empty')
  name, size = _format_of(data)
  try:
    height, width = size(data)
  except (struct.error, IndexError):
    raise ImageFileError(f'{name} file truncated in its header') from None
  if height < 1 or width < 1:
    raise ImageFileError(f'{name} file claims a size of {height} x {width}')
  return height, width


def _format_of(data: bytes) -> tuple[str, Callable[[bytes], tuple[int, int]]]:
  for start, name, size in _FORMATS:
    if re.match(start, data, re.DOTALL):
      return name, size
  raise ImageFileError(
    'not an image file of a known format (JPEG, PNG, WebP, TIFF, GIF, BMP, '
    f'PNM): it starts with {data[:12]!r}'
  )


def _jpeg_size(data: bytes) -> tuple[int, int]:
  """Walks the segments up to the end marker, so that thumbnails are skipped."""
  position, size = 2, None
  while marker := _JPEG_MARKER.search(data, position):
    code, position = marker.group(1)[0], marker.end()
    if code == _JPEG_END:
      if size is None:
        raise ImageFileError('JPEG file without an image')
      return size
    if code in _JPEG_WITHOUT_LENGTH:
      continue
    (length,) = struct.unpack_from('>H', data, position)
    if code in _JPEG_SIZES:
      size = size or struct.unpack_from('>HH', data, position + 3)
    position += length
  raise ImageFileError('JPEG file truncated: it has no end-of-image marker')


def _png_size(data: bytes) -> tuple[int, int]:
  """Walks the chunks up to the last and checks the sums of critical ones."""
  position, size = len(_PNG_SIGNATURE), None
  while position + 12 <= len(data):
    length, kind = struct.unpack_from('>I4s', data, position)
    end = position + 12 + length
    if end > len(data):
      break
    (checksum,) = struct.unpack_from('>I', data, end - 4)
    is_critical = kind[:1].isupper()
    if is_critical and zlib.crc32(data[position + 4 : end - 4]) != checksum:
      raise ImageFileError(
        f'PNG file damaged: wrong checksum in chunk {kind!r}'
      )
    if kind == b'IHDR' and size is None:
      width, height = struct.unpack_from('>II', data, position + 8)
      size = height, width
    elif kind == b'IEND' and size:
      return size
    position = end
  raise ImageFileError('PNG file truncated: its last chunk is missing')


def _webp_size(data: bytes) -> tuple[int, int]:
  (length,) = struct.unpack_from('<I', data, 4)
  if length + 8 > len(data):
    raise ImageFileError(
      f'WebP file truncated: {len(data)} of {length + 8} bytes'
    )
  kind = data[12:16]
  if kind == b'VP8X':
    width, height = (
      int.from_bytes(data[i : i + 3], 'little') for i in (24, 27)
    )
    return height + 1, width + 1
  if kind == b'VP8L':
    (bits,) = struct.unpack_from('<I', data, 21)
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
  width, height = struct.unpack_from('<HH', data, 26)
  return height & 0x3FFF, width & 0x3FFF


def _tiff_size(data: bytes) -> tuple[int, int]:
  """Reads the tags ImageWidth (256) and ImageLength (257) of the first page.

  Refuses colours (tag 262) and samples (tag 339) that OpenCV takes for RGB of
  whole numbers from 0, which they are not.
  """
  order = '<' if data[:2] == b'II' else '>'
  (directory,) = struct.unpack_from(f'{order}I', data, 4)
  (count,) = struct.unpack_from(f'{order}H', data, directory)
  first = {}
  for i in range(count):
    entry = directory + 2 + 12 * i
    tag, kind, length = struct.unpack_from(f'{order}HHI', data, entry)
    if tag in (256, 257, 262, 339):
      place = entry + 8
      if kind == 3 and length > 2:  # They do not fit where the first would be.
        (place,) = struct.unpack_from(f'{order}I', data, place)
      value = f'{order}H' if kind == 3 else f'{order}I'
      (first[tag],) = struct.unpack_from(value, data, place)
  if first.get(262) in _LAB:
    raise ImageFileError('TIFF file in CIE L*a*b* colours; save it as RGB')
  if first.get(339, _UNSIGNED) != _UNSIGNED:
    raise ImageFileError(
      'TIFF file of numbers with a sign or a fraction; save it as 8 or 16 bits '
      'without a sign'
    )
  return first.get(257, 0), first.get(256, 0)


def _gif_size(data: bytes) -> tuple[int, int]:
  width, height = struct.unpack_from('<HH', data, 6)
  return height, width


def _bmp_size(data: bytes) -> tuple[int, int]:
  """Refuses masks of colours that OpenCV does not look at."""
  (header,) = struct.unpack_from('<I', data, 14)
  if header == 12:
    width, height = struct.unpack_from('<HH', data, 18)
    return height, width
  width, height, _, bits, way = struct.unpack_from('<iiHHI', data, 18)
  if way in _BMP_MASKED:
    masks = struct.unpack_from('<III', data, 54)
    if masks not in _BMP_MASKS.get(bits, ()):
      raise ImageFileError(
        f'BMP file of {bits} bits with its colours in unusual ones of them; '
        'save it as PNG'
      )
  return abs(height), abs(width)  # A negative height means top row first.


def _pnm_size(data: bytes) -> tuple[int, int]:
  header = _PNM_HEADER.match(data[:4096])
  if header is None:
    raise ImageFileError('PNM file without a width and a height')
  return int(header.group(3)), int(header.group(2))


def decode_pnm(data: bytes) -> np.ndarray | None:
  """Returns the RGB picture of a PGM or PPM file that OpenCV gets wrong.

  That are texts, and those whose largest value, which the header states, is
  neither 255 nor 65,535: OpenCV takes it for one of these.

  Returns:
    uint8 [height, width, 3]; None for any other file.

  Raises:
    ImageFileError: If the file is truncated or damaged.
  """
  header = _PNM_HEADER.match(data[:4096])
  if header is None or header.group(1) not in b'2356':
    return None
  rest = _PNM_LARGEST.match(data, header.end() - 1)
  largest = int(rest.group(1)) if rest else 0
  if not 0 < largest < 2**16:
    raise ImageFileError('PNM file without a largest value')
  is_text = header.group(1) in b'23'
  if not is_text and largest in (255, 65_535):
    return None
  height, width = _pnm_size(data)
  channels = 3 if header.group(1) in b'36' else 1
  count = height * width * channels
  if is_text:
    words = re.sub(rb'#[^\n]*', b'', data[rest.end() :]).split()[:count]
    if not all(len(word) < 6 and word.isdigit() for word in words):
      raise ImageFileError('PNM file with what is no number')
    values = np.array(words, dtype=np.float64)
  else:
    kind = np.dtype('>u2' if largest > 255 else 'u1')
    content = data[rest.end() : rest.end() + count * kind.itemsize]
    whole = len(content) // kind.itemsize * kind.itemsize
    values = np.frombuffer(content[:whole], kind)
  if len(values) < count:
    raise ImageFileError(f'PNM file truncated: {len(values)} of {count} values')
  if values.max() > largest:
    raise ImageFileError(f'PNM file with a value above its largest, {largest}')
  scaled = np.rint(values * (255 / largest)).astype(np.uint8)
  pixels = scaled.reshape(height, width, channels)
  return np.repeat(pixels, 3, axis=2) if channels == 1 else pixels


# A regular expression of how the file starts.
_FORMATS = (
  (rb'\xff\xd8', 'JPEG', _jpeg_size),
  (_PNG_SIGNATURE, 'PNG', _png_size),
  (rb'RIFF.{4}WEBP', 'WebP', _webp_size),
  (rb'II\*\0|MM\0\*', 'TIFF', _tiff_size),
  (b'GIF8[79]a', 'GIF', _gif_size),
  (b'BM', 'BMP', _bmp_size),
  (b'P[1-6]', 'PNM', _pnm_size),
)
