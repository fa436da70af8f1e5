"""The directed transfer graph: who serves whom."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
import numpy as np

from experiments.figures import style
from toolkit_basics import files

_ROW = 0.3  # Inches between targets.
_THINNEST, _THICKEST = 0.6, 5.0  # Points.


def transfer_graph(
  path: files.Path,
  served: Mapping[str, Sequence[str]],
  strength: Mapping[str, float],
  groups: Mapping[str, str | None],
  title: str,
  note: str = '',
) -> None:
  """Draws sources on the left, targets on the right, an arrow for a transfer.

  Targets stand below each other by their sources, so that arrows hardly cross.
  A target that is learned from its own labels has a ring.

  Args:
    path: The PNG file.
    served: By target, its sources.
    strength: By target, how strong the transfer is: the thickness of arrows,
      from the weakest to the strongest.
    groups: Of the tasks that have one, their colours.
    title: Of the figure.
    note: Written below the title.
  """
  if not served:
    raise ValueError('There is no transfer to draw.')
  targets = sorted(served, key=lambda t: (tuple(served[t]), -strength[t]))
  sources = list(dict.fromkeys(s for t in targets for s in served[t]))
  tasks = [*sources, *targets]
  colors = style.group_colors(groups.get(name) for name in tasks)
  room = style.text_width(tasks, 10) + 0.4
  height = max(len(targets), len(sources)) * _ROW
  figure = style.new_figure(2 * room + 4.2, height + 1.35)
  axes = style.add_axes(figure, room, 0.2, 4.2, height)
  axes.set(xlim=(0, 1), ylim=(height / _ROW - 0.5, -0.5))
  style.without_ticks(axes, visible=False)
  right = {name: float(i) for i, name in enumerate(targets)}
  left = _spread(sources, served, right)
  low, high = min(strength.values()), max(strength.values())
  for target in targets:
    share = (strength[target] - low) / ((high - low) or 1.0)
    for source in served[target]:
      _arrow(
        *(axes, left[source], right[target], share),
        colors[groups.get(source)],
      )
  look = {'clip_on': False, 'linestyle': '', 'zorder': 3}
  for name, y in left.items():
    color = colors[groups.get(name)]
    axes.plot(0, y, marker='s', markersize=8, color=color, **look)
    style.note(axes, name, (0, y), (-9, 0), 10, ha='right', va='center')
  for name, y in right.items():
    color = colors[groups.get(name)]
    axes.plot(1, y, marker='o', markersize=6, color=color, **look)
    if name in served[name]:
      options = {'markerfacecolor': 'none', 'markersize': 11}
      axes.plot(1, y, marker='o', color=color, **options, **look)
    style.note(axes, name, (1, y), (10, 0), 10, ha='left', va='center')
  style.title(figure, title, 0.3)
  style.write(figure, note, 0.3, 0.48, 10)
  style.save(figure, path)


def _spread(
  sources: Sequence[str],
  served: Mapping[str, Sequence[str]],
  heights: Mapping[str, float],
) -> dict[str, float]:
  """Returns heights of sources, in the order of the middles of targets."""
  middles = {
    s: np.mean([heights[t] for t, used in served.items() if s in used])
    for s in sources
  }
  order = sorted(sources, key=middles.__getitem__)
  last = len(heights) - 1
  gap = max(1.0, last / max(1, len(order) - 1))
  top = (last - gap * (len(order) - 1)) / 2
  return {name: top + gap * i for i, name in enumerate(order)}


def _arrow(
  axes: Axes, left: float, right: float, share: float, color: str
) -> None:
  axes.add_patch(
    FancyArrowPatch(
      (0.0, left),
      (1.0, right),
      arrowstyle='-|>,head_length=4,head_width=2.5',
      linewidth=_THINNEST + share * (_THICKEST - _THINNEST),
      color=color,
      alpha=0.55,
      shrinkA=6,
      shrinkB=7,
      mutation_scale=1,
      clip_on=False,
    )
  )
