"""Lets networks of half precision compute in single precision.

The gradient of a mean over many units is too small for half precision, where
numbers below 6e-8 are 0 and those below 6e-5 have lost digits.
"""

from collections.abc import Iterable

import tensorflow as tf

NodeDef = tf.compat.v1.NodeDef

_HALF = frozenset({
  tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum,
})  # fmt: skip
_SINGLE = tf.float32.as_datatype_enum


def widen(nodes: Iterable[NodeDef]) -> int:
  """Turns half-precision nodes into single precision, in place.

  Constants that are stored in half precision and widened at once stay so.

  Returns:
    How many nodes computed in half precision.
  """
  nodes = {node.name: node for node in nodes}
  stored = {
    node.name
    for node in nodes.values()
    if node.op == 'Const' and node.attr['dtype'].type in _HALF
  }
  used_as_is = {
    source
    for node in nodes.values()
    if not (node.op == 'Cast' and node.attr['DstT'].type == _SINGLE)
    for source in (name.rpartition(':')[0] or name for name in node.input)
  }
  kept = stored - used_as_is
  count = 0
  for node in nodes.values():
    inputs = [name.rpartition(':')[0] or name for name in node.input]
    if node.name in kept or (node.op == 'Cast' and inputs[0] in kept):
      continue
    if _widen(node):
      count += node.op not in ('Const', 'Cast', 'Placeholder')
  return count


def _widen(node: NodeDef) -> bool:
  """Widens a node; returns whether it was of half precision."""
  changed = False
  for name, attribute in node.attr.items():
    if attribute.type in _HALF:
      attribute.type = _SINGLE
      changed = True
    for position, kind in enumerate(attribute.list.type):
      if kind in _HALF:
        attribute.list.type[position] = _SINGLE
        changed = True
    if name == 'value' and attribute.tensor.dtype in _HALF:
      value = tf.make_ndarray(attribute.tensor).astype('float32')
      attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
  return changed
