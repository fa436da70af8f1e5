"""Small networks as ONNX files hold them, with weights drawn anew."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests import onnx_testing

BATCH = 'batch'  # The name of an open dimension.


class Builder:
  """Adds nodes one after the other, each called after what it computes."""

  def __init__(self, seed: int = 0):
    self._rng = np.random.default_rng(seed)
    self.nodes: list[onnx.NodeProto] = []
    self.constants: dict[str, np.ndarray] = {}

  def weight(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
    return self.constant(self._rng.uniform(low, high, shape), np.float32)

  def constant(self, value: Any, dtype: Any = np.int64) -> str:
    name = f'constant_{len(self.constants)}'
    self.constants[name] = np.asarray(value, dtype)
    return name

  def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
    name = f'layer{len(self.nodes)}/{op.lower()}'
    self.nodes.append(
      helper.make_node(op, inputs, [f'{name}:0'], name, **attributes)
    )
    return f'{name}:0'

  def conv(
    self, x: str, given: int, wanted: int, size: int = 3, **attributes: Any
  ) -> str:
    per_group = given // attributes.get('group', 1)
    kernel = self.weight(wanted, per_group, size, size)
    attributes.setdefault('pads', [size // 2] * 4)
    return self('Conv', x, kernel, self.weight(wanted), **attributes)

  def batch_norm(self, x: str, channels: int) -> str:
    numbers = [self.weight(channels) for _ in range(3)]
    variance = self.weight(channels, low=0.2, high=1.5)
    return self('BatchNormalization', x, *numbers, variance)

  def model(
    self, output: str, shape: Sequence[int | str | None], opset: int = 17
  ) -> onnx.ModelProto:
    return onnx_testing.model(
      self.nodes, {'image': shape}, [output], self.constants, opset
    )


def residual(batch: int | str = BATCH) -> onnx.ModelProto:
  """Convolutions, batch normalisation, pooling, a shortcut, a classifier."""
  add = Builder(1)
  x = add.conv('image', 3, 6, strides=[2, 2])
  x = add('Relu', add.batch_norm(x, 6))
  x = add('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
  y = add('Relu', add.batch_norm(add.conv(x, 6, 6), 6))
  x = add('Relu', add('Add', add.batch_norm(add.conv(y, 6, 6), 6), x))
  x = add('Flatten', add('GlobalAveragePool', x))
  x = add('Gemm', x, add.weight(5, 6), add.weight(5), transB=1)
  return add.model(x, [batch, 3, 16, 16])


def plain(batch: int | str = BATCH) -> onnx.ModelProto:
  """Convolutions without biases: relevance is neither made nor lost."""
  add = Builder(2)
  x = add('Conv', 'image', add.weight(6, 3, 3, 3), strides=[2, 2])
  x = add('Relu', x)
  x = add('Relu', add('Conv', x, add.weight(4, 6, 3, 3), pads=[1, 1, 1, 1]))
  x = add('AveragePool', x, kernel_shape=[2, 2], strides=[2, 2])
  return add.model(x, [batch, 3, 16, 16])


def mobile(batch: int | str = BATCH) -> onnx.ModelProto:
  """MobileNetV3's block, with hard-swish and gates as exporters spell them."""
  add = Builder(3)
  zero, six = (add.constant(n, np.float32) for n in (0, 6))
  three = add.constant(3, np.float32)

  def hard_swish(x: str) -> str:
    gate = add('Clip', add('Add', x, three), zero, six)
    return add('Div', add('Mul', x, gate), six)

  first = hard_swish(add.conv('image', 3, 4, strides=[2, 2]))
  x = hard_swish(add.conv(first, 4, 8, size=1))
  x = add.conv(x, 8, 8, group=8)
  x = add('Clip', add.batch_norm(x, 8), zero, six)
  gate = add('ReduceMean', x, axes=[2, 3], keepdims=1)
  gate = add('Relu', add.conv(gate, 8, 2, size=1))
  gate = add('HardSigmoid', add.conv(gate, 2, 8, size=1), alpha=1 / 6)
  x = add.conv(add('Mul', x, gate), 8, 4, size=1)
  return add.model(add('Add', first, x), [batch, 3, 16, 16])


def stylist(batch: int | str = BATCH) -> onnx.ModelProto:
  """A network for style transfer: instance norms, reflections, enlarging."""
  add = Builder(4)

  def block(x: str, given: int, wanted: int, **options: Any) -> str:
    pads = add.constant([0, 0, 1, 1, 0, 0, 1, 1])
    x = add('Pad', x, pads, mode='reflect')
    x = add.conv(x, given, wanted, pads=[0] * 4, **options)
    scale = add.weight(wanted, low=0.5, high=1.5)
    x = add('InstanceNormalization', x, scale, add.weight(wanted))
    return add('Relu', x)

  x = block('image', 3, 4, strides=[2, 2])
  x = block(x, 4, 6, strides=[2, 2])
  scales = add.constant([1, 1, 2, 2], np.float32)
  x = add('Resize', x, '', scales, mode='nearest',
          coordinate_transformation_mode='asymmetric', nearest_mode='floor'
          )  # fmt: skip
  x = block(x, 6, 4)
  x = add('ConvTranspose', x, add.weight(4, 3, 3, 3), strides=[2, 2],
          pads=[1, 1, 1, 1], output_padding=[1, 1])  # fmt: skip
  return add.model(add('Tanh', x), [batch, 3, 16, 16])


def pyramid(batch: int | str = BATCH) -> onnx.ModelProto:
  """A U-net whose sizes, all open, are computed while it runs."""
  add = Builder(5)
  zero, two, four = (add.constant([n]) for n in (0, 2, 4))
  fine = add('LeakyRelu', add.conv('image', 3, 4, strides=[2, 2]), alpha=0.2)
  x = add('Relu', add.conv(fine, 4, 6, strides=[2, 2]))
  sides = add('Slice', add('Shape', fine), two, four, zero)
  start = add('Slice', add('Shape', x), zero, two, zero)
  size = add('Concat', start, sides, axis=0)
  x = add('Resize', x, '', '', size, mode='linear',
          coordinate_transformation_mode='half_pixel')  # fmt: skip
  x = add('Concat', fine, x, axis=1)
  return add.model(add.conv(x, 10, 3), [batch, 3, 'height', 'width'])


def attention(batch: int | str = BATCH) -> onnx.ModelProto:
  """A transformer's layer over patches, reshaped as PyTorch exports it."""
  add = Builder(6)
  x = add('Conv', 'image', add.weight(8, 3, 4, 4), strides=[4, 4])
  count = add('Gather', add('Shape', x), add.constant(0), axis=0)
  count = add('Unsqueeze', count, add.constant([0]))
  shape = add('Concat', count, add.constant([8, -1]), axis=0)
  x = add('Transpose', add('Reshape', x, shape), perm=[0, 2, 1])
  scale = add.weight(8, low=0.5, high=1.5)
  y = add('LayerNormalization', x, scale, add.weight(8))
  heads = add.constant([0, 0, 2, 4])
  query, key, value = (
    add('Transpose', add('Reshape', add('MatMul', y, add.weight(8, 8)), heads),
        perm=[0, 2, 1, 3])
    for _ in range(3)
  )  # fmt: skip
  key = add('Transpose', key, perm=[0, 1, 3, 2])
  weights = add('Softmax', add('MatMul', query, key), axis=-1)
  y = add('Transpose', add('MatMul', weights, value), perm=[0, 2, 1, 3])
  x = add('Add', x, add('Reshape', y, add.constant([0, 0, 8])))
  y = add('MatMul', x, add.weight(8, 16))  # GELU, spelled out:
  half = add.constant(0.5, np.float32)
  one, root = (add.constant(n, np.float32) for n in (1, 2**0.5))
  erf = add('Add', add('Erf', add('Div', y, root)), one)
  y = add('Mul', add('Mul', y, erf), half)
  return add.model(add('ReduceMean', y, axes=[1]), [batch, 3, 16, 16])


def from_tensorflow(batch: int | str = BATCH) -> onnx.ModelProto:
  """A network with its channels last, transposed around what ONNX computes."""
  add = Builder(7)
  x = add('Transpose', 'image', perm=[0, 3, 1, 2])
  x = add('Conv', x, add.weight(4, 3, 3, 3), auto_pad='SAME_UPPER',
          strides=[2, 2])  # fmt: skip
  x = add('Relu', add('Add', x, add.weight(1, 4, 1, 1)))
  x = add('Transpose', x, perm=[0, 2, 3, 1])
  x = add('Mul', x, add.weight(4))
  x = add('Reshape', x, add.constant([-1, 256]))
  x = add('MatMul', x, add.weight(256, 5))
  return add.model(x, [batch, 16, 16, 3])


NETWORKS: tuple[Callable[..., onnx.ModelProto], ...] = (
  residual,
  plain,
  mobile,
  stylist,
  pyramid,
  attention,
  from_tensorflow,
)
