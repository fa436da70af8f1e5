"""Points: two values of many things against each other."""

from collections.abc import Mapping, Sequence
import textwrap

from matplotlib.axes import Axes
import numpy as np
from scipy import stats

from experiments.figures import style
from toolkit_basics import files

_COLUMNS = 5
_NUMBER_SIZE = 6  # Of numbers of points.
_KEY_WIDTH, _LINE = 180, 0.2  # Characters of a line of the key; inches.
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
    names: Of the points, which then bear numbers, 1 the highest by y; a key
      below says whose they are.
  """
  if not columns:
    raise ValueError('There is nothing to draw.')
  for name, values in columns.items():
    style.check_length(f'values of {name}', values, len(y))
  rows = -(-len(columns) // _COLUMNS)
  width = 0.9 + _COLUMNS * _WIDTH
  numbers, key = _numbered(names, y)
  below = _LINE * len(key)
  figure = style.new_figure(width, 0.8 + below + rows * _HEIGHT)
  for number, (name, x) in enumerate(columns.items()):
    row, column = divmod(number, _COLUMNS)
    left = 0.85 + column * _WIDTH
    bottom = 0.35 + below + (rows - 1 - row) * _HEIGHT
    axes = style.add_axes(figure, left, bottom, _WIDTH - 0.55, _HEIGHT - 0.85)
    _draw(axes, x, y, markersize=4)
    if numbers:
      _write_numbers(axes, x, y, numbers)
    heading = f'{name}\n{notes.get(name, "")}'
    axes.set_title(heading, fontsize=9, color=style.INK, parse_math=False)
    label = '' if column else y_label
    style.frame(axes, y_label=label, grid=None, size=9, tick_size=7)
    axes.locator_params(nbins=4)
  for number, line in enumerate(key):
    top = 0.7 + rows * _HEIGHT + _LINE * number
    style.write(figure, line, 0.85, top, 9)
  style.title(figure, title, 0.85)
  style.save(figure, path)


def _write_numbers(
  axes: Axes, x: Sequence[float], y: Sequence[float], numbers: Sequence[int]
) -> None:
  """Writes a number beside each point, towards the middle of the panel."""
  middle = (np.nanmin(x) + np.nanmax(x)) / 2
  for number, right, up in zip(numbers, x, y, strict=True):
    offset, side = ((3, -2), 'left') if right <= middle else ((-3, -2), 'right')
    style.note(axes, str(number), (right, up), offset, _NUMBER_SIZE, ha=side)


def _numbered(
  names: Sequence[str], y: Sequence[float]
) -> tuple[list[int], list[str]]:
  """Returns the rank of each point, 1 the highest, and lines of their names."""
  if not len(names):
    return [], []
  style.check_length('names', names, len(y))
  order = np.argsort(-np.asarray(y, np.float64), kind='stable')
  numbers = np.empty(len(order), np.int64)
  numbers[order] = np.arange(1, len(order) + 1)
  shown = [f'{rank} {names[i]}' for rank, i in enumerate(order, start=1)]
  return numbers.tolist(), textwrap.wrap(', '.join(shown), _KEY_WIDTH)
