"""Image files for tests, written by Pillow: not the library under test."""

import io
import pathlib

import numpy as np
from PIL import Image


def picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
  """Returns a smooth colour picture, uint8 [height, width, 3]."""
  coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
  smooth = Image.fromarray(coarse).resize((width, height), Image.BILINEAR)
  return np.asarray(smooth)


def encode(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
  """Returns an image as a file of the kind 'JPEG', 'PNG', ..."""
  if isinstance(image, np.ndarray):
    image = Image.fromarray(image)
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def write(folder: str | pathlib.Path, name: str, data: bytes) -> pathlib.Path:
  """Writes a file, and the folders above it."""
  path = pathlib.Path(folder) / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
  return path


def write_pictures(folder: str | pathlib.Path, *names: str) -> None:
  """Writes a different PNG picture under each name (whatever its extension)."""
  for name in names:
    seed = sum(i * byte for i, byte in enumerate(name.encode(), 1))
    write(folder, name, encode(picture(seed=seed), 'PNG'))
