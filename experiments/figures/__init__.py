"""The figures of the paper, as PNG and PDF files.

Every function writes its files under a temporary name, then renames them; the
same input gives the same bytes. No function touches pyplot's global state.
"""

from experiments.figures.bars import bars as bars
from experiments.figures.curves import curve_styles as curve_styles
from experiments.figures.curves import lines as lines
from experiments.figures.curves import (
  precision_recall_curves as precision_recall_curves,
)
from experiments.figures.diagram import method_diagram as method_diagram
from experiments.figures.graphs import transfer_graph as transfer_graph
from experiments.figures.maps import map_grid as map_grid
from experiments.figures.maps import map_panels as map_panels
from experiments.figures.matrices import affinity_heat_map as affinity_heat_map
from experiments.figures.points import scatter as scatter
from experiments.figures.points import scatter_panels as scatter_panels
from experiments.figures.style import BASELINES as BASELINES
from experiments.figures.style import GROUP_COLORS as GROUP_COLORS
from experiments.figures.style import group_colors as group_colors
from experiments.figures.style import group_label as group_label
from experiments.figures.style import method_label as method_label
from experiments.figures.trees import task_tree as task_tree
