"""TensorFlow.js models, of graphs and of layers."""

from frozen_graphs.formats.registry import Format, register
from frozen_graphs.formats.tfjs import graph_model, layers_model

for _name, _module in (
  ('tfjs_graph_model', graph_model),
  ('tfjs_layers_model', layers_model),
):
  register(Format(_name, _module.load, _module.matches))
