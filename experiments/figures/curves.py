"""Curves over K: the paper's Figure 4."""

from collections.abc import Mapping

from matplotlib.ticker import MaxNLocator

from experiments.figures import style
from transferability import files
from transferability.ranking import PrecisionRecall


def precision_recall_curves(
  path: files.Path, table: Mapping[str, PrecisionRecall], kind: str
) -> None:
  """Draws P@K or R@K of methods, in colour, and of baselines, in grey.

  Args:
    path: The PNG file.
    table: The curves by name; the names in `BASELINES` are baselines.
    kind: `precision` or `recall`.
  """
  if kind not in ('precision', 'recall'):
    raise ValueError(f'Kind {kind!r} is neither precision nor recall.')
  if not table:
    raise ValueError('There is no curve to draw.')
  figure = style.new_figure(10.67, 6.2)
  axes = figure.add_axes(style.inches(figure, 0.85, 0.7, 7.25, 4.85))
  methods = [name for name in table if name not in style.BASELINES]
  baselines = [name for name in style.BASELINES if name in table]
  lines = []
  for i, name in enumerate(methods):
    lines += axes.plot(
      table[name].k,
      getattr(table[name], kind),
      color=style.CURVE_COLORS[i % len(style.CURVE_COLORS)],
      marker=style.MARKERS[i % len(style.MARKERS)],
      markersize=6.5,
      markeredgecolor='white',
      markeredgewidth=0.8,
      linewidth=2.2,
      zorder=3,
    )
  for name in reversed(baselines):
    lines += axes.plot(
      table[name].k,
      getattr(table[name], kind),
      color=style.INK if name == 'oracle' else '#6E6E6E',
      linestyle=style.BASELINES[name][1],
      linewidth=1.3,
      zorder=2,
    )
  last = max(int(curve.k[-1]) for curve in table.values())
  axes.set_xlim(0.5, last + 0.5)
  axes.set_ylim(0, 1.03)
  axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
  axes.grid(color='#E8E8E8', linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(style.GREY)
  axes.tick_params(labelsize=10, color=style.GREY)
  axes.set_xlabel('K', fontsize=12, color=style.INK)
  name = kind.capitalize()
  axes.set_ylabel(f'{name[0]}@K', fontsize=12, color=style.INK)
  legend = axes.legend(
    lines,
    [style.method_label(n) for n in (*methods, *reversed(baselines))],
    loc='upper left',
    bbox_to_anchor=(1.01, 1.0),
    frameon=False,
    fontsize=10.5,
    handlelength=3.2,
    labelspacing=0.8,
  )
  legend.set_zorder(4)
  style.title(figure, f'{name} of the first K sources ({name[0]}@K)', 0.85)
  style.save(figure, path)
