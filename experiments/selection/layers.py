"""The layers of a network that may be transferred."""

import dataclasses

import numpy as np
import tensorflow as tf

from attribution import overrides
from frozen_graphs import graph as graph_lib
from frozen_graphs import session
from taskonomy_models.encoder import Encoder


def activations(encoder: Encoder) -> list[str]:
  """Returns the tensors of all activations, in order, the representation last.

  Those that are not [n, d] or [n, h, w, c] are left out.

  Raises:
    GraphError: If the graph cannot be used.
  """
  subgraph = graph_lib.extract(
    graph_lib.load_graph_def(encoder.graph),
    encoder.input_tensor,
    encoder.representation_tensor,
    overrides.op_types(),
  )
  with tf.Graph().as_default() as graph:
    session.import_graph(subgraph)
    found = [
      f'{name}:0'
      for name, node in subgraph.nodes.items()
      if node.op in overrides.op_types()
      and graph.get_tensor_by_name(f'{name}:0').shape.rank in (2, 4)
    ]
  last = subgraph.representation_tensor
  return [name for name in found if name != last] + [last]


def choose(encoder: Encoder, number: int) -> list[Encoder]:
  """Returns the encoder cut off at so many of its layers, evenly spaced.

  The last one is its representation; fewer if there are fewer activations.
  """
  tensors = activations(encoder)
  chosen = np.linspace(0, len(tensors) - 1, min(number, len(tensors)))
  return [
    dataclasses.replace(encoder, representation_tensor=tensors[round(i)])
    for i in chosen
  ]
