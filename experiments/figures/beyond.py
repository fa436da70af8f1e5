"""Figures of what a network's attributions span, beside its mean map."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.figures import style
from toolkit_basics import files

_CELL = 1.25


def spans(
  path: files.Path,
  images: Sequence[np.ndarray],
  panels: Mapping[str, Sequence[np.ndarray]],
) -> None:
  """Draws pictures, and beside each what a network's maps say of it.

  Args:
    path: The PNG file.
    images: uint8 [H, W, 3], a row each.
    panels: By the caption of their column, [H, W] each; a column with negative
      values has its zero in the middle.
  """
  columns = 1 + len(panels)
  figure = style.new_figure(
    0.3 + columns * (_CELL + 0.1), 0.5 + len(images) * (_CELL + 0.1)
  )
  captions = ['Picture', *panels]
  for row, picture in enumerate(images):
    for column, caption in enumerate(captions):
      axes = style.add_axes(
        figure,
        0.15 + column * (_CELL + 0.1),
        0.1 + (len(images) - 1 - row) * (_CELL + 0.1),
        _CELL,
        _CELL,
      )
      style.without_ticks(axes, visible=False)
      if column == 0:
        axes.imshow(picture)
      else:
        values = panels[caption][row]
        largest = float(np.quantile(np.abs(values), 0.995)) or 1.0
        signed = values.min() < 0
        axes.imshow(
          values,
          cmap='RdBu_r' if signed else 'magma',
          vmin=-largest if signed else 0,
          vmax=largest,
        )
      if row == 0:
        axes.set_title(caption, fontsize=9, color=style.INK)
  files_path = str(path)
  figure.savefig(files_path)


def quality(
  path: files.Path,
  x: Sequence[float],
  curves: Mapping[str, Sequence[float]],
  levels: Mapping[str, float],
  x_label: str,
  y_label: str,
) -> None:
  """Draws curves over a logarithmic axis, and levels of others as lines.

  Args:
    path: The PNG file.
    x: Where the curves have values.
    curves: By name.
    levels: By name, what does not depend on x.
    x_label: Of the axis.
    y_label: Of the axis.
  """
  figure = style.new_figure(6.2, 3.9)
  axes = style.add_axes(figure, 0.75, 0.6, 3.6, 3.1)
  for i, (name, values) in enumerate(curves.items()):
    color = style.CURVE_COLORS[i % len(style.CURVE_COLORS)]
    axes.plot(x, values, color=color, marker='o', linewidth=2, label=name)
  for i, (name, value) in enumerate(levels.items()):
    axes.axhline(
      value,
      color=style.GREY,
      linewidth=1.2,
      dashes=(2 + 2 * i, 2),
      label=name,
    )
  axes.set_xscale('log', base=2)
  axes.set_xticks(list(x), [f'{value:g}' for value in x])
  axes.minorticks_off()
  style.frame(axes, x_label, y_label)
  axes.legend(
    loc='center left', bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9
  )
  figure.savefig(str(path))
