"""The figures of the paper, as PNG files.

Every function writes its file under a temporary name, then renames it; the
same input gives the same bytes. No function touches pyplot's global state.
"""

from collections.abc import Iterable, Mapping, Sequence
import io

import cv2
import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
import numpy as np

from transferability import files
from transferability.clustering import Tree
from transferability.ranking import PrecisionRecall

BASELINES = {  # Name: label, line style; from the weakest to the strongest.
  'random': ('Random', (0, (1, 2))),
  'groups': ('Groups only', (0, (2, 1.5))),
  'constant_ranking': ('Constant ranking', (0, (5, 2))),
  'symmetrised_oracle': ('Symmetrised oracle', (0, (6, 1.5, 1, 1.5))),
  'oracle': ('Oracle', '-'),
}
GROUP_COLORS = {
  '2d': '#0072B2',
  '3d': '#00805E',
  'geometric': '#C4500A',
  'semantic': '#A63C86',
}
_OTHER_COLORS = (
  '#7A6A00',
  '#5D4FB3',
  '#7F3F1D',
  '#2E9BD6',
  '#C2374B',
  '#3F7F93',
  '#6B8E23',
  '#B07AA1',
)
_NO_GROUP_COLOR = '#444444'
_INK = '#222222'
_GREY = '#8A8A8A'

_METHOD_LABELS = {
  'saliency': 'Saliency',
  'gradient_times_input': 'Gradient * input',
  'elrp': 'ε-LRP',
  'integrated_gradients': 'Integrated gradients',
}
_CURVE_COLORS = (  # Okabe and Ito's, without black and yellow.
  '#D55E00',
  '#0072B2',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
)
_MARKERS = 'osD^vP*'  # As many as are coprime to the number of colours.

_QUANTILE = 0.995
_GAP = 4  # Pixels between the panels of a map grid, at the least.
_DPI = 150


def group_colors(groups: Iterable[str | None]) -> dict[str | None, str]:
  """Returns a colour for each group, in the order of first appearance.

  The paper's groups have fixed colours; others take theirs in alphabetical
  order, whatever the order they are given in. No group (None, '') is grey.
  """
  groups = tuple(dict.fromkeys(groups))
  others = sorted(g for g in groups if g and g not in GROUP_COLORS)
  chosen = {
    group: _OTHER_COLORS[i % len(_OTHER_COLORS)]
    for i, group in enumerate(others)
  }
  chosen |= GROUP_COLORS
  return {group: chosen.get(group, _NO_GROUP_COLOR) for group in groups}


def method_label(name: str) -> str:
  """Returns the name of a method or baseline as it is printed in a figure."""
  if name in BASELINES:
    return BASELINES[name][0]
  return _METHOD_LABELS.get(name, name)


def map_panels(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
  """Renders each image beside the attribution maps of all models.

  A map is summed over its channels, sign kept, and divided by the 99.5 %
  quantile of its magnitude. If no map has a negative value anywhere, black is
  zero; else white is zero, red positive and blue negative.

  Args:
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C]; drawn as large as the images.

  Returns:
    uint8 [n, H, num_models * (W + gap) + W, 3].

  Raises:
    ValueError: If the shapes do not fit, or a map is not finite.
  """
  images, maps = np.asarray(images), np.asarray(maps)
  _check_maps(images, maps)
  is_signed = _is_signed(maps)
  height, width = images.shape[1:3]
  gap = np.full((height, max(_GAP, width // 16), 3), 255, np.uint8)
  rows = []
  for j, image in enumerate(images):
    row = [image]
    for model_maps in maps:
      panel = _render(model_maps[j], is_signed)
      if panel.shape != image.shape:
        panel = cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA)
      row += [gap, panel]
    rows.append(np.concatenate(row, axis=1))
  return np.stack(rows)


def map_grid(
  path: files.Path,
  images: np.ndarray,
  maps: np.ndarray,
  labels: Sequence[str],
  method: str,
) -> None:
  """Draws the paper's Figure 2: a row per image, a column per model.

  Args:
    path: The PNG file.
    images: uint8 [n, H, W, 3].
    maps: [num_models, n, h, w, C], see `map_panels`.
    labels: Labels of the models.
    method: Name of the attribution method.
  """
  panels = map_panels(images, maps)
  _check_length('labels', labels, len(maps))
  count, rows, strip, _ = panels.shape
  image_width = np.shape(images)[2]
  pitch = (strip - image_width) / len(maps)  # From panel to panel, in pixels.
  gap = round(pitch - image_width)
  mosaic = np.full((count * (rows + gap) - gap, strip, 3), 255, np.uint8)
  for j, panel in enumerate(panels):
    mosaic[j * (rows + gap) :][:rows] = panel

  columns = len(maps) + 1
  width = min(1.6 * columns, max(10.2, 0.45 * columns))  # Inches, as all below.
  height = width * mosaic.shape[0] / strip
  longest = _text_width(labels, 9)
  is_upright = longest > width / columns
  top = 0.65 + (longest if is_upright else 0.15)
  figure = _figure(max(width, 5.2) + 0.4, top + height + 0.75)
  axes = figure.add_axes(_inches(figure, 0.2, 0.75, width, height))
  axes.imshow(mosaic, interpolation='antialiased')
  axes.set_axis_off()
  for i, label in enumerate(('Image', *labels)):
    axes.text(
      i * pitch + image_width / 2,
      -gap,
      label,
      rotation=90 if is_upright else 0,
      ha='center',
      va='bottom',
      fontsize=9,
      color=_INK,
      fontweight='normal' if i else 'bold',
      parse_math=False,
    )
  _title(figure, f'Attribution maps: {method_label(method)}', 0.2)
  _map_caption(figure, _is_signed(maps), 0.2)
  _save(figure, path)


def affinity_heat_map(
  path: files.Path,
  affinity: np.ndarray,
  labels: Sequence[str],
  order: Sequence[int],
  title: str,
  groups: Sequence[str | None] | None = None,
) -> None:
  """Draws an affinity matrix, its models in the order of a tree's leaves.

  Args:
    path: The PNG file.
    affinity: [num_models, num_models]; the diagonal is greyed out, the colour
      scale is that of the other values.
    labels: Labels of the models, in the order of the matrix.
    order: Permutation of the models, as `Tree.leaf_order`.
    title: Title of the figure.
    groups: Groups of the models, which colour the labels.
  """
  affinity, size = np.asarray(affinity, np.float64), len(labels)
  _check_affinity(affinity, size, order)
  order = list(order)
  values = np.ma.masked_array(affinity[np.ix_(order, order)], np.eye(size))
  groups = [None] * size if groups is None else list(groups)
  _check_length('groups', groups, size)

  side = float(np.clip(0.38 * size, 5.0, 40.0))  # Of the matrix, in inches.
  font = float(np.clip(side / size * 72 * 0.42, 3.0, 10.0))
  margin = _text_width(labels, font) + 0.3
  figure = _figure(margin + side + 1.45, side + margin + 1.15)
  axes = figure.add_axes(_inches(figure, margin, 0.55, side, side))
  scale = Normalize(values.min(), values.max())
  color_map = matplotlib.colormaps['viridis'].with_extremes(bad='#D9D9D9')
  picture = axes.imshow(values, cmap=color_map, norm=scale)
  colors = group_colors(groups)
  _label_cells(
    axes,
    [labels[i] for i in order],
    [colors[groups[i]] for i in order],
    font,
  )

  bar_axes = figure.add_axes(
    _inches(figure, margin + side + 0.2, 0.55, 0.18, side)
  )
  bar = figure.colorbar(picture, cax=bar_axes)
  bar.outline.set_visible(False)
  bar.ax.tick_params(labelsize=9, length=3)
  bar.set_label('Affinity', fontsize=10, labelpad=8)
  if size <= 25:
    _annotate(axes, values, picture, min(10.0, side / size * 72 * 0.27))
  _title(figure, title, 0.2)
  _group_legend(figure, colors, 0.2)
  _save(figure, path)


def curves(
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
  figure = _figure(10.67, 6.2)
  axes = figure.add_axes(_inches(figure, 0.85, 0.7, 7.25, 4.85))
  methods = [name for name in table if name not in BASELINES]
  baselines = [name for name in BASELINES if name in table]
  lines = []
  for i, name in enumerate(methods):
    lines += axes.plot(
      table[name].k,
      getattr(table[name], kind),
      color=_CURVE_COLORS[i % len(_CURVE_COLORS)],
      marker=_MARKERS[i % len(_MARKERS)],
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
      color=_INK if name == 'oracle' else '#6E6E6E',
      linestyle=BASELINES[name][1],
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
  axes.spines[['left', 'bottom']].set_color(_GREY)
  axes.tick_params(labelsize=10, color=_GREY)
  axes.set_xlabel('K', fontsize=12, color=_INK)
  name = kind.capitalize()
  axes.set_ylabel(f'{name[0]}@K', fontsize=12, color=_INK)
  legend = axes.legend(
    lines,
    [method_label(n) for n in (*methods, *reversed(baselines))],
    loc='upper left',
    bbox_to_anchor=(1.01, 1.0),
    frameon=False,
    fontsize=10.5,
    handlelength=3.2,
    labelspacing=0.8,
  )
  legend.set_zorder(4)
  _title(figure, f'{name} of the first K sources ({name[0]}@K)', 0.85)
  _save(figure, path)


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
  _check_length('labels', labels, size)
  groups = [None] * size if groups is None else list(groups)
  _check_length('groups', groups, size)
  colors = group_colors(groups)
  heights = tree.linkage[:, 2]
  spread = float(np.ptp(heights)) or max(abs(float(heights[0])), 1.0) * 0.1
  # Not below 0, where nothing can join.
  start = max(float(heights.min()) - 0.12 * spread, min(0, heights.min()))
  stop = float(heights.max()) + 0.06 * spread

  body = float(np.clip(0.3 * size, 1.5, 60.0))
  margin = _text_width(labels, 11) + 0.35
  figure = _figure(0.4 + 8.4 + margin, body + 1.65)
  axes = figure.add_axes(_inches(figure, 0.4, 0.7, 8.4, body))
  segments, branches = _branches(tree, groups, start, stop)
  axes.add_collection(
    LineCollection(
      segments,
      colors=[colors.get(group, _GREY) for group in branches],
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
  axes.spines['bottom'].set_color(_GREY)
  axes.tick_params(labelsize=10, color=_GREY)
  axes.xaxis.set_major_locator(MaxNLocator(7))
  axes.ticklabel_format(axis='x', useOffset=False)
  axes.grid(axis='x', color='#EDEDED', linewidth=0.8)
  axes.set_axisbelow(True)
  axes.set_xlabel(axis_label, fontsize=11, color=_INK)
  if start > 0:
    axes.annotate(
      'The axis does not start at 0',
      (1, 0),
      xytext=(0, -30),
      xycoords='axes fraction',
      textcoords='offset points',
      ha='right',
      fontsize=9,
      color=_GREY,
    )
  _title(figure, title or 'Task similarity tree', 0.4)
  _group_legend(figure, colors, 0.4)
  _save(figure, path)


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


def _label_cells(
  axes: Axes, labels: Sequence[str], colors: Sequence[str], font: float
) -> None:
  """Labels the rows and columns of a matrix, and draws lines between them."""
  size = len(labels)
  axes.tick_params(length=0, top=True, labeltop=True, bottom=False)
  axes.tick_params(labelbottom=False, pad=4)
  axes.set_xticks(range(size), labels, rotation=90, fontsize=font)
  axes.set_yticks(range(size), labels, fontsize=font)
  for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
    for text, color in zip(ticks, colors, strict=True):
      text.set(color=color, parse_math=False)
  axes.spines[:].set_visible(False)
  axes.set_xticks(np.arange(0.5, size - 1), minor=True)
  axes.set_yticks(np.arange(0.5, size - 1), minor=True)
  axes.grid(which='minor', color='white', linewidth=min(1.0, font / 8))
  axes.tick_params(which='minor', length=0)


def _annotate(
  axes: Axes, values: np.ma.MaskedArray, picture: AxesImage, font: float
) -> None:
  """Writes the values into a heat map's cells, in a unit that fits."""
  largest = float(np.abs(values).max())
  is_small = 0 < largest < 0.0995
  exponent = int(np.ceil(-np.log10(largest))) if is_small else 0
  decimals = 1 if is_small else 2
  for row, column in np.argwhere(~np.ma.getmaskarray(values)):
    value = float(values[row, column])
    red, green, blue, _ = picture.cmap(picture.norm(value))
    is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    shown = round(value * 10**exponent, decimals) + 0.0  # Never -0.
    axes.text(
      column,
      row,
      f'{shown:.{decimals}f}'.replace('-', '−'),
      ha='center',
      va='center',
      fontsize=font,
      color='black' if is_light else 'white',
    )
  if is_small:
    axes.set_xlabel(f'Cells show affinity × $10^{{{exponent}}}$', fontsize=9)


def _check_affinity(
  affinity: np.ndarray, size: int, order: Sequence[int]
) -> None:
  if affinity.shape != (size, size) or size < 2:
    raise ValueError(
      f'A heat map needs two or more models; the affinity has shape '
      f'{affinity.shape}, and there are {size} labels.'
    )
  if sorted(order) != list(range(size)):
    raise ValueError(f'The order {list(order)} is none of {size} models.')
  if not np.isfinite(affinity).all():
    raise ValueError('An affinity that is not finite cannot be drawn.')


def _check_maps(images: np.ndarray, maps: np.ndarray) -> None:
  if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
    raise ValueError(
      f'Images are uint8 [n, H, W, 3], not {images.dtype} {images.shape}.'
    )
  if maps.ndim != 5 or maps.shape[1] != len(images) or not maps.size:
    raise ValueError(
      f'Maps of {len(images)} images are [num_models, {len(images)}, h, w, C], '
      f'not {maps.shape}.'
    )
  if not np.isfinite(maps).all():
    raise ValueError('An attribution map that is not finite cannot be drawn.')


def _check_length(what: str, values: Sequence, size: int) -> None:
  if len(values) != size:
    raise ValueError(f'{len(values)} {what} for {size} models.')


def _is_signed(maps: np.ndarray) -> bool:
  return bool(np.min(maps) < 0)


def _map_colors(is_signed: bool) -> matplotlib.colors.Colormap:
  return matplotlib.colormaps['RdBu_r' if is_signed else 'inferno']


def _render(attribution_map: np.ndarray, is_signed: bool) -> np.ndarray:
  """Colours one map [h, w, C]; returns uint8 [h, w, 3]."""
  values = attribution_map.sum(axis=-1, dtype=np.float64)
  magnitude = np.abs(values)
  scale = np.quantile(magnitude, _QUANTILE) or magnitude.max() or 1.0
  values = np.clip(values / scale, -1, 1)
  if is_signed:
    values = (values + 1) / 2
  return _map_colors(is_signed)(values, bytes=True)[..., :3]


def _map_caption(figure: Figure, is_signed: bool, left: float) -> None:
  axes = figure.add_axes(_inches(figure, left, 0.4, 1.6, 0.13))
  ramp = np.linspace(0, 1, 256)[None]
  axes.imshow(ramp, cmap=_map_colors(is_signed), aspect='auto')
  ticks = {0: '-q', 127.5: '0', 255: 'q'} if is_signed else {0: '0', 255: 'q'}
  axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8.5)
  axes.set_yticks([])
  axes.tick_params(length=2, pad=2)
  axes.spines[:].set_visible(False)
  width, height = figure.get_size_inches()
  figure.text(
    (left + 1.85) / width,
    0.42 / height,
    f'{"Signed sum" if is_signed else "Sum"} over channels; each map is '
    'divided by q,\nthe 99.5 % quantile of its own magnitude.',
    fontsize=8.5,
    va='center',
    color=_INK,
  )


def _group_legend(
  figure: Figure, colors: Mapping[str | None, str], left: float
) -> None:
  """Adds a row with an entry per group below the title."""
  named = {group: color for group, color in colors.items() if group}
  if not named:
    return
  width, height = figure.get_size_inches()
  handles = [
    Line2D([], [], marker='o', linestyle='', markersize=8, color=color)
    for color in named.values()
  ]
  legend = figure.legend(
    handles,
    [' '] * len(named),  # As a label, a text that starts with _ is left out.
    loc='upper left',
    bbox_to_anchor=(left / width, 1 - 0.52 / height),
    borderpad=0,
    borderaxespad=0,
    ncols=min(len(named), 6),
    frameon=False,
    fontsize=10,
    handletextpad=0.3,
    columnspacing=1.4,
  )
  for text, (group, color) in zip(
    legend.get_texts(), named.items(), strict=True
  ):
    text.set(text=group, color=color, parse_math=False)


def _figure(width: float, height: float) -> Figure:
  figure = Figure(figsize=(width, height), dpi=_DPI, facecolor='white')
  FigureCanvasAgg(figure)
  return figure


def _inches(
  figure: Figure, left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
  """Returns a rectangle in inches as shares of the figure."""
  total_width, total_height = figure.get_size_inches()
  return (
    left / total_width,
    bottom / total_height,
    width / total_width,
    height / total_height,
  )


def _text_width(texts: Sequence[str], size: float) -> float:
  """Returns the width of the longest text at a font size, in inches."""
  renderer = _figure(1, 1).canvas.get_renderer()
  font = FontProperties(size=size)
  widths = [
    renderer.get_text_width_height_descent(text, font, False)[0]
    for text in texts
  ]
  return max(widths, default=0.0) / _DPI


def _title(figure: Figure, title: str, left: float) -> None:
  width, height = figure.get_size_inches()
  figure.text(
    left / width,
    1 - 0.15 / height,
    title,
    fontsize=14,
    fontweight='bold',
    va='top',
    color=_INK,
    parse_math=False,
  )


def _save(figure: Figure, path: files.Path) -> None:
  data = io.BytesIO()
  # Matplotlib's own name and version would make bytes depend on its release.
  figure.savefig(data, format='png', metadata={'Software': None})
  files.write_atomically(path, data.getvalue())
