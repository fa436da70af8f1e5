"""The method in one picture: images, networks, maps, model space, results."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon
import numpy as np

from experiments.figures import style
from experiments.figures.maps import map_panels
from experiments.figures.trees import add_branches
from toolkit_basics import files
from transferability.clustering import Tree
from transferability.ranking import rank_sources

_IMAGES_SHOWN, _MAPS_SHOWN = 3, 2
# In inches: from the left, images, networks, maps, points, results.
_WIDTH, _TOP, _BOTTOM, _ROW = 13.1, 0.95, 0.45, 0.68
_PANEL = 0.56
_IMAGES, _NETWORKS, _SHOWN, _SPACE, _RESULTS = 0.25, 2.2, 3.95, 6.1, 9.7
_HEADINGS = (
  (_IMAGES, 'Probe images', 'without labels'),
  (_NETWORKS, 'Networks', 'frozen, of any task'),
  (_SHOWN, 'Attribution maps', 'where they look'),
  (_SPACE, 'Model space', 'all its maps: one point'),
  (_RESULTS, 'Affinity, ranking, tree', 'cosines between points'),
)


def method_diagram(
  path: files.Path,
  images: np.ndarray,
  maps: np.ndarray,
  affinity: np.ndarray,
  tree: Tree,
  labels: Sequence[str],
  groups: Sequence[str | None],
) -> None:
  """Draws how networks become points, and points a ranking and a tree.

  Everything in it is real: the caller's images, maps and affinities.

  Args:
    path: The PNG file.
    images: uint8 [n, H, W, 3], three or more; the first three are
      shown.
    maps: [num_models, n, h, w, C], see `map_panels`.
    affinity: [num_models, num_models], of three or more models.
    tree: Of the affinity.
    labels: Labels of the models.
    groups: Groups of the models.

  Raises:
    ValueError: If there are fewer images or models, or lengths differ.
  """
  size = len(labels)
  if len(images) < _IMAGES_SHOWN or size < 3:
    raise ValueError(
      f'{_IMAGES_SHOWN} images and 3 models are needed, not {len(images)} and '
      f'{size}.'
    )
  style.check_length('maps', maps, size)
  style.check_length('groups', groups, size)
  style.check_length('rows of affinities', affinity, size)
  colors = [style.group_colors(groups)[group] for group in groups]
  body = max(size * _ROW, 4.0)
  figure = style.new_figure(_WIDTH, _TOP + body + _BOTTOM)
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_xlim(0, _WIDTH)
  axes.set_ylim(0, _TOP + body + _BOTTOM)
  axes.set_axis_off()
  for x, heading, below in _HEADINGS:
    _text(axes, x, _BOTTOM + body + 0.62, heading, 13, weight='bold')
    _text(axes, x, _BOTTOM + body + 0.36, below, 10, color=style.GREY)
  middle = _BOTTOM + body / 2
  rows = _BOTTOM + body - (np.arange(size) + 0.5) * body / size

  _draw_images(figure, images[:_IMAGES_SHOWN], middle)
  for i, y in enumerate(rows):
    _arrow(axes, (_IMAGES + 1.5, middle), (_NETWORKS - 0.05, y))
    _draw_network(axes, y, labels[i], colors[i])
    _arrow(axes, (_NETWORKS + 1.4, y), (_SHOWN - 0.05, y))
    _draw_maps(figure, images[:_MAPS_SHOWN], maps[i : i + 1, :_MAPS_SHOWN], y)
    _arrow(axes, (_SHOWN + 1.35, y), (_SPACE - 0.1, middle), colors[i])
  _draw_points(figure, affinity, labels, colors, middle)
  _arrow(axes, (_SPACE + 3.05, middle), (_RESULTS - 0.1, middle))
  _draw_results(figure, axes, affinity, tree, labels, colors, body)
  style.save(figure, path)


def _text(axes: Axes, x: float, y: float, text: str, size: float, **options):
  options = {'color': style.INK, 'va': 'center', 'parse_math': False} | options
  axes.text(x, y, text, fontsize=size, **options)


def _arrow(
  axes: Axes,
  start: tuple[float, float],
  end: tuple[float, float],
  color: str = style.GREY,
) -> None:
  axes.add_patch(
    FancyArrowPatch(
      start,
      end,
      arrowstyle='-|>',
      mutation_scale=9,
      shrinkA=0,
      shrinkB=0,
      color=color,
      linewidth=1,
      alpha=0.7,
    )
  )


def _picture(
  figure: Figure,
  left: float,
  bottom: float,
  side: float,
  picture: np.ndarray,
  **options,
) -> Axes:
  axes = style.add_axes(figure, left, bottom, side, side)
  # Sharp pixels: smooth ones would make the file twice as large.
  axes.imshow(picture, interpolation='nearest', **options)
  axes.set_xticks([])
  axes.set_yticks([])
  axes.spines[:].set(color='white', linewidth=1.5)
  return axes


def _draw_images(figure: Figure, images: np.ndarray, middle: float) -> None:
  """Draws images as a pile, the first in front."""
  for depth in reversed(range(len(images))):
    offset = 0.16 * depth
    _picture(
      figure, _IMAGES + offset, middle - 0.7 + offset, 1.1, images[depth]
    )


def _draw_network(axes: Axes, y: float, label: str, color: str) -> None:
  """Draws an encoder, which narrows from the image to the representation."""
  left, right, high, low = _NETWORKS, _NETWORKS + 1.35, 0.27, 0.13
  corners = [(left, y - high), (left, y + high), (right, y + low)]
  corners.append((right, y - low))
  axes.add_patch(Polygon(corners, closed=True, facecolor=color, linewidth=0))
  size = min(10, 10 * 1.15 / style.text_width([label], 10))
  options = {'color': 'white', 'ha': 'center', 'weight': 'bold'}
  _text(axes, left + 0.62, y, label, size, **options)


def _draw_maps(
  figure: Figure, images: np.ndarray, maps: np.ndarray, y: float
) -> None:
  """Draws the maps [1, n, h, w, C] of one model in a row."""
  width = images.shape[2]
  for j, strip in enumerate(map_panels(images, maps)):
    left = _SHOWN + j * (_PANEL + 0.08)
    # Of fewer colours, so that the file of these small pictures is small.
    shown = strip[:, -width:] | np.uint8(7)
    _picture(figure, left, y - _PANEL / 2, _PANEL, shown)


def _plane(affinity: np.ndarray) -> np.ndarray:
  """Returns the plane in which most of the points' spread lies, [models, 2]."""
  centred = affinity - affinity.mean(axis=0)
  centred -= centred.mean(axis=1, keepdims=True)
  values, vectors = np.linalg.eigh(centred)
  points = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
  # The sign of an eigenvector is arbitrary: the first model is on the left.
  points *= np.where(points[:1] > 0, -1, 1)
  return points[:, ::-1]


def _draw_points(
  figure: Figure,
  affinity: np.ndarray,
  labels: Sequence[str],
  colors: Sequence[str],
  middle: float,
) -> None:
  side = 2.95
  axes = style.add_axes(figure, _SPACE, middle - side / 2, side, side)
  axes.set_xticks([])
  axes.set_yticks([])
  axes.spines[:].set(color='#CCCCCC')
  axes.set_facecolor('#FAFAFA')
  points = _plane(np.asarray(affinity, np.float64))
  reach = 1.25 * np.abs(points).max()
  axes.set_xlim(-reach, reach)
  axes.set_ylim(-reach, reach)
  heights = _apart(points, 0.13 * reach)
  for i, (x, y) in enumerate(points):
    axes.plot(x, y, 'o', color=colors[i], markersize=9)
    inwards, align = (-0.07, 'right') if x > 0 else (0.07, 'left')
    x += inwards * reach
    _text(axes, x, heights[i], labels[i], 9, color=colors[i], ha=align)


def _apart(points: np.ndarray, gap: float) -> np.ndarray:
  """Returns the height of each point's label, none on top of another.

  Labels are on the inner side of their points; those of each half are moved
  apart evenly until they are `gap` from each other.
  """
  heights = points[:, 1].astype(np.float64)
  for half in (points[:, 0] > 0, points[:, 0] <= 0):
    order = np.flatnonzero(half)[np.argsort(heights[half], kind='stable')]
    for _ in range(100):
      short = gap - np.diff(heights[order])
      if not (short > 1e-9 * gap).any():
        break
      push = np.maximum(short, 0) / 2
      heights[order[:-1]] -= push
      heights[order[1:]] += push
  return heights


def _draw_results(
  figure: Figure,
  axes: Axes,
  affinity: np.ndarray,
  tree: Tree,
  labels: Sequence[str],
  colors: Sequence[str],
  body: float,
) -> None:
  """Draws the matrix, below it the tree, beside it the ranking of a target."""
  order, side, size = list(tree.leaf_order), body / 2 - 0.25, len(labels)
  left, bottom = _RESULTS, _BOTTOM + body / 2 + 0.15
  values = np.ma.masked_array(affinity[np.ix_(order, order)], np.eye(size))
  color_map = matplotlib.colormaps['viridis'].with_extremes(bad='#D9D9D9')
  matrix = _picture(figure, left, bottom, side, values, cmap=color_map)
  matrix.spines[:].set_visible(False)
  for row, i in enumerate(order):
    y = bottom + side * (1 - (row + 0.5) / size)
    axes.plot(left - 0.09, y, 'o', color=colors[i], markersize=5)

  target, x = order[0], left + side + 0.25
  names = [str(i) for i in range(size)]
  (ranking,) = rank_sources(affinity, names, [names[target]]).values()
  y, step = bottom + side - 0.1, min(0.27, side / (size + 1))
  _text(axes, x, y, 'Sources for', 9, color=style.GREY)
  _text(axes, x, y - step, labels[target], 10, color=colors[target])
  for place, source in enumerate(map(int, ranking), start=1):
    text, below = f'{place}  {labels[source]}', step * (place + 1) + 0.05
    _text(axes, x, y - below, text, 9.5, color=colors[source])
  _draw_tree(figure, tree, labels, colors, body)


def _draw_tree(
  figure: Figure,
  tree: Tree,
  labels: Sequence[str],
  colors: Sequence[str],
  body: float,
) -> None:
  axes = style.add_axes(figure, _RESULTS, _BOTTOM + 0.05, 1.9, body / 2 - 0.25)
  axes.set_axis_off()
  heights = tree.linkage[:, 2]
  spread = np.ptp(heights) or 1.0
  start, stop = heights.min() - 0.3 * spread, heights.max() + 0.1 * spread
  add_branches(axes, tree, labels, start, stop, lambda _: style.INK, 1.5)
  axes.set_ylim(len(labels) - 0.5, -0.5)
  for row, i in enumerate(tree.leaf_order):
    place = start, row
    style.note(axes, labels[i], place, (6, 0), 9.5, colors[i], va='center')
