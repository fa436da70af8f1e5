"""Bars: a value of several methods for each of many things."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.figures import style
from toolkit_basics import files


def bars(
  path: files.Path,
  labels: Sequence[str],
  series: Mapping[str, Sequence[float]],
  title: str,
  x_label: str,
  baseline: float | None = None,
  log_scale: bool = False,
) -> None:
  """Draws a row for each label, with a bar for each name.

  Args:
    path: The PNG file.
    labels: Of the rows, from the top.
    series: Values by name, one for each row.
    title: Title of the figure.
    x_label: What the values are.
    baseline: Where to draw a line, for example what chance reaches.
    log_scale: Whether values, all positive, are drawn to powers of ten: then as
      points, as a bar has no length there.
  """
  if not series:
    raise ValueError('There is nothing to draw.')
  for name, values in series.items():
    style.check_length(f'values of {name}', values, len(labels))
    if log_scale and not np.min(values) > 0:
      raise ValueError(f'{name} has values that are not positive.')
  body = float(np.clip(0.16 * len(labels) * (len(series) + 1), 1.5, 40.0))
  margin = style.text_width(labels, 10) + 0.35
  figure = style.new_figure(margin + 8.4, body + 1.75)
  axes = style.add_axes(figure, margin, 0.65, 8.0, body)
  rows = np.arange(len(labels), dtype=float)
  for i, (name, values) in enumerate(series.items()):
    shift = (i - (len(series) - 1) / 2) * 0.8 / len(series)
    look = {'label': style.method_label(name)}
    look['color'] = style.CURVE_COLORS[i % len(style.CURVE_COLORS)]
    if log_scale:
      axes.plot(values, rows + shift, 'o', markersize=8, **look)
    else:
      look |= {'edgecolor': 'white', 'linewidth': 0.5}
      axes.barh(rows + shift, values, 0.8 / len(series), **look)
  if log_scale:
    axes.set_xscale('log')
    axes.grid(axis='y', color='#E8E8E8', linewidth=0.8)
  if baseline is not None:
    axes.axvline(
      baseline, color='#6E6E6E', linestyle=(0, (1, 2)), label='By chance'
    )
  axes.set_ylim(len(labels) - 0.4, -0.6)
  axes.set_yticks(rows, labels, fontsize=10)
  for text in axes.get_yticklabels():
    text.set(color=style.INK, parse_math=False)
  axes.tick_params(length=0, axis='y')
  style.frame(axes, x_label, spines=['bottom'], grid='x')
  style.title(figure, title, margin)
  if len(series) > 1 or baseline is not None:
    style.legend(figure, *axes.get_legend_handles_labels(), margin, ncols=4)
  style.save(figure, path)
