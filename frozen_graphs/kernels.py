"""Rewrites operations that TensorFlow cannot run or differentiate on a CPU.

Graphs made for GPUs have their channels first, which CPU kernels of
convolution and pooling do not take; the gradient of a dilated convolution
exists on a CPU only with oneDNN; and layer normalization is often written as a
batch normalization in training mode of one long batch. They become plain
operations, whatever the device, so that a graph gives the same everywhere.
Boxes that are computed and then cut out of images end the process if they
overflow: those become boxes without an extent. And oneDNN cannot convolve what
a depthwise convolution has made of one channel: that becomes a plain one.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from frozen_graphs import (
  constants,
  node_checks,
  op_definitions,
  operations,
  tensors,
)
from frozen_graphs.errors import explaining
from frozen_graphs.tensors import NodeDef, Nodes

# From the tensors that a node takes to its first.
Body = Callable[..., tf.Tensor]

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
# By op type, which operands are images. One more may be the size of an image.
_SPATIAL: Mapping[str, tuple[int, ...]] = {
  'AvgPool': (0,),
  'Conv2D': (0,),
  'Conv2DBackpropInput': (2,),
  'DepthToSpace': (0,),
  'DepthwiseConv2dNative': (0,),
  'DepthwiseConv2dNativeBackpropInput': (2,),
  'MaxPool': (0,),
  'SpaceToDepth': (0,),
}
_SIZES = {'Conv2DBackpropInput': 0, 'DepthwiseConv2dNativeBackpropInput': 0}
_DILATED = frozenset({'Conv2D', 'DepthwiseConv2dNative'})


def rewrite(nodes: Nodes) -> dict[str, NodeDef]:
  """Returns nodes that compute the same; a result keeps its node's name.

  Args:
    nodes: By name, each after the nodes it needs.

  Raises:
    GraphError: If an operation cannot be rewritten; the message names it.
  """
  result = {}
  for name, given in nodes.items():
    node = _plain(given, nodes)
    with explaining(
      f'Node {name!r} ({node.op}) cannot be rewritten', LookupError, ValueError
    ):
      body = _body(node, nodes)
    if body is None:
      result[name] = node
    else:
      result |= {new.name: new for new in _spliced(node, body, nodes)}
  return result


def _plain(node: NodeDef, nodes: Nodes) -> NodeDef:
  """Returns a depthwise convolution of one channel as the plain one it is."""
  if node.op != 'DepthwiseConv2dNative':
    return node
  filters = nodes[tensors.producers(node)[1]]
  while filters.op == 'Identity':
    filters = nodes[tensors.producers(filters)[0]]
  if filters.op != 'Const' or constants.value(filters).shape[2:3] != (1,):
    return node
  plain = tf.compat.v1.NodeDef()
  plain.CopyFrom(node)
  plain.op = 'Conv2D'
  return plain


def _value(node: NodeDef, attribute: str) -> tf.compat.v1.AttrValue:
  """Returns an attribute, without making an absent one as `attr[]` does."""
  if attribute in node.attr:
    return node.attr[attribute]
  return tf.compat.v1.AttrValue()


def _body(node: NodeDef, nodes: Nodes) -> Body | None:
  """Returns what to compute in place of a node, None to leave it."""
  is_first = op_definitions.is_channels_first(node)
  if node.op in operations.BATCH_NORM:
    is_layer_norm = operations.is_training_norm(node) and is_first
    is_layer_norm = is_layer_norm and _is_batch_of_one(node, nodes)
    return _normalization(node) if is_layer_norm else None
  if node.op == 'CropAndResize':
    boxes = nodes[tensors.producers(node)[1]]
    return _boxes_cut(node) if boxes.op != 'Const' else None
  rates = _pair(node, 'dilations')
  body = None
  # With two strides, TensorFlow 2.21 computes rows of zeros where a result is
  # one column wide.
  strides = _pair(node, 'strides') if node.op == 'Conv2D' else (1, 1)
  is_uneven = len(set(strides)) > 1 and min(strides) > 0
  if node.op in _DILATED and (max(rates) > 1 or is_uneven):
    body = _dilated(node, rates)
  elif is_first and node.op in _SPATIAL:
    body = _channels_last(node)
  return _transposed(node, body) if is_first and body else body


def _boxes_cut(node: NodeDef) -> Body:
  """Returns the same operation, of boxes that neither overflow nor are NaN."""

  def compute(image, boxes, *others) -> tf.Tensor:
    is_legal = tf.abs(boxes) <= node_checks.MAX_BOX
    boxes = tf.where(is_legal, boxes, tf.zeros_like(boxes))
    return tf.raw_ops.CropAndResize(
      image=image,
      boxes=boxes,
      box_ind=others[0],
      crop_size=others[1],
      method=_value(node, 'method').s or b'bilinear',
      extrapolation_value=_value(node, 'extrapolation_value').f,
    )

  return compute


def _is_batch_of_one(node: NodeDef, nodes: Nodes) -> bool:
  """Returns whether the input of a node is reshaped to [1, ...]."""
  reshape = nodes[tensors.producers(node)[0]]
  if reshape.op != 'Reshape':
    return False
  shape = nodes[tensors.producers(reshape)[1]]
  if shape.op in ('Pack', 'ConcatV2'):
    shape = nodes[tensors.producers(shape)[0]]
  if shape.op != 'Const':
    return False
  sides = constants.value(shape).reshape(-1)
  return sides.size > 0 and sides[0] == 1


def _pair(node: NodeDef, attribute: str) -> list[int]:
  """Returns the two spatial values of an attribute such as `strides`."""
  values = list(_value(node, attribute).list.i) or [1, 1, 1, 1]
  first = 2 if op_definitions.is_channels_first(node) else 1
  return values[first : first + 2]


def _paddings(node: NodeDef) -> list[tuple[int, int]]:
  """Returns explicit paddings (before, after), with channels last."""
  values = list(_value(node, 'explicit_paddings').list.i)
  pairs = list(zip(values[::2], values[1::2], strict=True))
  is_first = pairs and op_definitions.is_channels_first(node)
  return [pairs[i] for i in _TO_LAST] if is_first else pairs


def _channels_last(node: NodeDef) -> Body:
  """Returns the same operation, for channels that come last."""
  attributes = {}
  for name in ('strides', 'dilations', 'ksize'):
    if name in node.attr:
      attributes[name] = [node.attr[name].list.i[i] for i in _TO_LAST]
  if 'padding' in node.attr:
    attributes['padding'] = node.attr['padding'].s.decode()
  if pairs := _paddings(node):
    attributes['explicit_paddings'] = [side for pair in pairs for side in pair]
  if 'block_size' in node.attr:
    attributes['block_size'] = node.attr['block_size'].i
  operation = getattr(tf.raw_ops, node.op)
  names = list(operation.__signature__.parameters)

  def compute(*operands: tf.Tensor) -> tf.Tensor:
    return operation(**dict(zip(names, operands, strict=False)), **attributes)

  return compute


def _transposed(node: NodeDef, body: Body) -> Body:
  """Returns `body`, which has channels last, for channels that come first."""

  def compute(*operands: tf.Tensor) -> tf.Tensor:
    operands = list(operands)
    for i in _SPATIAL[node.op]:
      operands[i] = tf.transpose(operands[i], _TO_LAST)
    if node.op in _SIZES:
      i = _SIZES[node.op]
      operands[i] = tf.gather(operands[i], _TO_LAST)
    return tf.transpose(body(*operands), _TO_FIRST)

  return compute


def _dilated(node: NodeDef, rates: Sequence[int]) -> Body:
  """Returns a convolution on the phases of an image, channels last.

  With `rate` steps between the taps of a filter, every rate-th pixel is seen
  alone: `rate` smaller images, to which the filter applies without gaps.
  """
  strides, mode = _pair(node, 'strides'), _value(node, 'padding').s

  def compute(x: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    before, after, extra = [], [], []
    for i in range(2):
      size, taps = tf.shape(x)[1 + i], tf.shape(filters)[i]
      reach = (taps - 1) * rates[i] + 1
      first, last = _sides(node, i, mode, size, reach, strides[i])
      before.append(first)
      after.append(last)
      extra.append(tf.math.floormod(-(size + first + last), rates[i]))
    ends = [last + more for last, more in zip(after, extra, strict=True)]
    phases = tf.raw_ops.SpaceToBatchND(
      input=x,
      block_shape=rates,
      paddings=tf.transpose(tf.stack([tf.stack(before), tf.stack(ends)])),
    )
    convolve = getattr(tf.raw_ops, node.op)
    y = convolve(
      input=phases, filter=filters, strides=[1, 1, 1, 1], padding='VALID'
    )
    crops = tf.transpose(tf.stack([tf.zeros_like(extra), tf.stack(extra)]))
    y = tf.raw_ops.BatchToSpaceND(input=y, block_shape=rates, crops=crops)
    return y[:, :: strides[0], :: strides[1]] if max(strides) > 1 else y

  return compute


def _sides(node: NodeDef, axis: int, mode: bytes, size, reach, stride):
  """Returns how many zeros stand before and after an axis of an image."""
  if mode == b'VALID':
    return tf.constant(0), tf.constant(0)
  if mode == b'EXPLICIT':
    first, last = _paddings(node)[1 + axis]
    return tf.constant(first), tf.constant(last)
  steps = (size + stride - 1) // stride
  total = tf.maximum((steps - 1) * stride + reach - size, 0)
  return total // 2, total - total // 2


def _normalization(node: NodeDef) -> Body:
  """Returns a batch normalization by the input's own mean and variance."""
  epsilon = node.attr['epsilon'].f if 'epsilon' in node.attr else 1e-4

  def compute(x, scale, offset, *_) -> tf.Tensor:
    x32 = tf.cast(x, scale.dtype)
    mean = tf.reduce_mean(x32, [0, 2, 3], keepdims=True)
    centred = x32 - mean
    variance = tf.reduce_mean(tf.square(centred), [0, 2, 3], keepdims=True)
    scale = tf.reshape(scale, [1, -1, 1, 1])
    offset = tf.reshape(offset, [1, -1, 1, 1])
    y = centred * tf.math.rsqrt(variance + epsilon) * scale + offset
    return tf.cast(y, x.dtype)

  return compute


def _spliced(node: NodeDef, body: Body, nodes: Nodes) -> list[NodeDef]:
  """Returns the nodes of `body`, named below the node, and last its result."""
  given = {f'operand_{i}': t for i, t in enumerate(tensors.data_inputs(node))}
  message = f'Node {node.name!r} ({node.op}) cannot be rewritten'
  with (
    tf.Graph().as_default() as graph,
    explaining(message, Exception),
  ):
    operands = [
      tf.compat.v1.placeholder(
        op_definitions.output_types(nodes[name])[number], name=operand
      )
      for operand, (name, number) in given.items()
    ]
    tf.identity(body(*operands), name='result')
  *parts, last = [n for n in graph.as_graph_def().node if n.name not in given]
  renamed = {
    part.name: tensors.unused_name(f'{node.name}/{part.name}', nodes)
    for part in parts
  }
  renamed[tensors.split(last.input[0])[0]] = node.name
  for part in parts:
    part.name = renamed[part.name]
    for i, text in enumerate(part.input):
      name, number = tensors.split(text)
      tensor = given.get(name) or (renamed[name], number)
      part.input[i] = tensors.name_of(tensor)
  return parts
