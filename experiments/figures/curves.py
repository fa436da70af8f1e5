"""Curves: P@K and R@K as in the paper's Figure 4, and any others."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator
import numpy as np

from experiments.figures import style
from transferability.ranking import PrecisionRecall

_WIDTH = 2.2  # Of methods; no curve is more important than another.
_MARKS = {'markersize': 5.5, 'markeredgecolor': 'white', 'markeredgewidth': 0.7}
_STRIPE = 4.0  # Length of a stripe, in widths of the line.
# Of the height of all: nearer curves, on average, cannot be told apart.
_SAME = 0.01


def stripes(
  curves: Mapping[str, Sequence[float]],
) -> dict[str, tuple[int, int]]:
  """Returns which curves coincide, so that none may hide another.

  Args:
    curves: Values by name; NaN where there is none.

  Returns:
    For each name its place among those that coincide with it, and how many they
    are: (0, 1) if it stands alone.
  """
  values = {n: np.asarray(v, np.float64) for n, v in curves.items()}
  finite = [x for v in values.values() for x in v[np.isfinite(v)].tolist()]
  near = _SAME * (max(finite, default=0.0) - min(finite, default=0.0))
  bundles: list[list[str]] = []
  for name, own in values.items():
    for bundle in bundles:
      other = values[bundle[0]]
      if len(other) == len(own):
        gaps = np.abs(own - other)
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps) and gaps.mean() <= near:
          bundle.append(name)
          break
    else:
      bundles.append([name])
  return {
    name: (place, len(bundle))
    for bundle in bundles
    for place, name in enumerate(bundle)
  }


def curve_styles(
  curves: Mapping[str, Sequence[float]],
) -> dict[str, dict[str, object]]:
  """Returns how curves look where something else draws them.

  Args:
    curves: Values by name; the names in `BASELINES` are baselines.

  Returns:
    For each name `color`, `width` in pixels, and `dashes` and `shift` (where
    they begin) as SVG writes them.
  """
  methods = {n: v for n, v in curves.items() if n not in style.BASELINES}
  styles = {}
  for i, (name, (place, count)) in enumerate(stripes(methods).items()):
    length = _STRIPE * _WIDTH
    styles[name] = {
      'color': style.CURVE_COLORS[i % len(style.CURVE_COLORS)],
      'width': _WIDTH,
      'dashes': f'{length:g} {length * (count - 1):g}' if count > 1 else '',
      'shift': length * place,
    }
  for name in style.BASELINES:
    pattern = style.BASELINES[name][1]
    dashes = '' if pattern == '-' else ' '.join(f'{2 * n}' for n in pattern[1])
    grey = {'color': '#808080', 'width': 1.5, 'dashes': dashes, 'shift': 0}
    styles[name] = grey
  return {name: styles[name] for name in curves}


def precision_recall_curves(
  path: style.Target,
  table: Mapping[str, PrecisionRecall],
  kind: str,
  intervals: Mapping[str, np.ndarray] | None = None,
) -> None:
  """Draws P@K or R@K of methods, in colour, and of baselines, in grey.

  Args:
    path: The PNG file, or an open one.
    table: The curves by name; the names in `BASELINES` are baselines.
    kind: `precision` or `recall`.
    intervals: Low and high ends by name, [2, K], drawn as bands.
  """
  if kind not in ('precision', 'recall'):
    raise ValueError(f'Kind {kind!r} is neither precision nor recall.')
  if not table:
    raise ValueError('There is no curve to draw.')
  name = kind.capitalize()
  last = max(int(curve.k[-1]) for curve in table.values())
  title = f'{name} of the first K sources ({name[0]}@K)'
  curves = {label: (c.k, getattr(c, kind)) for label, c in table.items()}
  figure, axes = _drawn(title, 'K', f'{name[0]}@K', curves, intervals or {})
  axes.set_xlim(0.5, last + 0.5)
  axes.set_ylim(0, 1.03)
  axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
  style.save(figure, path)


def lines(
  path: style.Target,
  x: Sequence[float],
  series: Mapping[str, Sequence[float]],
  title: str,
  x_label: str,
  y_label: str,
  *,
  intervals: Mapping[str, np.ndarray] | None = None,
  log_scale: bool = False,
) -> None:
  """Draws values over x, a line for each name.

  Args:
    path: The PNG file, or an open one.
    x: Where the values are.
    series: Values by name; NaN leaves a gap. The names in `BASELINES` are
      drawn in grey.
    title: Title of the figure.
    x_label: What x is, with its unit.
    y_label: What the values are.
    intervals: Low and high ends by name, [2, len(x)], drawn as bands.
    log_scale: Whether x is drawn to powers of two.
  """
  if not series:
    raise ValueError('There is no curve to draw.')
  curves = {name: (x, values) for name, values in series.items()}
  figure, axes = _drawn(title, x_label, y_label, curves, intervals or {})
  if log_scale:
    axes.set_xscale('log', base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(list(x), [f'{value:g}' for value in x])
  elif all(float(value).is_integer() for value in x):
    axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
  style.save(figure, path)


def _drawn(
  title: str,
  x_label: str,
  y_label: str,
  table: Mapping[str, tuple[Sequence[float], Sequence[float]]],
  intervals: Mapping[str, np.ndarray],
) -> tuple[Figure, Axes]:
  """Returns a figure of lines, bands and the legend beside them."""
  figure = style.new_figure(10.67, 6.2)
  axes = style.add_axes(figure, 0.85, 0.7, 7.25, 4.85)
  style.frame(axes, x_label, y_label, size=12)
  style.title(figure, title, 0.85)
  methods = [name for name in table if name not in style.BASELINES]
  baselines = [name for name in style.BASELINES if name in table]
  drawn: list[Line2D] = []
  bundles = stripes({name: table[name][1] for name in methods})
  for i, name in enumerate(methods):
    color = style.CURVE_COLORS[i % len(style.CURVE_COLORS)]
    place, count = bundles[name]
    striped = (_STRIPE * place, (_STRIPE, _STRIPE * (count - 1)))
    drawn += axes.plot(
      *table[name],
      color=color,
      marker=style.MARKERS[i % len(style.MARKERS)],
      markevery=(place, count),
      linestyle=striped if count > 1 else '-',
      dash_capstyle='butt',
      linewidth=_WIDTH,
      zorder=3,
      **_MARKS,
    )
    if name in intervals:
      look = {'color': color, 'alpha': 0.15, 'linewidth': 0}
      axes.fill_between(table[name][0], *intervals[name], **look)
  for name in reversed(baselines):
    color = style.INK if name == 'oracle' else '#6E6E6E'
    look = {'linestyle': style.BASELINES[name][1], 'linewidth': 1.3}
    drawn += axes.plot(*table[name], color=color, zorder=2, **look)
  legend = axes.legend(
    drawn,
    [style.method_label(n) for n in (*methods, *reversed(baselines))],
    loc='upper left',
    bbox_to_anchor=(1.01, 1.0),
    frameon=False,
    fontsize=10.5,
    handlelength=3.2,
    labelspacing=0.8,
  )
  legend.set_zorder(4)
  if any(count > 1 for _, count in bundles.values()):
    legend.set_title('Striped: curves that coincide', {'size': 9})
    legend.set_alignment('left')
  return figure, axes
