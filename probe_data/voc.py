"""Folders in the layout of PASCAL VOC: several labels a picture, and masks.

  ImageSets/Main/CLASS_SPLIT.txt      a line `NAME 1`, `NAME 0` or `NAME -1`
  JPEGImages/NAME.jpg
  ImageSets/Segmentation/SPLIT.txt    names of the pictures with a mask
  SegmentationClass/NAME.png          in the colours of VOC's palette

A class that is only hard to see (0) counts as present. Classes are numbered as
their names are sorted, which is their number in the palette.
"""

from collections.abc import Callable, Iterable
import pathlib
import re

import cv2
import numpy as np

from probe_data.shapes import VOID, MaskedImages
from toolkit_basics import files

_MAX_BYTES = 2**26


def _palette(number: int) -> np.ndarray:
  """Returns VOC's colour of each class number, uint8 [number, 3], RGB."""
  colors = np.zeros((number, 3), np.uint8)
  for index in range(number):
    rest = index
    for bit in range(7, -1, -1):
      for channel in range(3):
        colors[index, channel] |= ((rest >> channel) & 1) << bit
      rest >>= 3
  return colors


def classes_of(folder: files.Path, split: str) -> tuple[str, ...]:
  """Returns the classes that a split has labels of, sorted.

  Raises:
    ValueError: If there are none; the message says what was looked for.
  """
  main = pathlib.Path(folder) / 'ImageSets' / 'Main'
  found = sorted(
    match[1]
    for path in main.glob(f'*_{split}.txt')
    if (match := re.fullmatch(rf'(.+)_{split}', path.stem))
  )
  if not found:
    raise ValueError(
      f'{main} has no CLASS_{split}.txt; `voc_dir` must be a folder in the '
      'layout of PASCAL VOC, such as VOCdevkit/VOC2012.'
    )
  return tuple(found)


def load(
  folder: files.Path,
  split: str,
  side: int,
  limit: int | None = None,
  progress: Callable[..., Iterable] = lambda items, **_: items,
) -> MaskedImages:
  """Returns the pictures of a split, resized to a square.

  Args:
    folder: In the layout of VOC.
    split: Such as train or val.
    side: Of the pictures, in pixels.
    limit: How many at most: those with a mask first.
    progress: As `toolkit_basics.progress.track`.

  Raises:
    ValueError: If the folder is none of VOC, a line or a picture cannot be
      read, or a mask has a colour that is none of the palette.
    OSError: If a file is missing.
  """
  root = pathlib.Path(folder)
  classes = classes_of(root, split)
  labels: dict[str, np.ndarray] = {}
  for k, name in enumerate(classes):
    path = root / 'ImageSets' / 'Main' / f'{name}_{split}.txt'
    for picture, value in _lines(path, 2):
      if value not in ('1', '0', '-1'):
        raise ValueError(f'{path}: {value!r} is none of 1, 0 and -1.')
      own = labels.setdefault(picture, np.zeros(len(classes), np.float32))
      own[k] = float(value != '-1')
  masked = set()
  listed = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
  if listed.exists():
    masked = {picture for (picture,) in _lines(listed, 1)}
  names = sorted(labels, key=lambda each: (each not in masked, each))[:limit]
  images = np.zeros((len(names), side, side, 3), np.uint8)
  masks = np.zeros((len(names), side, side), np.uint8)
  for i, picture in enumerate(progress(names, description='Reading pictures')):
    images[i] = _read(root / 'JPEGImages' / f'{picture}.jpg', side, False)
    if picture in masked:
      path = root / 'SegmentationClass' / f'{picture}.png'
      masks[i] = _numbers(_read(path, side, True), len(classes), path)
  has_mask = np.array([name in masked for name in names], bool)
  stacked = np.stack([labels[name] for name in names])
  return MaskedImages(images, stacked, masks, classes, has_mask)


def _lines(path: pathlib.Path, words: int) -> list[list[str]]:
  text = files.read_bounded(path, _MAX_BYTES).decode('utf-8')
  found = [line.split() for line in text.splitlines() if line.strip()]
  for line in found:
    if len(line) != words:
      raise ValueError(
        f'{path}: a line has {len(line)} words, but must have {words}.'
      )
  return found


def _read(path: pathlib.Path, side: int, is_mask: bool) -> np.ndarray:
  """Returns a picture of RGB, [side, side, 3]."""
  content = np.frombuffer(files.read_bounded(path, _MAX_BYTES), np.uint8)
  picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
  if picture is None:
    raise ValueError(f'{path} is no picture that can be read.')
  how = cv2.INTER_NEAREST if is_mask else cv2.INTER_AREA
  return cv2.resize(picture, (side, side), interpolation=how)[..., ::-1]


def _numbers(
  colors: np.ndarray, classes: int, path: pathlib.Path
) -> np.ndarray:
  """Returns the number of the class of each pixel of a mask."""
  codes = colors.astype(np.int64) @ (1 << 16, 1 << 8, 1)
  palette = _palette(256).astype(np.int64) @ (1 << 16, 1 << 8, 1)
  order = np.argsort(palette)
  place = np.searchsorted(palette[order], codes).clip(max=255)
  numbers = order[place]
  is_void = numbers == VOID
  known = (palette[numbers] == codes) & ((numbers <= classes) | is_void)
  if not known.all():
    wrong = tuple(int(v) for v in colors[~known][0])
    raise ValueError(
      f'{path}: the colour {wrong} stands for none of the {classes} classes.'
    )
  return numbers.astype(np.uint8)
