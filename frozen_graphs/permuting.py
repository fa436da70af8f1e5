"""Untrained twins of a network: its weights permuted within each tensor.

What is left is the architecture, and the size of the weights: what the network
learned is gone. For weights that are independent draws, as those of an
untrained network, the twin is one more such network.
"""

from collections.abc import Callable, Collection
import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs import tensors
from frozen_graphs.graph import SubGraph

_LEAST = 5  # Numbers; smaller constants are of colours, or of sizes.


def permuted(
  subgraph: SubGraph, seed: int, only: Collection[str] | None = None
) -> SubGraph:
  """Returns the graph with the numbers of each constant in another order.

  Args:
    subgraph: A network; it is not changed.
    seed: Of the orders; the same seed gives the same twin.
    only: Names of constants, such as those of some `layers`; default: all.
  """
  rng = np.random.default_rng(seed)

  def mixed(values: np.ndarray) -> np.ndarray:
    return rng.permutation(values.reshape(-1)).reshape(values.shape)

  return _changed(subgraph, mixed, only)


def layers(subgraph: SubGraph) -> list[tuple[str, ...]]:
  """Returns the weights of each layer by name, from the input on.

  A layer is a kernel, a floating-point constant of two sides or more, and the
  smaller constants that are used behind it and before the next one, such as
  its bias. Constants of fewer than 5 numbers have no part.

  Args:
    subgraph: A network.
  """
  places = _places(subgraph)
  found = []
  for name, node in subgraph.nodes.items():
    values = _weights(node)
    if values is not None and name in places:
      is_kernel = sum(side > 1 for side in values.shape) > 1
      found.append((places[name], len(found), name, is_kernel))
  result: list[list[str]] = []
  for _, _, name, is_kernel in sorted(found):
    if is_kernel or not result:
      result.append([])
    result[-1].append(name)
  return [tuple(names) for names in result]


def _places(subgraph: SubGraph) -> dict[str, int]:
  """Returns where each node first has a part in what becomes of the input.

  Of one that depends on the input, its place among the nodes; of another, the
  first place of those that need it.
  """
  source = subgraph.input_tensor.rpartition(':')[0]
  needs = {
    name: [other for other, _ in tensors.data_inputs(node)]
    for name, node in subgraph.nodes.items()
  }
  places: dict[str, int] = {}
  for place, (name, others) in enumerate(needs.items()):
    if name == source or any(other in places for other in others):
      places[name] = place
  carriers = set(places)
  for name, others in reversed(needs.items()):
    for other in others:
      if name in places and other not in carriers:
        places[other] = min(places[name], places.get(other, len(needs)))
  return places


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
  subgraph: SubGraph,
  change: Callable[[np.ndarray], np.ndarray],
  only: Collection[str] | None = None,
) -> SubGraph:
  nodes = dict(subgraph.nodes)
  for name, node in nodes.items():
    values = _weights(node)
    if values is None or (only is not None and name not in only):
      continue
    changed = tf.compat.v1.NodeDef()
    changed.CopyFrom(node)
    tensor = tf.make_tensor_proto(
      change(values), node.attr['value'].tensor.dtype
    )
    changed.attr['value'].tensor.CopyFrom(tensor)
    nodes[name] = changed
  return dataclasses.replace(subgraph, nodes=nodes)


def _weights(node: tf.compat.v1.NodeDef) -> np.ndarray | None:
  """Returns the numbers of a constant that may be learned, else None."""
  if node.op != 'Const':
    return None
  stored = node.attr['value'].tensor
  if not tf.as_dtype(stored.dtype).is_floating:
    return None
  values = tf.make_ndarray(stored)
  return values if values.size >= _LEAST else None
