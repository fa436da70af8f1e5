"""Lets networks of half precision compute in single precision.

The gradient of a mean over many units is too small for half precision, where
numbers below 6e-8 are 0 and those below 6e-5 have lost digits.
"""

import tensorflow as tf

from frozen_graphs import tensors
from frozen_graphs.tensors import NodeDef, Nodes

_HALF = frozenset({
  tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum,
})  # fmt: skip
_SINGLE = tf.float32.as_datatype_enum


def widened(by_name: Nodes) -> dict[str, NodeDef]:
  """Returns nodes of single precision in place of those of half precision.

  Constants that are stored in half precision and widened at once stay so.
  """
  nodes = list(by_name.values())
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
  result = dict(by_name)
  for name, node in by_name.items():
    widens = node.op == 'Cast' and kept.issuperset(tensors.producers(node))
    if name not in kept and not widens and _has_half(node):
      result[name] = NodeDef()
      result[name].CopyFrom(node)
      _widen(result[name])
  return result


def _has_half(node: NodeDef) -> bool:
  return any(
    not _HALF.isdisjoint((each.type, each.tensor.dtype, *each.list.type))
    for each in node.attr.values()
  )


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
