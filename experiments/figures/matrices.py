"""Matrices of models against models, as heat maps."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
import numpy as np

from experiments.figures import style

# More models, and digits are smaller than 6 points in print, 6.5 inches wide.
_MOST_WRITTEN = 12
_TICKS = (1, 2, 5)  # Times powers of ten.


def affinity_heat_map(
  path: style.Target,
  affinity: np.ndarray,
  labels: Sequence[str],
  order: Sequence[int],
  title: str,
  groups: Sequence[str | None] | None = None,
) -> None:
  """Draws an affinity matrix, its models in the order of a tree's leaves.

  White is zero, red positive, blue negative. Colours go with the square root of
  a value's magnitude, so that one pair of near twins does not make all others
  look alike.

  Args:
    path: The PNG file, or an open one.
    affinity: [num_models, num_models]; the diagonal is greyed out, the colour
      scale is that of the other values.
    labels: Labels of the models, in the order of the matrix.
    order: Permutation of the models, as `Tree.leaf_order`.
    title: Title of the figure.
    groups: Groups of the models, which colour the labels.
  """
  affinity, size = np.asarray(affinity, np.float64), len(labels)
  _check_affinity(affinity, size, order)
  groups = [None] * size if groups is None else list(groups)
  style.check_length('groups', groups, size)

  side = float(np.clip(0.38 * size, 5.0, 40.0))  # Of the matrix, in inches.
  font = float(np.clip(side / size * 72 * 0.42, 3.0, 10.0))
  margin = style.text_width(labels, font) + 0.3
  figure = style.new_figure(margin + side + 1.45, side + margin + 1.15)
  axes = style.add_axes(figure, margin, 0.55, side, side)
  picture = show_affinity(axes, affinity, order)
  colors = style.group_colors(groups)
  shown = [labels[i] for i in order], [colors[groups[i]] for i in order]
  _label_cells(axes, *shown, font)

  bar_axes = style.add_axes(figure, margin + side + 0.2, 0.55, 0.18, side)
  _color_bar(figure, picture, bar_axes)
  if size <= _MOST_WRITTEN:
    _annotate(axes, picture, min(10.0, side / size * 72 * 0.27))
  style.title(figure, title, 0.2)
  style.group_legend(figure, colors, 0.2)
  style.save(figure, path)


def show_affinity(
  axes: Axes, affinity: np.ndarray, order: Sequence[int]
) -> AxesImage:
  """Shows a matrix, its models in an order, its diagonal greyed out."""
  values = affinity[np.ix_(order, order)]
  values = np.ma.masked_array(values, np.eye(len(values)))
  color_map = matplotlib.colormaps['RdBu_r'].with_extremes(bad='#D9D9D9')
  largest = float(np.abs(values).max()) or 1.0
  norm = FuncNorm((_root, _square), -largest, largest)
  return axes.imshow(values, color_map, norm, interpolation='nearest')


def _root(values: np.ndarray) -> np.ndarray:
  return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: np.ndarray) -> np.ndarray:
  return np.sign(values) * np.square(values)


def scale_ticks(low: float, high: float, apart: float = 0.08) -> list[float]:
  """Returns round values of a signed scale of square roots, zero among them.

  Args:
    low: Where the scale begins, at most 0.
    high: Where it ends, at least 0.
    apart: How far they are from each other, of the scale's length.
  """
  ends = _root(np.array([low, high]))
  length = float(np.ptp(ends)) or 1.0
  chosen = [0.0]
  exponents = range(0, -7, -1)
  for size in (t * 10.0**e for e in exponents for t in reversed(_TICKS)):
    for value in (size, -size):
      places = _root(np.array([value, *chosen]))
      is_clear = np.abs(places[1:] - places[0]).min() >= apart * length
      if low <= value <= high and is_clear:
        chosen.append(value)
  return sorted(chosen)


def _color_bar(figure: Figure, picture: AxesImage, axes: Axes) -> None:
  """Draws the part of the scale that the values use, and zero."""
  values = picture.get_array()
  low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
  bar = figure.colorbar(picture, cax=axes)
  ticks = scale_ticks(low, high)
  bar.set_ticks(ticks, labels=[f'{t:g}'.replace('-', '−') for t in ticks])
  bar.minorticks_off()
  if low < high:
    axes.set_ylim(low, high)
  bar.outline.set_visible(False)
  axes.tick_params(labelsize=9, length=3)
  bar.set_label('Affinity', fontsize=10, labelpad=8)


def _label_cells(
  axes: Axes, labels: Sequence[str], colors: Sequence[str], font: float
) -> None:
  """Labels the rows and columns of a matrix, and draws lines between them."""
  size = len(labels)
  axes.tick_params(length=0, top=True, labeltop=True, bottom=False)
  axes.tick_params(labelbottom=False, pad=4)
  axes.set_xticks(range(size), labels, rotation=90, fontsize=font)
  axes.set_yticks(range(size), labels, fontsize=font)
  for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
    for text, color in zip(ticks, colors, strict=True):
      text.set(color=color, parse_math=False)
  axes.spines[:].set_visible(False)
  axes.set_xticks(np.arange(0.5, size - 1), minor=True)
  axes.set_yticks(np.arange(0.5, size - 1), minor=True)
  axes.grid(which='minor', color='white', linewidth=min(1.0, font / 8))
  axes.tick_params(which='minor', length=0)


def _annotate(axes: Axes, picture: AxesImage, font: float) -> None:
  """Writes the values into a heat map's cells, in a unit that fits."""
  values = picture.get_array()
  largest = float(np.abs(values).max())
  is_small = 0 < largest < 0.0995
  exponent = int(np.ceil(-np.log10(largest))) if is_small else 0
  decimals = 1 if is_small else 2
  for row, column in np.argwhere(~np.ma.getmaskarray(values)):
    value = float(values[row, column])
    red, green, blue, _ = picture.cmap(picture.norm(value))
    is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    shown = round(value * 10**exponent, decimals) + 0.0  # Never -0.
    text = f'{shown:.{decimals}f}'.replace('-', '−')
    look = {'color': 'black' if is_light else 'white', 'va': 'center'}
    style.text(axes, column, row, text, font, ha='center', **look)
  if is_small:
    axes.set_xlabel(f'Cells show affinity × $10^{{{exponent}}}$', fontsize=9)


def _check_affinity(
  affinity: np.ndarray, size: int, order: Sequence[int]
) -> None:
  if affinity.shape != (size, size) or size < 2:
    raise ValueError(
      'A heat map needs two or more models; the affinity has shape '
      f'{affinity.shape}, and there are {size} labels.'
    )
  if sorted(order) != list(range(size)):
    raise ValueError(f'The order {list(order)} is none of {size} models.')
  if not np.isfinite(affinity).all():
    raise ValueError('An affinity that is not finite cannot be drawn.')
