"""Grids of attribution maps: the paper's Figure 2."""

from collections.abc import Sequence

import cv2
import matplotlib
from matplotlib.figure import Figure
import numpy as np

from experiments.figures import style
from transferability import files

_QUANTILE = 0.995
_GAP = 4  # Pixels between the panels of a map grid, at the least.


def map_panels(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
  """Renders each image beside the attribution maps of all models.

  A map is summed over its channels, sign kept, and divided by the 99.5 %
  quantile of its magnitude. If no map has a negative value anywhere, black is
  zero; else white is zero, red positive and blue negative.

  Args:
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C]; drawn as large as the images.

  Returns:
    uint8 [n, H, num_models * (W + gap) + W, 3].

  Raises:
    ValueError: If the shapes do not fit, or a map is not finite.
  """
  images, maps = np.asarray(images), np.asarray(maps)
  _check_maps(images, maps)
  is_signed = _is_signed(maps)
  height, width = images.shape[1:3]
  gap = np.full((height, max(_GAP, width // 16), 3), 255, np.uint8)
  rows = []
  for j, image in enumerate(images):
    row = [image]
    for model_maps in maps:
      panel = _render(model_maps[j], is_signed)
      if panel.shape != image.shape:
        panel = cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA)
      row += [gap, panel]
    rows.append(np.concatenate(row, axis=1))
  return np.stack(rows)


def map_grid(
  path: files.Path,
  images: np.ndarray,
  maps: np.ndarray,
  labels: Sequence[str],
  method: str,
) -> None:
  """Draws the paper's Figure 2: a row per image, a column per model.

  Args:
    path: The PNG file.
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C], see `map_panels`.
    labels: Labels of the models.
    method: Name of the attribution method.
  """
  panels = map_panels(images, maps)
  style.check_length('labels', labels, len(maps))
  count, rows, strip, _ = panels.shape
  image_width = np.shape(images)[2]
  pitch = (strip - image_width) / len(maps)  # From panel to panel, in pixels.
  gap = round(pitch - image_width)
  mosaic = np.full((count * (rows + gap) - gap, strip, 3), 255, np.uint8)
  for j, panel in enumerate(panels):
    mosaic[j * (rows + gap) :][:rows] = panel

  columns = len(maps) + 1
  width = min(1.6 * columns, max(10.2, 0.45 * columns))  # Inches, as all below.
  height = width * mosaic.shape[0] / strip
  longest = style.text_width(labels, 9)
  is_upright = longest > width / columns
  top = 0.65 + (longest if is_upright else 0.15)
  figure = style.new_figure(max(width, 5.2) + 0.4, top + height + 0.75)
  axes = figure.add_axes(style.inches(figure, 0.2, 0.75, width, height))
  axes.imshow(mosaic, interpolation='antialiased')
  axes.set_axis_off()
  for i, label in enumerate(('Image', *labels)):
    axes.text(
      i * pitch + image_width / 2,
      -gap,
      label,
      rotation=90 if is_upright else 0,
      ha='center',
      va='bottom',
      fontsize=9,
      color=style.INK,
      fontweight='normal' if i else 'bold',
      parse_math=False,
    )
  style.title(figure, f'Attribution maps: {style.method_label(method)}', 0.2)
  _map_caption(figure, _is_signed(maps), 0.2)
  style.save(figure, path)


def _check_maps(images: np.ndarray, maps: np.ndarray) -> None:
  if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
    raise ValueError(
      f'Images are uint8 [n, H, W, 3], not {images.dtype} {images.shape}.'
    )
  if maps.ndim != 5 or maps.shape[1] != len(images) or not maps.size:
    raise ValueError(
      f'Maps of {len(images)} images are [num_models, {len(images)}, h, w, C], '
      f'not {maps.shape}.'
    )
  if not np.isfinite(maps).all():
    raise ValueError('An attribution map that is not finite cannot be drawn.')


def _is_signed(maps: np.ndarray) -> bool:
  return bool(np.min(maps) < 0)


def _map_colors(is_signed: bool) -> matplotlib.colors.Colormap:
  return matplotlib.colormaps['RdBu_r' if is_signed else 'inferno']


def _render(attribution_map: np.ndarray, is_signed: bool) -> np.ndarray:
  """Colours one map [h, w, C]; returns uint8 [h, w, 3]."""
  values = attribution_map.sum(axis=-1, dtype=np.float64)
  magnitude = np.abs(values)
  scale = np.quantile(magnitude, _QUANTILE) or magnitude.max() or 1.0
  values = np.clip(values / scale, -1, 1)
  if is_signed:
    values = (values + 1) / 2
  return _map_colors(is_signed)(values, bytes=True)[..., :3]


def _map_caption(figure: Figure, is_signed: bool, left: float) -> None:
  axes = figure.add_axes(style.inches(figure, left, 0.4, 1.6, 0.13))
  ramp = np.linspace(0, 1, 256)[None]
  axes.imshow(ramp, cmap=_map_colors(is_signed), aspect='auto')
  ticks = {0: '-q', 127.5: '0', 255: 'q'} if is_signed else {0: '0', 255: 'q'}
  axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8.5)
  axes.set_yticks([])
  axes.tick_params(length=2, pad=2)
  axes.spines[:].set_visible(False)
  width, height = figure.get_size_inches()
  figure.text(
    (left + 1.85) / width,
    0.42 / height,
    f'{"Signed sum" if is_signed else "Sum"} over channels; each map is '
    'divided by q,\nthe 99.5 % quantile of its own magnitude.',
    fontsize=8.5,
    va='center',
    color=style.INK,
  )
