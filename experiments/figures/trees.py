"""Task similarity trees: the paper's Figures 4 and 5."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator
import numpy as np

from experiments.figures import style
from toolkit_basics import files
from transferability.clustering import Tree


def task_tree(
  path: files.Path,
  tree: Tree,
  labels: Sequence[str],
  groups: Sequence[str | None] | None = None,
  title: str | None = None,
  axis_label: str = '1 - affinity',
) -> None:
  """Draws a task similarity tree, its root on the left.

  Args:
    path: The PNG file.
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
  axes = figure.add_axes(style.inches(figure, 0.4, 0.7, 8.4, body))
  segments, branches = _branches(tree, groups, start, stop)
  axes.add_collection(
    LineCollection(
      segments,
      colors=[colors.get(group, style.GREY) for group in branches],
      linewidths=2.0,
      capstyle='round',
      joinstyle='round',
    )
  )
  axes.set_xlim(stop, start)
  axes.set_ylim(size - 0.4, -0.6)
  for row, i in enumerate(tree.leaf_order):
    _leaf(axes, start, row, labels[i], colors[groups[i]])
  axes.set_yticks([])
  axes.spines[['left', 'right', 'top']].set_visible(False)
  axes.spines['bottom'].set_color(style.GREY)
  axes.tick_params(labelsize=10, color=style.GREY)
  axes.xaxis.set_major_locator(MaxNLocator(7))
  axes.ticklabel_format(axis='x', useOffset=False)
  axes.grid(axis='x', color='#EDEDED', linewidth=0.8)
  axes.set_axisbelow(True)
  axes.set_xlabel(axis_label, fontsize=11, color=style.INK)
  if start > 0:
    axes.annotate(
      'The axis does not start at 0',
      (1, 0),
      xytext=(0, -30),
      xycoords='axes fraction',
      textcoords='offset points',
      ha='right',
      fontsize=9,
      color=style.GREY,
    )
  style.title(figure, title or 'Task similarity tree', 0.4)
  style.group_legend(figure, colors, 0.4)
  style.save(figure, path)


def _leaf(axes: Axes, x: float, row: int, label: str, color: str) -> None:
  axes.plot(x, row, 'o', color=color, markersize=6, clip_on=False)
  axes.annotate(
    label,
    (x, row),
    xytext=(9, 0),
    textcoords='offset points',
    va='center',
    fontsize=11,
    color=color,
    parse_math=False,
    annotation_clip=False,
  )


def _branches(
  tree: Tree, groups: Sequence[str | None], start: float, stop: float
) -> tuple[list[list[tuple[float, float]]], list[object]]:
  """Returns the lines of a tree, and the group of each, mixed ones False."""
  rows = np.argsort(tree.leaf_order).astype(float).tolist()
  heights, kinds = [start] * len(rows), list(groups)
  segments, branches = [], []
  for left, right, joined, _ in tree.linkage.tolist():
    children = int(left), int(right)
    row = sum(rows[child] for child in children) / 2
    for child in children:
      segments.append(
        [(heights[child], rows[child]), (joined, rows[child]), (joined, row)]
      )
      branches.append(kinds[child])
    a, b = (kinds[child] for child in children)
    kinds.append(a if a == b else False)
    rows.append(row)
    heights.append(joined)
  segments.append([(heights[-1], rows[-1]), (stop, rows[-1])])
  branches.append(kinds[-1])
  return segments, branches
