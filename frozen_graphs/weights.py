"""Takes the weights out of a graph, which is then given them as inputs.

As constants, TensorFlow copies them a dozen times on the way to the first run,
and keeps a few of the copies. As inputs they stay where they are. What is
computed is the same to the bit.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs import constants, tensors
from frozen_graphs.graph import SubGraph
from frozen_graphs.tensors import NodeDef

_FEWEST = 2  # Numbers; single ones are of the architecture.
_ALIGNMENT = 64  # Bytes; TensorFlow copies what lies elsewhere.


def taken_out(subgraph: SubGraph) -> tuple[SubGraph, dict[str, np.ndarray]]:
  """Returns a graph with placeholders for its weights, and these by tensor.

  What is computed of constants alone keeps them: TensorFlow does it once.
  """
  depending = _depending(subgraph)
  users = tensors.consumers(subgraph.nodes)
  nodes, weights = dict(subgraph.nodes), {}
  for name, node in subgraph.nodes.items():
    if _is_large(node) and depending.issuperset(users.get(name, ())):
      value = _aligned(constants.value(node))
      kind = tf.as_dtype(node.attr['dtype'].type)
      nodes[name] = tensors.placeholder(name, kind, value.shape)
      weights[f'{name}:0'] = value
  return dataclasses.replace(subgraph, nodes=nodes), weights


def _depending(subgraph: SubGraph) -> set[str]:
  """Returns the nodes that depend on the input."""
  found = {tensors.split(subgraph.input_tensor)[0]}
  for name, node in subgraph.nodes.items():
    if not found.isdisjoint(tensors.producers(node)):
      found.add(name)
  return found


def _is_large(node: NodeDef) -> bool:
  if node.op != 'Const' or not tf.as_dtype(node.attr['dtype'].type).is_floating:
    return False
  shape = tf.TensorShape(node.attr['value'].tensor.tensor_shape)
  return (shape.num_elements() or 0) >= _FEWEST


def _aligned(values: np.ndarray) -> np.ndarray:
  """Returns a copy that TensorFlow can use where it is."""
  room = np.empty(values.nbytes + _ALIGNMENT, np.uint8)
  start = -room.ctypes.data % _ALIGNMENT
  copy = room[start : start + values.nbytes].view(values.dtype)
  copy = copy.reshape(values.shape)
  copy[...] = values
  return copy
