"""Points: two values of many things against each other."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
import numpy as np
from scipy import stats

from experiments.figures import style
from toolkit_basics import files

_COLUMNS = 5
_NAME_SIZE = 4.5  # Of names of points.
_WIDTH, _HEIGHT = 2.6, 2.4  # Inches of a panel, with what is written around it.


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
  axes = style.add_axes(figure, 1.0, 0.75, 6.1, 5.3)
  _draw(axes, x, y)
  for i, name in enumerate(names or ()):
    style.note(axes, name, (x[i], y[i]), (5, 3), 8)
  style.frame(axes, x_label, y_label)
  style.title(figure, title, 1.0)
  pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
  said = f'Pearson {pearson.statistic:.3f}, Spearman {spearman.statistic:.3f}'
  style.write(figure, said, 1.0, 0.48, 10)
  style.save(figure, path)


def _draw(axes: Axes, x: Sequence[float], y: Sequence[float], **options):
  """Draws points, and behind them the line of ranks.

  The line is where the points would lie if their order were the same by both:
  the k-th smallest of the one against the k-th smallest of the other.
  """
  axes.plot(np.sort(x), np.sort(y), color='#C8C8C8', linewidth=1.5, zorder=1)
  color = style.CURVE_COLORS[1]
  axes.plot(x, y, 'o', color=color, alpha=0.65, zorder=2, **options)


def scatter_panels(
  path: files.Path,
  columns: Mapping[str, Sequence[float]],
  y: Sequence[float],
  notes: Mapping[str, str],
  title: str,
  y_label: str,
  names: Sequence[str] = (),
) -> None:
  """Draws a panel for each name, with the line of ranks in grey.

  Args:
    path: The PNG file.
    columns: Values by name, each with as many entries as `y`.
    y: What they are drawn against.
    notes: Written below each name.
    title: Of the figure.
    y_label: What y is.
    names: Of the points, written beside them; none if empty.
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
    axes = style.add_axes(figure, left, bottom, _WIDTH - 0.55, _HEIGHT - 0.85)
    _draw(axes, x, y, markersize=4)
    _write_names(axes, x, y, names)
    heading = f'{name}\n{notes.get(name, "")}'
    axes.set_title(heading, fontsize=9, color=style.INK, parse_math=False)
    label = '' if column else y_label
    style.frame(axes, y_label=label, grid=None, size=9, tick_size=7)
    axes.locator_params(nbins=4)
  style.title(figure, title, 0.85)
  style.save(figure, path)


def _write_names(
  axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str]
) -> None:
  """Writes names towards the middle of a panel, where there is room."""
  middle = (np.nanmin(x) + np.nanmax(x)) / 2
  if len(names):
    style.check_length('names', names, len(y))
  for name, right, up in zip(names, x, y, strict=False):
    is_left = right <= middle
    offset, side = ((3, -1), 'left') if is_left else ((-3, -1), 'right')
    style.note(axes, name, (right, up), offset, _NAME_SIZE, ha=side)
