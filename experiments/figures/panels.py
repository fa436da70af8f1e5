"""Panels: one value of many things against each of several others."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.figures import style
from toolkit_basics import files

_COLUMNS = 5
_WIDTH, _HEIGHT = 2.6, 2.4  # Inches of a panel, with what is written around it.


def scatter_panels(
  path: files.Path,
  columns: Mapping[str, Sequence[float]],
  y: Sequence[float],
  notes: Mapping[str, str],
  title: str,
  y_label: str,
) -> None:
  """Draws a panel for each name, with the line of ranks in grey.

  The line is where the points would lie if their order were the same by both:
  the k-th smallest of the one against the k-th smallest of the other.

  Args:
    path: The PNG file.
    columns: Values by name, each with as many entries as `y`.
    y: What they are drawn against.
    notes: Written below each name.
    title: Of the figure.
    y_label: What y is.
  """
  if not columns:
    raise ValueError('There is nothing to draw.')
  for name, values in columns.items():
    style.check_length(f'values of {name}', values, len(y))
  rows = -(-len(columns) // _COLUMNS)
  width = 0.9 + _COLUMNS * _WIDTH
  figure = style.new_figure(width, 0.8 + rows * _HEIGHT)
  for number, (name, x) in enumerate(columns.items()):
    row, column = divmod(number, _COLUMNS)
    left = 0.85 + column * _WIDTH
    bottom = 0.35 + (rows - 1 - row) * _HEIGHT
    axes = figure.add_axes(
      style.inches(figure, left, bottom, _WIDTH - 0.55, _HEIGHT - 0.85)
    )
    axes.plot(np.sort(x), np.sort(y), color='#C8C8C8', linewidth=1.5, zorder=1)
    axes.plot(
      x, y, 'o', markersize=4, color=style.CURVE_COLORS[1], alpha=0.65, zorder=2
    )
    axes.set_title(
      f'{name}\n{notes.get(name, "")}',
      fontsize=9,
      color=style.INK,
      parse_math=False,
    )
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(style.GREY)
    axes.tick_params(labelsize=7, color=style.GREY)
    axes.locator_params(nbins=4)
    if column == 0:
      axes.set_ylabel(y_label, fontsize=9, color=style.INK)
  style.title(figure, title, 0.85)
  style.save(figure, path)
