"""Grids of attribution maps: the paper's Figure 2."""

from collections.abc import Sequence

import cv2
import matplotlib
from matplotlib.figure import Figure
import numpy as np

from experiments.figures import style

_QUANTILE = 0.995
_WIDEST = 11.7  # Of a row of panels, in inches.
_POSITIVE, _NEGATIVE = np.array([(178, 10, 28), (5, 60, 170)])  # On grey.
_GAP = 4  # Pixels between the panels of a map grid, at the least.


def map_panels(
  images: np.ndarray,
  maps: np.ndarray,
  overlay: bool = False,
  is_signed: bool | None = None,
) -> np.ndarray:
  """Renders each image beside the attribution maps of all models.

  A map is summed over its channels, sign kept, and divided by the 99.5 %
  quantile of its magnitude. If no map has a negative value anywhere, black is
  zero; else white is zero, red positive and blue negative.

  Args:
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C]; drawn as large as the images.
    overlay: Whether the map is laid over the grey image: the larger a value,
      the less of the image shows.
    is_signed: Whether maps, perhaps others too, have negative values.

  Returns:
    uint8 [n, H, num_models * (W + gap) + W, 3].

  Raises:
    ValueError: If the shapes do not fit, or a map is not finite.
  """
  images, maps = np.asarray(images), np.asarray(maps)
  _check_maps(images, maps)
  is_signed = _is_signed(maps) if is_signed is None else is_signed
  height, width = images.shape[1:3]
  gap = np.full((height, _gap(width), 3), 255, np.uint8)
  rows = []
  for j, image in enumerate(images):
    row = [image]
    for model_maps in maps:
      values = _scaled(model_maps[j])
      if values.shape != (height, width):
        size = width, height
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
      panel = _over(image, values) if overlay else _render(values, is_signed)
      row += [gap, panel]
    rows.append(np.concatenate(row, axis=1))
  return np.stack(rows)


def map_grid(
  path: style.Target,
  images: np.ndarray,
  maps: np.ndarray,
  labels: Sequence[str],
  method: str,
  overlay: bool = False,
  groups: Sequence[str | None] | None = None,
  columns: int = 10,
  title: str | None = None,
) -> None:
  """Draws the paper's Figure 2: a row per image, a column per model.

  More models than columns are drawn in several bands of equal size.
  Longer than a screen: one drawing, from its sizes to its parts.

  Args:
    path: The PNG file, or an open one.
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C], see `map_panels`.
    labels: Labels of the models.
    method: Name of the attribution method.
    overlay: Whether the maps are laid over the images.
    groups: Groups of the models, which colour the labels.
    columns: How many models stand beside each other.
    title: Of the figure; default: that they are maps of the method.
  """
  style.check_length('labels', labels, len(maps))
  groups = [None] * len(maps) if groups is None else list(groups)
  style.check_length('groups', groups, len(maps))
  colors = style.group_colors(groups)
  inks = [colors[group] if group else style.INK for group in groups]
  is_signed, image_width = _is_signed(maps), np.shape(images)[2]
  bands = np.array_split(np.arange(len(maps)), -(-len(maps) // columns))
  mosaics = [
    _mosaic(map_panels(images, maps[band], overlay, is_signed), image_width)
    for band in bands
  ]
  side = round(_WIDEST / (columns + 1), 1)  # Of a panel.
  inch = min(side / image_width, _WIDEST / mosaics[0].shape[1])
  texts = [_in_lines(label, side) for label in labels]
  lines = [line for text in texts for line in text.split('\n')]
  is_upright = style.text_width(lines, 9) > side
  if is_upright:
    texts, room = list(labels), style.text_width(labels, 9)
  else:
    room = 0.15 * max(text.count('\n') + 1 for text in texts)
  step = mosaics[0].shape[0] * inch + room + 0.2
  width = max(mosaics[0].shape[1] * inch, 5.2) + 0.4
  top = 0.9 if any(groups) else 0.6
  figure = style.new_figure(width, top + 0.65 + len(bands) * step)
  for number, (band, mosaic) in enumerate(zip(bands, mosaics, strict=True), 1):
    height, across = (side * inch for side in mosaic.shape[:2])
    bottom = 0.75 + (len(bands) - number) * step
    axes = style.add_axes(figure, 0.2, bottom, across, height)
    axes.imshow(mosaic, interpolation=style.ENLARGED)
    axes.set_axis_off()
    shown = [('Image', style.INK), *((texts[i], inks[i]) for i in band)]
    _column_labels(axes, shown, image_width, is_upright)
  shown_title = title or f'Attribution maps: {style.method_label(method)}'
  style.title(figure, shown_title, 0.2)
  style.group_legend(figure, colors, 0.2)
  _map_caption(figure, is_signed, 0.2, overlay)
  style.save(figure, path)


def _in_lines(label: str, side: float) -> str:
  """Returns a label with a line for each word if it is wider than a panel."""
  is_wide = style.text_width([label], 9) > 0.9 * side
  return label.replace(' ', '\n') if is_wide else label


def _gap(width: int) -> int:
  """Returns the pixels between panels of a width."""
  return max(_GAP, width // 16)


def _mosaic(panels: np.ndarray, image_width: int) -> np.ndarray:
  """Returns what `map_panels` does, a row for each image."""
  gap = _gap(image_width)
  below = [(0, 0), (0, gap), (0, 0), (0, 0)]
  rows = np.pad(panels, below, constant_values=255)
  return rows.reshape(-1, *panels.shape[2:])[:-gap]


def _column_labels(
  axes: matplotlib.axes.Axes,
  labels: Sequence[tuple[str, str]],
  image_width: int,
  is_upright: bool,
) -> None:
  gap = _gap(image_width)
  for i, (label, color) in enumerate(labels):
    x = i * (image_width + gap) + image_width / 2
    look = {'ha': 'center', 'va': 'bottom', 'rotation': 90 * is_upright}
    look['color'] = color
    weight = 'normal' if i else 'bold'
    style.text(axes, x, -gap, label, 9, fontweight=weight, **look)


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


def _scaled(attribution_map: np.ndarray) -> np.ndarray:
  """Returns a map [h, w, C] summed over channels, float64 [h, w] in [-1, 1]."""
  values = attribution_map.sum(axis=-1, dtype=np.float64)
  magnitude = np.abs(values)
  scale = np.quantile(magnitude, _QUANTILE) or magnitude.max() or 1.0
  return np.clip(values / scale, -1, 1)


def _render(values: np.ndarray, is_signed: bool) -> np.ndarray:
  """Colours a scaled map [h, w]; returns uint8 [h, w, 3]."""
  colors = matplotlib.colormaps['RdBu_r' if is_signed else 'inferno']
  values = (values + 1) / 2 if is_signed else values
  return colors(values, bytes=True)[..., :3]


def _over(image: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Lays a scaled map over an image: red is positive, blue negative."""
  grey = 110 + 0.55 * image.mean(axis=-1, keepdims=True)
  color = np.where(values[..., None] < 0, _NEGATIVE, _POSITIVE)
  opacity = np.abs(values)[..., None]
  return np.round(opacity * color + (1 - opacity) * grey).astype(np.uint8)


def _map_caption(
  figure: Figure, is_signed: bool, left: float, overlay: bool
) -> None:
  axes = style.add_axes(figure, left, 0.4, 1.6, 0.13)
  ramp = np.linspace(-1 if is_signed else 0, 1, 256)[None]
  grey = np.full((1, 256, 3), 128, np.uint8)
  colors = _over(grey, ramp) if overlay else _render(ramp, is_signed)
  axes.imshow(colors, aspect='auto')
  style.without_ticks(axes, visible=False)
  ticks = {0: '-q', 127.5: '0', 255: 'q'} if is_signed else {0: '0', 255: 'q'}
  axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8.5)
  axes.tick_params(length=2, pad=2)
  said = (
    f'{"Signed sum" if is_signed else "Sum"} over channels; each map is '
    'divided by q,\nthe 99.5 % quantile of its own magnitude.'
  )
  top = figure.get_size_inches()[1] - 0.42
  style.write(figure, said, left + 1.85, top, 8.5, va='center')
