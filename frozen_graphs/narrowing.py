"""Lets networks of single precision multiply in half precision.

Only convolutions and products of matrices do, forward and backward. What is
added up in them, and all between them, is of single precision (Micikevicius et
al., 2018, Mixed Precision Training).
"""

from collections.abc import Iterator
import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs import constants, tensors
from frozen_graphs.graph import SubGraph
from frozen_graphs.tensors import NodeDef, Nodes

SINGLE = 'float32'
PRECISIONS = (SINGLE, 'bfloat16', 'float16')
# By op type, how many operands are multiplied; None is all of them.
_MULTIPLIED = {
  'BatchMatMul': 2,
  'BatchMatMulV2': 2,
  'Conv2D': 2,
  'Einsum': None,
  'MatMul': 2,
}
_SINGLE = tf.float32.as_datatype_enum


def check(precision: str) -> None:
  """Raises ValueError if networks cannot multiply in such a precision."""
  if precision not in PRECISIONS:
    raise ValueError(
      f'Unknown precision {precision!r}; choose from {", ".join(PRECISIONS)}.'
    )


def narrow(subgraph: SubGraph, precision: str) -> SubGraph:
  """Returns a graph whose products are computed in half precision.

  Their results are of single precision again, and so is what the graph takes
  and gives. Gradients pass the casts, so that products of a backward pass are
  computed likewise. Products of double precision stay as they are.

  Args:
    subgraph: The graph.
    precision: One of `PRECISIONS`; with float32 nothing changes.
  """
  check(precision)
  if precision == SINGLE:
    return subgraph
  kind, nodes = tf.as_dtype(precision), {}
  for node in subgraph.nodes.values():
    made = [node]
    if node.op in _MULTIPLIED and node.attr['T'].type == _SINGLE:
      made = list(_narrowed(node, subgraph.nodes, kind))
    nodes.update((each.name, each) for each in made)
  return dataclasses.replace(subgraph, nodes=nodes)


def _narrowed(node: NodeDef, nodes: Nodes, kind: tf.DType) -> Iterator[NodeDef]:
  """Yields what computes a node in half precision; the last has its name."""

  def fresh(what: str) -> str:
    return tensors.unused_name(f'{node.name}/{what}', nodes)

  product = NodeDef.FromString(node.SerializeToString())
  product.name, product.attr['T'].type = fresh('narrow'), kind.as_datatype_enum
  operands = list(tensors.data_inputs(node))[: _MULTIPLIED[node.op]]
  for number, tensor in enumerate(operands):
    source, name = nodes[tensor[0]], fresh(f'narrow_{number}')
    if source.op == 'Const':
      value = np.asarray(constants.value(source), kind.as_numpy_dtype)
      operand = tensors.constant(name, value)
    else:
      operand = _cast(name, tensors.name_of(tensor), tf.float32, kind)
    product.input[number] = f'{name}:0'
    yield operand
  yield product
  yield _cast(node.name, f'{product.name}:0', kind, tf.float32)


def _cast(name: str, source: str, before: tf.DType, to: tf.DType) -> NodeDef:
  node = NodeDef(op='Cast', name=name)
  node.input.append(source)
  node.attr['SrcT'].type = before.as_datatype_enum
  node.attr['DstT'].type = to.as_datatype_enum
  return node
