"""The method in one picture: images, networks, maps, model space, results."""

from collections.abc import Sequence

from matplotlib.patches import FancyArrowPatch, Polygon
import numpy as np

from experiments.figures import style
from experiments.figures.maps import map_panels
from experiments.figures.matrices import show_affinity
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
    images: uint8 [n, H, W, 3], three or more; the first three are shown.
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
  diagram = _Diagram(labels, colors)
  middle, body = diagram.middle, diagram.body
  diagram.pile(images[:_IMAGES_SHOWN])
  for i, y in enumerate(middle + body * (0.5 - (np.arange(size) + 0.5) / size)):
    diagram.arrow((_IMAGES + 1.5, middle), (_NETWORKS - 0.05, y))
    diagram.network(y, labels[i], colors[i])
    diagram.arrow((_NETWORKS + 1.4, y), (_SHOWN - 0.05, y))
    diagram.maps(y, images[:_MAPS_SHOWN], maps[i : i + 1, :_MAPS_SHOWN])
    diagram.arrow((_SHOWN + 1.35, y), (_SPACE - 0.1, middle), colors[i])
  diagram.points(affinity)
  diagram.arrow((_SPACE + 3.05, middle), (_RESULTS - 0.1, middle))
  diagram.ranking(affinity, list(tree.leaf_order))
  diagram.tree(tree)
  style.save(diagram.figure, path)


class _Diagram:
  """The figure, in inches, and its parts."""

  def __init__(self, labels: Sequence[str], colors: Sequence[str]):
    self._labels, self._colors = labels, colors
    self.body = max(len(labels) * _ROW, 4.0)
    self.middle = _BOTTOM + self.body / 2
    height = _TOP + self.body + _BOTTOM
    self.figure = style.new_figure(_WIDTH, height)
    self._axes = style.add_axes(self.figure, 0, 0, _WIDTH, height)
    self._axes.axis((0, _WIDTH, 0, height))
    self._axes.set_axis_off()
    for x, heading, below in _HEADINGS:
      self._text(x, height - 0.33, heading, 13, weight='bold')
      self._text(x, height - 0.59, below, 10, color=style.GREY)

  def _text(self, x: float, y: float, text: str, size: float, **options):
    style.text(self._axes, x, y, text, size, va='center', **options)

  def _picture(
    self, left: float, bottom: float, side: float, picture: np.ndarray
  ) -> None:
    axes = style.add_axes(self.figure, left, bottom, side, side)
    # Sharp pixels: smooth ones would make the file twice as large.
    axes.imshow(picture, interpolation='nearest')
    style.without_ticks(axes, color='white', linewidth=1.5)

  def arrow(
    self,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str = style.GREY,
  ) -> None:
    look = {'arrowstyle': '-|>', 'mutation_scale': 9, 'linewidth': 1}
    ends = {'shrinkA': 0, 'shrinkB': 0, 'color': color, 'alpha': 0.7}
    self._axes.add_patch(FancyArrowPatch(start, end, **look, **ends))

  def pile(self, images: np.ndarray) -> None:
    """Draws images one upon the other, the first in front."""
    for depth in reversed(range(len(images))):
      left, bottom = _IMAGES + 0.16 * depth, self.middle - 0.7 + 0.16 * depth
      self._picture(left, bottom, 1.1, images[depth])

  def network(self, y: float, label: str, color: str) -> None:
    """Draws an encoder, which narrows from the image to the representation."""
    left, right, high, low = _NETWORKS, _NETWORKS + 1.35, 0.27, 0.13
    corners = [(left, y - high), (left, y + high), (right, y + low)]
    corners.append((right, y - low))
    self._axes.add_patch(Polygon(corners, facecolor=color, linewidth=0))
    size = min(10, 10 * 1.15 / style.text_width([label], 10))
    options = {'color': 'white', 'ha': 'center', 'weight': 'bold'}
    self._text(left + 0.62, y, label, size, **options)

  def maps(self, y: float, images: np.ndarray, maps: np.ndarray) -> None:
    """Draws the maps [1, n, h, w, C] of one model in a row."""
    for j, strip in enumerate(map_panels(images, maps)):
      # Of fewer colours, so that the file of these small pictures is small.
      shown = strip[:, -images.shape[2] :] | np.uint8(7)
      left = _SHOWN + j * (_PANEL + 0.08)
      self._picture(left, y - _PANEL / 2, _PANEL, shown)

  def points(self, affinity: np.ndarray) -> None:
    """Draws the models as points of a plane."""
    side = 2.95
    bottom = self.middle - side / 2
    axes = style.add_axes(self.figure, _SPACE, bottom, side, side)
    style.without_ticks(axes, color='#CCCCCC')
    axes.set_facecolor('#FAFAFA')
    points = _plane(np.asarray(affinity, np.float64))
    reach = 1.25 * np.abs(points).max()
    axes.axis((-reach, reach, -reach, reach))
    heights = _apart(points, 0.13 * reach)
    for i, (x, y) in enumerate(points):
      look = {'color': self._colors[i], 'ha': 'right' if x > 0 else 'left'}
      axes.plot(x, y, 'o', color=self._colors[i], markersize=9)
      x += (-0.07 if x > 0 else 0.07) * reach
      style.text(axes, x, heights[i], self._labels[i], 9, va='center', **look)

  def ranking(self, affinity: np.ndarray, order: Sequence[int]) -> None:
    """Draws the matrix, and beside it the ranking for the first target."""
    labels, colors, size = self._labels, self._colors, len(self._labels)
    side, bottom = self.body / 2 - 0.25, self.middle + 0.15
    matrix = style.add_axes(self.figure, _RESULTS, bottom, side, side)
    show_affinity(matrix, affinity, order)
    style.without_ticks(matrix, visible=False)
    for row, i in enumerate(order):
      y = bottom + side * (1 - (row + 0.5) / size)
      self._axes.plot(_RESULTS - 0.09, y, 'o', color=colors[i], markersize=5)

    names, target = [str(i) for i in range(size)], order[0]
    (ranking,) = rank_sources(affinity, names, [names[target]]).values()
    x, y = _RESULTS + side + 0.25, bottom + side - 0.1
    step = min(0.27, side / (size + 1))
    self._text(x, y, 'Sources for', 9, color=style.GREY)
    self._text(x, y - step, labels[target], 10, color=colors[target])
    for place, source in enumerate(map(int, ranking), start=1):
      text, below = f'{place}  {labels[source]}', step * (place + 1) + 0.05
      self._text(x, y - below, text, 9.5, color=colors[source])

  def tree(self, tree: Tree) -> None:
    labels, side = self._labels, self.body / 2 - 0.25
    axes = style.add_axes(self.figure, _RESULTS, _BOTTOM + 0.05, 1.9, side)
    axes.set_axis_off()
    heights = tree.linkage[:, 2]
    spread = np.ptp(heights) or 1.0
    start, stop = heights.min() - 0.3 * spread, heights.max() + 0.1 * spread
    add_branches(axes, tree, labels, start, stop, lambda _: style.INK, 1.5)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for row, i in enumerate(tree.leaf_order):
      look = {'color': self._colors[i], 'va': 'center'}
      style.note(axes, labels[i], (start, row), (6, 0), 9.5, **look)


def _plane(affinity: np.ndarray) -> np.ndarray:
  """Returns the plane in which most of the points' spread lies, [models, 2]."""
  centred = affinity - affinity.mean(axis=0)
  centred -= centred.mean(axis=1, keepdims=True)
  values, vectors = np.linalg.eigh(centred)
  points = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
  # The sign of an eigenvector is arbitrary: the first model is on the left.
  points *= np.where(points[:1] > 0, -1, 1)
  return points[:, ::-1]


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
