"""Image files as arrays: decoding by OpenCV, centre crop and resize."""

import os

import cv2
import numpy as np

from probe_data import containers
from probe_data.errors import ImageFileError

MAX_PIXELS = 10**8  # 300 MB as RGB; a larger picture is refused undecoded.
MAX_BYTES = 2**28  # Of a file.

# Every extension that claims an image: a file of a kind that OpenCV cannot read
# is then reported as unreadable instead of being passed over.
EXTENSIONS = frozenset(
  '.apng .avif .bmp .cr2 .dib .dng .exr .gif .hdr .heic .heif .ico .jfif .jif '
  '.jp2 .jpe .jpeg .jpg .jxl .nef .pbm .pfm .pgm .pic .png .pnm .ppm .ras .svg '
  '.tga .tif .tiff .webp'.split()
)


def read(path: str | os.PathLike[str]) -> np.ndarray:
  """Returns the RGB picture of an image file, uint8 [height, width, 3].

  Grey is repeated to three channels, alpha is dropped without compositing (as
  the Taskonomy task bank does), 16-bit values are reduced to 8 bits, palettes
  and CMYK are converted, EXIF orientation is applied, and of an animation the
  first picture is taken. (Alpha of TIFF is the exception: the codec itself
  lays such a picture over black.) The format is told by the file's content,
  whatever its name.

  Raises:
    ImageFileError: If the file holds no complete image, or one of more than
      `MAX_PIXELS` pixels. The message is the reason, without the path.
  """
  try:
    if not os.path.isfile(path):  # Reading a pipe or a device might never end.
      exists = os.path.lexists(path)
      raise ImageFileError('not a regular file' if exists else 'no such file')
    if os.path.getsize(path) > MAX_BYTES:
      raise ImageFileError(f'larger than {MAX_BYTES:,} bytes')
    with open(path, 'rb') as file:
      data = file.read(MAX_BYTES)
  except OSError as error:
    raise ImageFileError(error.strerror or str(error)) from error
  return decode(data)


def decode(data: bytes) -> np.ndarray:
  """As `read`, for the bytes of an image file."""
  height, width = containers.read_size(data)
  if height * width > MAX_PIXELS:
    raise ImageFileError(
      f'claims {height} x {width} pixels, more than the limit of {MAX_PIXELS:,}'
    )
  if (picture := containers.decode_pnm(data)) is not None:
    return picture
  try:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  except cv2.error as error:
    raise ImageFileError(f'OpenCV: {error.err}') from error
  if image is None:
    raise ImageFileError(
      'OpenCV cannot decode it: truncated, damaged or of an unknown variant'
    )
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def fit(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
  """Centre-crops an image to the aspect of a size and resizes it to that size.

  The crop has even sides; for a square size it is the square of side
  2 * floor(min(height, width) / 2), as in the Taskonomy task bank.

  Args:
    image: uint8 [height, width, 3].
    image_size: Height and width of the result.

  Returns:
    uint8 [*image_size, 3]: the means over areas where it is smaller than the
    crop (INTER_AREA), bilinear where it is larger.
  """
  crop = _centre_crop(image, image_size)
  height, width = image_size
  if crop.shape[:2] == (height, width):
    return np.ascontiguousarray(crop)
  shrinks = crop.shape[0] > height or crop.shape[1] > width
  method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
  return cv2.resize(crop, (width, height), interpolation=method)


def _centre_crop(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
  rows, columns = image.shape[:2]
  height, width = image_size
  if rows * width > columns * height:  # Taller than the size asked for.
    sides = columns * height // width, columns
  else:
    sides = rows, rows * width // height
  crop_rows, crop_columns = (max(side // 2 * 2, 1) for side in sides)
  top = rows // 2 - crop_rows // 2
  left = columns // 2 - crop_columns // 2
  return image[top : top + crop_rows, left : left + crop_columns]
