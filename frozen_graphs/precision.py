"""Lets networks of half precision compute in single precision.

The gradient of a mean over many units is too small for half precision, where
numbers below 6e-8 are 0 and those below 6e-5 have lost digits.
"""

from collections.abc import Iterable

import tensorflow as tf

from frozen_graphs import tensors
from frozen_graphs.tensors import NodeDef

_HALF = frozenset({
  tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum,
})  # fmt: skip
_SINGLE = tf.float32.as_datatype_enum


def widen(nodes: Iterable[NodeDef]) -> None:
  """Turns half-precision nodes into single precision, in place.

  Constants that are stored in half precision and widened at once stay so.
  """
  nodes = list(nodes)
  used_as_is = {
    source
    for node in nodes
    if not (node.op == 'Cast' and node.attr['DstT'].type == _SINGLE)
    for source in tensors.producers(node)
  }
  kept = {
    node.name
    for node in nodes
    if node.op == 'Const' and node.attr['dtype'].type in _HALF
  } - used_as_is
  for node in nodes:
    widens = node.op == 'Cast' and kept.issuperset(tensors.producers(node))
    if node.name not in kept and not widens:
      _widen(node)


def _widen(node: NodeDef) -> None:
  for name, attribute in node.attr.items():
    if attribute.type in _HALF:
      attribute.type = _SINGLE
    for position, kind in enumerate(attribute.list.type):
      if kind in _HALF:
        attribute.list.type[position] = _SINGLE
    if name == 'value' and attribute.tensor.dtype in _HALF:
      value = tf.make_ndarray(attribute.tensor).astype('float32')
      attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
