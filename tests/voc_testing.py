"""Writes pictures as a folder in the layout of PASCAL VOC."""

from collections.abc import Mapping
import pathlib

import numpy as np
from PIL import Image

from probe_data.shapes import MaskedImages


def _palette() -> list[int]:
  """Returns VOC's palette: the bits of a number, spread over the channels."""
  values = []
  for index in range(256):
    bits = [(index >> i) & 1 for i in range(8)]
    for channel in range(3):
      own = bits[channel::3]
      values.append(sum(bit << (7 - i) for i, bit in enumerate(own)))
  return values


def write(
  folder: pathlib.Path,
  splits: Mapping[str, MaskedImages],
  masked: int | None = None,
) -> None:
  """Writes splits of pictures; the first `masked` of each have masks."""
  for name in ('ImageSets/Main', 'ImageSets/Segmentation', 'JPEGImages'):
    (folder / name).mkdir(parents=True, exist_ok=True)
  (folder / 'SegmentationClass').mkdir(exist_ok=True)
  for split, data in splits.items():
    names = [f'{split}_{i:03d}' for i in range(len(data))]
    order = sorted(range(len(data.classes)), key=lambda k: data.classes[k])
    for k in order:
      lines = [
        f'{name} {1 if has else -1:2d}'
        for name, has in zip(names, data.labels[:, k], strict=True)
      ]
      path = folder / 'ImageSets' / 'Main' / f'{data.classes[k]}_{split}.txt'
      path.write_text('\n'.join(lines) + '\n')
    with_mask = names[:masked]
    path = folder / 'ImageSets' / 'Segmentation' / f'{split}.txt'
    path.write_text('\n'.join(with_mask) + '\n')
    numbers = np.arange(256, dtype=np.uint8)
    for number, k in enumerate(order, start=1):
      numbers[k + 1] = number
    for i, name in enumerate(names):
      picture = Image.fromarray(data.images[i])
      picture.save(folder / 'JPEGImages' / f'{name}.jpg', quality=95)
      if name in with_mask:
        mask = Image.fromarray(numbers[data.masks[i]])
        mask.putpalette(_palette())
        mask.save(folder / 'SegmentationClass' / f'{name}.png')
