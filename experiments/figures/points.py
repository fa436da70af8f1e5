"""Points: two values of many pairs against each other."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from experiments.figures import style
from toolkit_basics import files


def scatter(
  path: files.Path,
  x: Sequence[float],
  y: Sequence[float],
  title: str,
  x_label: str,
  y_label: str,
  names: Sequence[str] | None = None,
) -> None:
  """Draws points, and the line of ranks where they would all lie if sorted.

  Args:
    path: The PNG file.
    x: First values.
    y: Second values.
    title: Title of the figure; the correlations are written below it.
    x_label: What x is.
    y_label: What y is.
    names: Written beside the points.
  """
  style.check_length('values', y, len(x))
  if len(x) < 3:
    raise ValueError(f'{len(x)} points; a correlation needs 3 at least.')
  figure = style.new_figure(7.4, 7.0)
  axes = figure.add_axes(style.inches(figure, 1.0, 0.75, 6.1, 5.3))
  # The k-th smallest of both: what a perfect rank correlation looks like.
  axes.plot(np.sort(x), np.sort(y), color='#C8C8C8', linewidth=1.5, zorder=1)
  axes.plot(x, y, 'o', color=style.CURVE_COLORS[1], alpha=0.65, zorder=2)
  for i, name in enumerate(names or ()):
    axes.annotate(
      name,
      (x[i], y[i]),
      xytext=(5, 3),
      textcoords='offset points',
      fontsize=8,
      color=style.INK,
      parse_math=False,
    )
  axes.grid(color='#EDEDED', linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(style.GREY)
  axes.tick_params(labelsize=10, color=style.GREY)
  axes.set_xlabel(x_label, fontsize=11, color=style.INK)
  axes.set_ylabel(y_label, fontsize=11, color=style.INK)
  style.title(figure, title, 1.0)
  width, height = figure.get_size_inches()
  figure.text(
    1.0 / width,
    1 - 0.48 / height,
    f'Pearson {stats.pearsonr(x, y).statistic:.3f}, '
    f'Spearman {stats.spearmanr(x, y).statistic:.3f}',
    fontsize=10,
    va='top',
    color=style.INK,
  )
  style.save(figure, path)
