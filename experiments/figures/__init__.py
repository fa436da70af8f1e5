"""The figures of the paper, as PNG and PDF files.

Every function writes its files under a temporary name, then renames them; the
same input gives the same bytes. No function touches pyplot's global state.
"""

from experiments.figures.bars import bars
from experiments.figures.curves import (
  curve_styles,
  lines,
  precision_recall_curves,
)
from experiments.figures.diagram import method_diagram
from experiments.figures.maps import map_grid, map_panels
from experiments.figures.matrices import affinity_heat_map
from experiments.figures.panels import scatter_panels
from experiments.figures.points import scatter
from experiments.figures.style import (
  BASELINES,
  GROUP_COLORS,
  group_colors,
  method_label,
)
from experiments.figures.trees import task_tree

__all__ = [
  'BASELINES',
  'GROUP_COLORS',
  'affinity_heat_map',
  'bars',
  'curve_styles',
  'precision_recall_curves',
  'scatter',
  'scatter_panels',
  'group_colors',
  'lines',
  'map_grid',
  'map_panels',
  'method_diagram',
  'method_label',
  'task_tree',
]
