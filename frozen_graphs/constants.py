"""Makes constants of what a graph would be fed besides images."""

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError

NodeDef = tf.compat.v1.NodeDef

_FED = frozenset({'Placeholder', 'PlaceholderWithDefault'})


def bind(nodes: Iterable[NodeDef], constants: Mapping[str, object]) -> None:
  """Replaces placeholders by constants, in place.

  Args:
    nodes: Of a graph.
    constants: Values by the placeholders' names; a single number fills the
      shape that a placeholder states, sides it leaves open being 1.

  Raises:
    GraphError: If there is no such placeholder, or a value does not fit.
  """
  fed = {node.name: node for node in nodes if node.op in _FED}
  for name, value in constants.items():
    node = fed.get(name.removesuffix(':0'))
    if node is None:
      raise GraphError(
        f'The graph is not fed {name!r}, which is to be a constant; it is fed '
        f'{sorted(fed) or "nothing"}.'
      )
    proto = _proto(node, value)
    node.CopyFrom(NodeDef(name=node.name, op='Const'))
    node.attr['dtype'].type = proto.dtype
    node.attr['value'].tensor.CopyFrom(proto)


def _proto(node: NodeDef, value: object):
  kind = tf.as_dtype(node.attr['dtype'].type)
  shape = tf.TensorShape(node.attr['shape'].shape)
  try:
    array = np.asarray(value, kind.as_numpy_dtype)
    if array.ndim == 0 and shape.rank:
      array = np.full([side or 1 for side in shape], array)
    if not shape.is_compatible_with(array.shape):
      raise ValueError(f'it has the shape {array.shape}')
    return tf.make_tensor_proto(array, kind)
  except (TypeError, ValueError) as error:
    raise GraphError(
      f'{value!r} is no value of {node.name!r}, which is {kind.name} {shape}: '
      f'{error}.'
    ) from error
