"""Draws the floors and who imports whom, as the modules do.

python -m tests.architecture.picture
"""

import ast
import json
import textwrap
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tests import module_graph
from tests.architecture import layering_test

PATH = module_graph.ROOT / 'docs' / 'images' / 'architecture.png'
# From where to where each package reaches, so that every arrow can be a
# straight line downwards that crosses no other package.
_SPANS = {
  'toolkit_basics': (0, 13),
  'frozen_graphs': (0, 5.7),
  'probe_data': (6.0, 9.5),
  'transferability': (9.8, 13),
  'attribution': (0.9, 4.5),
  'taskonomy_models': (4.15, 8.9),
  'attribution_preservation': (0.45, 3.8),
  'experiments': (0, 13),
  'attribution_transfer': (0, 9.5),
  'benchmarks': (9.8, 13),
}
_TOP = max(floor for floor, _ in layering_test.FLOORS.values())
_GROUND = {p for p, (floor, _) in layering_test.FLOORS.items() if floor == 0}
_STEP, _HEIGHT = 1.3, 0.82  # Of a floor, and of a package on it, in inches.
_COLORS = {True: '#DCE9F5', False: '#E2F0DF'}  # With, without TensorFlow.
_INK, _GREY = '#222222', '#7A7A7A'
_CHARACTER = 0.074  # Mean width, in inches.


def description() -> dict[str, dict[str, Any]]:
  """Returns all that the picture says; its file keeps it.

  Arrows are real imports, but of the ground floor, which all use, and of the
  top floor, which uses all. A single module of a package is named instead.
  """
  said = {}
  for package, (floor, names) in layering_test.FLOORS.items():
    modules = [m for m in module_graph.modules() if m.package == package]
    imports = {
      module_graph.top(n) for module in modules for n in module.imports
    }
    single = [name for name in names.split() if '.' in name]
    hidden = {package, *_GROUND, *map(module_graph.top, single)}
    said[package] = {
      'floor': floor,
      'summary': _summary(package),
      'tensorflow': 'tensorflow' in imports,
      'arrows': sorted(imports & _SPANS.keys() - hidden) * (floor != _TOP),
      'single modules': single,
    }
  return said


def _summary(package: str) -> str:
  """Returns the first line of a package's docstring."""
  path = module_graph.ROOT / package / '__init__.py'
  if not path.exists():
    return ''
  docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
  return docstring.splitlines()[0].rstrip('.')


def draw() -> Figure:
  """Returns the picture."""
  width, height = 14.2, (_TOP + 1) * _STEP + 0.4
  figure = Figure((width, height))
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_xlim(-0.7, width - 0.7)
  axes.set_ylim(-0.2, height - 0.2)
  axes.set_axis_off()
  for package, said in description().items():
    _box(axes, package, said)
    for other in said['arrows']:
      _arrow(axes, package, other)
  for floor in range(_TOP + 1):
    y = floor * _STEP + _HEIGHT / 2
    axes.text(-0.3, y, floor, fontsize=17, color=_GREY, va='center')
  _legend(axes, (_TOP + 1) * _STEP - 0.1)
  return figure


def _rectangle(
  axes: Axes, x: float, y: float, width: float, height: float, tensorflow: bool
) -> None:
  axes.add_patch(
    FancyBboxPatch(
      (x, y),
      width,
      height,
      boxstyle='round,pad=0,rounding_size=0.06',
      facecolor=_COLORS[tensorflow],
      edgecolor=_GREY,
      linewidth=0.8,
    )
  )


def _box(axes: Axes, package: str, said: dict[str, Any]) -> None:
  (left, right), bottom = _SPANS[package], said['floor'] * _STEP
  width, middle = right - left, (left + right) / 2
  _rectangle(axes, left, bottom, width, _HEIGHT, said['tensorflow'])
  lines = textwrap.wrap(said['summary'], int(width / _CHARACTER))
  lines += [f'(imports {name} too)' for name in said['single modules']]
  y = bottom + _HEIGHT / 2 + 0.105 * len(lines)
  options = {'ha': 'center', 'va': 'center', 'color': _INK}
  axes.text(middle, y, package, fontsize=12.5, weight='bold', **options)
  for line in lines:
    y -= 0.23
    axes.text(middle, y, line, fontsize=9.5, **options)


def _arrow(axes: Axes, upper: str, lower: str) -> None:
  x = _way(upper, lower)
  high, low = (layering_test.FLOORS[name][0] for name in (upper, lower))
  axes.annotate(
    '',
    (x, low * _STEP + _HEIGHT),
    (x, high * _STEP),
    arrowprops={
      'arrowstyle': '-|>',
      'color': _INK,
      'shrinkA': 0,
      'shrinkB': 0,
      'linewidth': 1.3,
    },
  )


def _way(upper: str, lower: str) -> float:
  """Returns where a straight line between two packages meets no other."""
  high, low = (layering_test.FLOORS[name][0] for name in (upper, lower))
  between = [
    _SPANS[name]
    for name, (floor, _) in layering_test.FLOORS.items()
    if low < floor < high
  ]
  ends = _SPANS[upper], _SPANS[lower]
  left, right = max(e[0] for e in ends), min(e[1] for e in ends)
  marks = sorted({left, right, *(m for span in between for m in span)})
  free = [
    (b - a, (a + b) / 2)
    for a, b in zip(marks, marks[1:], strict=False)
    if left <= a and b <= right
    if not any(start < (a + b) / 2 < end for start, end in between)
  ]
  if not free:
    raise ValueError(f'No way from {upper} down to {lower}: change _SPANS.')
  return max(free)[1]


def _legend(axes: Axes, y: float) -> None:
  options = {'fontsize': 9.5, 'va': 'center', 'color': _INK}
  for x, tensorflow, text in (
    (0, True, 'imports TensorFlow'),
    (2.1, False, 'does not, itself'),
  ):
    _rectangle(axes, x, y - 0.09, 0.26, 0.18, tensorflow)
    axes.text(x + 0.36, y, text, **options)
  text = f'An arrow is an import. All may import floor 0, and floor {_TOP} all.'
  axes.text(13, y, text, ha='right', **options)


def main() -> None:
  figure = draw()
  figure.savefig(
    PATH, dpi=100, metadata={'Description': json.dumps(description())}
  )
  print(f'Written: {PATH.relative_to(module_graph.ROOT)}')


if __name__ == '__main__':
  matplotlib.use('agg')
  main()
