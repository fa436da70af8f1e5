"""Task similarity trees: the paper's Figures 4 and 5."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator
import numpy as np

from experiments.figures import style
from transferability.clustering import Tree


def task_tree(
  path: style.Target,
  tree: Tree,
  labels: Sequence[str],
  groups: Sequence[str | None] | None = None,
  title: str | None = None,
  axis_label: str = '1 - affinity',
) -> None:
  """Draws a task similarity tree, its root on the left.

  Args:
    path: The PNG file, or an open one.
    tree: The tree; its axis is cropped to the range in which models join.
    labels: Labels of the models, in the order of `tree.names`.
    groups: Groups of the models; a branch has the colour of a group if all its
      leaves are of that group.
    title: Title of the figure.
    axis_label: What the tree's distances are.
  """
  size = len(tree.names)
  style.check_length('labels', labels, size)
  groups = [None] * size if groups is None else list(groups)
  style.check_length('groups', groups, size)
  colors = style.group_colors(groups)
  heights = tree.linkage[:, 2]
  spread = float(np.ptp(heights)) or max(abs(float(heights[0])), 1.0) * 0.1
  # Not below 0, where nothing can join.
  start = max(float(heights.min()) - 0.12 * spread, min(0, heights.min()))
  stop = float(heights.max()) + 0.06 * spread

  body = float(np.clip(0.3 * size, 1.5, 60.0))
  margin = style.text_width(labels, 11) + 0.35
  figure = style.new_figure(0.4 + 8.4 + margin, body + 1.65)
  axes = style.add_axes(figure, 0.4, 0.7, 8.4, body)
  add_branches(
    axes, tree, groups, start, stop, lambda g: colors.get(g, style.GREY), 2.0
  )
  axes.set_ylim(size - 0.4, -0.6)
  for row, i in enumerate(tree.leaf_order):
    look = {'color': colors[groups[i]]}
    axes.plot(start, row, 'o', markersize=6, clip_on=False, **look)
    style.note(axes, labels[i], (start, row), (9, 0), 11, va='center', **look)
  axes.set_yticks([])
  style.frame(axes, axis_label, spines=['bottom'], grid='x')
  axes.xaxis.set_major_locator(MaxNLocator(7))
  axes.ticklabel_format(axis='x', useOffset=False)
  if start > 0:
    said = 'The axis does not start at 0'
    end = {'xycoords': 'axes fraction', 'ha': 'right', 'color': style.GREY}
    style.note(axes, said, (1, 0), (0, -30), 9, **end)
  style.title(figure, title or 'Task similarity tree', 0.4)
  style.group_legend(figure, colors, 0.4)
  style.save(figure, path)


def add_branches(
  axes: Axes,
  tree: Tree,
  groups: Sequence[object],
  start: float,
  stop: float,
  color_of: Callable[[object], str],
  width: float,
) -> None:
  """Draws the lines of a tree, its leaves in rows from the top.

  Args:
    axes: Gets the lines, and as its limits the ends of the tree.
    tree: The tree.
    groups: Of the models.
    start: Where the leaves' lines begin.
    stop: Where the line of the root ends.
    color_of: Returns the colour of a group, or of False: leaves of several.
    width: Of the lines.
  """
  rows = np.argsort(tree.leaf_order).astype(float).tolist()
  heights, kinds = [start] * len(rows), list(groups)
  segments, branches = [], []
  for *children, joined in tree.linkage[:, :3].tolist():
    a, b = map(int, children)
    row = (rows[a] + rows[b]) / 2
    for child in (a, b):
      beside = joined, rows[child]
      segments.append([(heights[child], rows[child]), beside, (joined, row)])
      branches.append(kinds[child])
    kinds.append(kinds[a] if kinds[a] == kinds[b] else False)
    rows.append(row)
    heights.append(joined)
  segments.append([(heights[-1], rows[-1]), (stop, rows[-1])])
  colors = [color_of(group) for group in (*branches, kinds[-1])]
  look = {'linewidths': width, 'capstyle': 'round', 'joinstyle': 'round'}
  axes.add_collection(LineCollection(segments, colors=colors, **look))
  axes.set_xlim(stop, start)
