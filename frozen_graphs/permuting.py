"""Untrained twins of a network: its weights permuted within each tensor.

What is left is the architecture, and the size of the weights: what the network
learned is gone. For weights that are independent draws, as those of an
untrained network, the twin is one more such network.
"""

from collections.abc import Callable
import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs.graph import SubGraph

_LEAST = 5  # Numbers; smaller constants are of colours, or of sizes.


def permuted(subgraph: SubGraph, seed: int) -> SubGraph:
  """Returns the graph with the numbers of each constant in another order.

  Args:
    subgraph: A network; it is not changed.
    seed: Of the orders; the same seed gives the same twin.
  """
  rng = np.random.default_rng(seed)

  def mixed(values: np.ndarray) -> np.ndarray:
    return rng.permutation(values.reshape(-1)).reshape(values.shape)

  return _changed(subgraph, mixed)


def redrawn(subgraph: SubGraph, seed: int) -> SubGraph:
  """Returns the graph as it may have been before training.

  Kernels are normal, of variance 2 / inputs (He et al., 2015), other constants
  permuted.

  Args:
    subgraph: A network; it is not changed.
    seed: Of the draws.
  """
  rng = np.random.default_rng(seed)

  def drawn(values: np.ndarray) -> np.ndarray:
    if values.ndim < 2:
      return rng.permutation(values)
    deviation = np.sqrt(2 / np.prod(values.shape[:-1]))
    return rng.normal(0, deviation, values.shape).astype(values.dtype)

  return _changed(subgraph, drawn)


def _changed(
  subgraph: SubGraph, change: Callable[[np.ndarray], np.ndarray]
) -> SubGraph:
  nodes = dict(subgraph.nodes)
  for name, node in nodes.items():
    if node.op != 'Const':
      continue
    stored = node.attr['value'].tensor
    if not tf.as_dtype(stored.dtype).is_floating:
      continue
    values = tf.make_ndarray(stored)
    if values.size < _LEAST:
      continue
    changed = tf.compat.v1.NodeDef()
    changed.CopyFrom(node)
    tensor = tf.make_tensor_proto(change(values), stored.dtype)
    changed.attr['value'].tensor.CopyFrom(tensor)
    nodes[name] = changed
  return dataclasses.replace(subgraph, nodes=nodes)
