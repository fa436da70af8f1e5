"""What the figures share: colours, names, measures in inches, files."""

from collections.abc import Iterable, Mapping, Sequence
import io
import itertools
import pathlib
import re
import zlib

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
import numpy as np

from toolkit_basics import files

Target = files.Path | io.BytesIO  # Where a figure is written.
BASELINES = {  # Name: label, line style; from the weakest to the strongest.
  'random': ('Random', (0, (1, 2))),
  'groups': ('Groups only', (0, (2, 1.5))),
  'other_targets': ('Other targets', (0, (3, 1.5, 1, 1.5, 1, 1.5))),
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
  '#7A6A00', '#5D4FB3', '#7F3F1D', '#2E9BD6', '#C2374B', '#3F7F93', '#6B8E23',
  '#B07AA1', '#B35F00', '#17177A', '#12917C', '#E0559E', '#5B3A73',
  '#8C1A5B', '#4A5A20', '#9A7B4F',
)  # fmt: skip
_NO_GROUP_COLOR = '#444444'
_BETWEEN = re.compile(r'(?<=[^_])_(?=[^_])')  # Words of a group's name.
INK = '#222222'
GREY = '#8A8A8A'
_METHOD_LABELS = {
  'saliency': 'Saliency',
  'gradient_times_input': 'Gradient * input',
  'elrp': 'ε-LRP',
  'gamma_lrp': 'γ-LRP',
  'lrp_by_kind': 'LRP by kind of layer',
  'integrated_gradients': 'Integrated gradients',
  'grad_cam': 'Grad-CAM',
  'occlusion': 'Occlusion',
  'difference': 'Difference, no map',
  'directions': 'Random directions',
  'svcca': 'SVCCA',
  'pwcca': 'PWCCA',
  'cka': 'CKA',
  'cka_debiased': 'CKA, debiased',
  'rsa': 'RSA',
  'dds': 'DDS',
  'depara_edge': 'DEPARA, edges',
  'depara': 'DEPARA',
  'gradient': 'Gradient',
  'attribution_kernel': 'Attribution kernel',
  'attribution_span': 'Span energy',
  'decodability': 'Decodability',
  'decodability_dds': 'Decodability and DDS',
  'spade': 'SPADE',
}
# What may be done to maps before they are compared.
_TREATMENTS = {
  'absolute': 'absolute values',
  'root': 'square roots',
  'grey': 'mean of channels',
  'pooled': 'pooled to 32 x 32',
  'centred': 'less its mean',
  'common_removed': 'less the mean map of all networks',
  'hubs_removed': 'less what each has with all',
}
CURVE_COLORS = (  # Okabe and Ito's, without black and yellow; and four more.
  '#D55E00', '#0072B2', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#5D3A9B',
  '#7F4F24', '#8A8D00', '#A50026',
)  # fmt: skip
MARKERS = 'osD^vP*'  # As many as are coprime to the number of colours.
_DPI = 150
ENLARGED = 'antialiased'  # How pictures are, in a PNG; see `save`.
# Of photographs and maps, as small as zlib's default, in a fifth of its time.
_FAST = {'compress_type': zlib.Z_RLE}


def group_colors(groups: Iterable[str | None]) -> dict[str | None, str]:
  """Returns a colour for each group, in the order of first appearance.

  The paper's groups have fixed colours; others take theirs in alphabetical
  order, whatever the order they are given in. No group (None, '') is grey.
  """
  groups = tuple(dict.fromkeys(groups))
  others = sorted(g for g in groups if g and g not in GROUP_COLORS)
  chosen = dict(zip(others, itertools.cycle(_OTHER_COLORS), strict=False))
  chosen |= GROUP_COLORS
  return {group: chosen.get(group, _NO_GROUP_COLOR) for group in groups}


def method_label(name: str) -> str:
  """Returns the name of a method or baseline as it is printed in a figure.

  Args:
    name: Also with what was done to the maps, such as
      `elrp@absolute+pooled@common_removed`.
  """
  method, *treatments = name.split('@')
  if method in BASELINES:
    return BASELINES[method][0]
  label = _METHOD_LABELS.get(method, method)
  said = [
    _TREATMENTS.get(step, step)
    for treatment in treatments
    for step in treatment.split('+')
  ]
  return f'{label} ({", ".join(said)})' if said else label


def group_label(group: str) -> str:
  """Returns the name of a group as it is printed in a figure."""
  return group.upper() if group in ('2d', '3d') else _BETWEEN.sub(' ', group)


def new_figure(width: float, height: float) -> Figure:
  figure = Figure(figsize=(width, height), dpi=_DPI, facecolor='white')
  FigureCanvasAgg(figure)
  return figure


def add_axes(
  figure: Figure, left: float, bottom: float, width: float, height: float
) -> Axes:
  """Adds axes in a rectangle, in inches."""
  sides = np.tile(figure.get_size_inches(), 2)
  return figure.add_axes(tuple([left, bottom, width, height] / sides))


def frame(
  axes: Axes,
  x_label: str | None = None,
  y_label: str | None = None,
  *,
  spines: Sequence[str] = ('left', 'bottom'),
  grid: str | None = 'both',
  size: float = 11,
  tick_size: float = 10,
) -> None:
  """Leaves of a frame what is needed, in grey, and labels it."""
  axes.spines[:].set_visible(False)
  axes.spines[list(spines)].set(visible=True, color=GREY)
  axes.tick_params(labelsize=tick_size, color=GREY)
  axes.set_axisbelow(True)
  if grid:
    axes.grid(axis=grid, color='#E8E8E8', linewidth=0.8)
  axes.set_xlabel(x_label, fontsize=size, color=INK)
  axes.set_ylabel(y_label, fontsize=size, color=INK)


def without_ticks(axes: Axes, **spines) -> None:
  axes.set_xticks([])
  axes.set_yticks([])
  axes.spines[:].set(**spines)


def text(axes: Axes, x: float, y: float, text: str, size: float, **options):
  """Writes a text at a place in the axes."""
  options = {'color': INK, 'parse_math': False} | options
  axes.text(x, y, text, fontsize=size, **options)


def note(
  axes: Axes,
  text: str,
  place: tuple[float, float],
  offset: tuple[float, float],
  size: float,
  **options,
) -> None:
  """Writes a text at a distance, in points, from a place in the axes."""
  options = {'color': INK, 'parse_math': False} | options
  options |= {'textcoords': 'offset points', 'annotation_clip': False}
  axes.annotate(text, place, offset, fontsize=size, **options)


def text_width(texts: Sequence[str], size: float) -> float:
  """Returns the width of the longest text at a font size, in inches."""
  measure = new_figure(1, 1).canvas.get_renderer().get_text_width_height_descent
  font = FontProperties(size=size)
  widths = [measure(text, font, False)[0] for text in texts]
  return max(widths, default=0.0) / _DPI


def write(
  figure: Figure, text: str, left: float, top: float, size: float, **options
) -> None:
  """Writes a text at a place in inches from the left and from the top."""
  width, height = figure.get_size_inches()
  options = {'va': 'top', 'color': INK, 'parse_math': False} | options
  figure.text(left / width, 1 - top / height, text, fontsize=size, **options)


def title(figure: Figure, title: str, left: float) -> None:
  write(figure, title, left, 0.15, 14, fontweight='bold')


def legend(figure: Figure, handles, labels, left: float, **options) -> Legend:
  """Adds a legend in rows below the title."""
  width, height = figure.get_size_inches()
  return figure.legend(
    handles,
    labels,
    loc='upper left',
    bbox_to_anchor=(left / width, 1 - 0.52 / height),
    borderpad=0,
    borderaxespad=0,
    frameon=False,
    fontsize=10,
    **options,
  )


def group_legend(
  figure: Figure, colors: Mapping[str | None, str], left: float
) -> None:
  """Adds a row with an entry per group below the title, that of none last."""
  named = {group: color for group, color in colors.items() if group}
  if not named:
    return
  if len(named) < len(colors):
    named['no group'] = _NO_GROUP_COLOR
  look = {'marker': 'o', 'linestyle': '', 'markersize': 8}
  handles = [Line2D([], [], color=color, **look) for color in named.values()]
  room = {'handletextpad': 0.3, 'columnspacing': 1.4}
  unsaid = [' '] * len(
    named
  )  # Of labels, those that start with _ are left out.
  ncols = min(len(named), 6)
  texts = legend(figure, handles, unsaid, left, ncols=ncols, **room).get_texts()
  for text, (group, color) in zip(texts, named.items(), strict=True):
    text.set(text=group_label(group), color=color, parse_math=False)


def check_length(what: str, values: Sequence, size: int) -> None:
  if len(values) != size:
    raise ValueError(f'{len(values)} {what} for {size} models.')


def save(figure: Figure, path: Target) -> None:
  """Writes a figure as PNG, and as PDF beside it; into an open file as PNG.

  Matplotlib's own name and version, and the time, are left out: the bytes
  would depend on them. A PDF holds pictures pixel by pixel as they are; who
  shows it enlarges them.
  """
  png = {'metadata': {'Software': None}, 'pil_kwargs': _FAST}
  if isinstance(path, io.BytesIO):
    figure.savefig(path, format='png', **png)
    return
  with files.replacing(pathlib.Path(path).with_suffix('.png')) as file:
    figure.savefig(file, format='png', **png)
  for image in figure.findobj(AxesImage):
    if image.get_interpolation() == ENLARGED:
      image.set_interpolation('none')
  unsaid = dict.fromkeys(['Creator', 'Producer', 'CreationDate'])
  with files.replacing(pathlib.Path(path).with_suffix('.pdf')) as file:
    figure.savefig(file, format='pdf', metadata=unsaid)
