"""A slow network in NumPy, in which every layer is an explicit matrix.

The oracle of the attribution tests: it shares no code and no method with
`attribution`. Layers act on one flattened image in float64.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tests import testing


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_erf = np.vectorize(math.erf, otypes=[float])
_phi = lambda z: np.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # noqa: E731
_Phi = lambda z: (1 + _erf(z / math.sqrt(2))) / 2  # noqa: E731

# f and its derivative, written out.
FUNCTIONS = {
  'relu': (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
  'relu6': (lambda z: np.clip(z, 0, 6), lambda z: ((z > 0) & (z < 6)) * 1.0),
  'leaky_relu': (
    lambda z: np.where(z > 0, z, 0.2 * z),
    lambda z: np.where(z > 0, 1, 0.2),
  ),
  'elu': (
    lambda z: np.where(z > 0, z, np.exp(z) - 1),
    lambda z: np.where(z > 0, 1, np.exp(z)),
  ),
  'selu': (
    lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * (np.exp(z) - 1)),
    lambda z: _SELU_SCALE * np.where(z > 0, 1, _SELU_ALPHA * np.exp(z)),
  ),
  'sigmoid': (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
  'tanh': (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
  'softplus': (lambda z: np.log(1 + np.exp(z)), _sigmoid),
  'softsign': (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0),
  'silu': (
    lambda z: z * _sigmoid(z),
    lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
  ),
  'gelu': (lambda z: z * _Phi(z), lambda z: _Phi(z) + z * _phi(z)),
}


@dataclasses.dataclass(frozen=True)
class Layer:
  """One layer; `inputs` are positions of earlier layers, -1 is the image."""

  kind: str
  inputs: tuple[int, ...]
  shape: tuple[int, ...]  # Of the layer's output.
  kernel: np.ndarray | None = None
  bias: np.ndarray | None = None
  stride: int = 1
  activation: str = ''


def conv_matrix(shape, kernel, stride) -> np.ndarray:
  """Returns the matrix of a convolution with TensorFlow's SAME padding."""
  height, width, channels = shape
  size, _, _, filters = kernel.shape
  out_h, out_w = -(-height // stride), -(-width // stride)
  pad_h = max(0, (out_h - 1) * stride + size - height) // 2
  pad_w = max(0, (out_w - 1) * stride + size - width) // 2
  matrix = np.zeros((out_h, out_w, filters, height, width, channels))
  for y in range(out_h):
    for x in range(out_w):
      for dy in range(size):
        for dx in range(size):
          row, column = y * stride + dy - pad_h, x * stride + dx - pad_w
          if 0 <= row < height and 0 <= column < width:
            matrix[y, x, :, row, column, :] = kernel[dy, dx].T
  return matrix.reshape(out_h * out_w * filters, -1)


def max_pool_matrix(values: np.ndarray) -> np.ndarray:
  """Returns the 0/1 matrix that picks the maxima of 2 x 2 windows."""
  height, width, channels = values.shape
  index = np.arange(values.size).reshape(values.shape)
  matrix = np.zeros((height // 2, width // 2, channels, values.size))
  for y in range(height // 2):
    for x in range(width // 2):
      for c in range(channels):
        window = np.s_[2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c]
        winner = index[window].ravel()[values[window].argmax()]
        matrix[y, x, c, winner] = 1
  return matrix.reshape(-1, values.size)


class Network:
  """Layers that are read as a directed graph; the last is the representation.

  Attributes:
    layers: The layers.
    shape: (height, width, channels) of an image.
  """

  def __init__(self, layers: Sequence[Layer], shape: tuple[int, int, int]):
    self.layers = tuple(layers)
    self.shape = shape

  def tensorflow(self, x: tf.Tensor) -> tf.Tensor:
    """Returns the representation of x [N, h, w, c], as one would write it."""
    values = {-1: x}
    for number, layer in enumerate(self.layers):
      values[number] = _tensorflow(layer, *(values[i] for i in layer.inputs))
    return values[len(self.layers) - 1]

  def freeze(self) -> tf.compat.v1.GraphDef:
    return testing.freeze(self.tensorflow, self.shape[0], self.shape[2])

  def _input_shape(self, layer: Layer) -> tuple[int, ...]:
    first = layer.inputs[0]
    return self.shape if first < 0 else self.layers[first].shape

  def _affine(self, layer: Layer, value: np.ndarray):
    """Returns (matrix, bias) of a layer that is no activation."""
    shape = self._input_shape(layer)
    if layer.kind == 'conv':
      matrix = conv_matrix(shape, layer.kernel, layer.stride)
      return matrix, np.resize(layer.bias, len(matrix))
    if layer.kind == 'dense':
      return layer.kernel.T, layer.bias
    if layer.kind == 'batch_norm':
      scale = layer.kernel / np.sqrt(1 + layer.bias**2 + 1e-3)
      offset = layer.bias - scale * 0.1 * layer.bias
      size = math.prod(shape)
      return np.diag(np.resize(scale, size)), np.resize(offset, size)
    if layer.kind == 'max_pool':
      matrix = max_pool_matrix(value.reshape(shape))
      return matrix, np.zeros(len(matrix))
    return np.eye(value.size), np.zeros(
      value.size
    )  # Add: each branch as it is.

  def forward(self, image: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the flat output of every layer for one image."""
    values = {-1: np.asarray(image, np.float64).ravel()}
    for number, layer in enumerate(self.layers):
      first = values[layer.inputs[0]]
      if layer.kind == 'activation':
        values[number] = FUNCTIONS[layer.activation][0](first)
      elif layer.kind == 'add':
        values[number] = first + values[layer.inputs[1]]
      else:
        matrix, bias = self._affine(layer, first)
        values[number] = matrix @ first + bias
    return values

  def gradient(
    self, image: np.ndarray, epsilon: float | None = None
  ) -> np.ndarray:
    """Returns d(mean over units)/d(image), or the modified chain rule's.

    Args:
      image: [h, w, c].
      epsilon: If given, f'(z) is replaced by f(z) / (z + epsilon sign(z)).
    """
    values = self.forward(image)
    last = len(self.layers) - 1
    gradients = {k: np.zeros(v.size) for k, v in values.items()}
    gradients[last] += 1 / values[last].size
    for number in range(last, -1, -1):
      layer = self.layers[number]
      first = values[layer.inputs[0]]
      if layer.kind == 'activation':
        f, derivative = FUNCTIONS[layer.activation]
        factor = (
          derivative(first)
          if epsilon is None
          else (f(first) / (first + epsilon * np.where(first >= 0, 1, -1)))
        )
        gradients[layer.inputs[0]] += factor * gradients[number]
      else:
        matrix, _ = self._affine(layer, first)
        for position in layer.inputs:
          gradients[position] += matrix.T @ gradients[number]
    return gradients[-1].reshape(image.shape)

  def relevance(self, image: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns the image's relevance by redistribution, layer by layer.

    Where z = sum_j w_j x_j + b enters an activation of relevance R, x_j gets
    w_j x_j R / (z + epsilon sign(z)). A representation that is no activation
    hands on w_j x_j of its units. All relevance of the representation is its
    units' values, divided by their number.
    """
    values = self.forward(image)
    relevance = {k: np.zeros(v.size) for k, v in values.items()}
    last = len(self.layers) - 1

    def hand_on(number: int, share: np.ndarray) -> None:
      """Gives `share` (relevance per value) of each value to its summands."""
      if number < 0 or self.layers[number].kind == 'activation':
        relevance[number] += values[number] * share
        return
      layer = self.layers[number]
      matrix, _ = self._affine(layer, values[layer.inputs[0]])
      for position in layer.inputs:
        hand_on(position, matrix.T @ share)

    hand_on(last, np.full(values[last].size, 1 / values[last].size))
    for number in range(last, -1, -1):
      layer = self.layers[number]
      if layer.kind == 'activation':
        z = values[layer.inputs[0]]
        share = relevance[number] / (z + epsilon * np.where(z >= 0, 1, -1))
        hand_on(layer.inputs[0], share)
    return relevance[-1].reshape(image.shape)

  def margin(self, image: np.ndarray) -> float:
    """Returns the smallest |z| of all activations."""
    values = self.forward(image)
    return min(
      np.abs(values[layer.inputs[0]]).min()
      for layer in self.layers
      if layer.kind == 'activation'
    )


def _tensorflow(layer: Layer, x: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
  if layer.kind == 'activation':
    return testing.activation_layer(layer.activation)(x)
  if layer.kind == 'add':
    return x + others[0]
  if layer.kind == 'max_pool':
    return tf.nn.max_pool2d(x, 2, 2, 'VALID')
  kernel, bias = _constant(layer.kernel), _constant(layer.bias)
  if layer.kind == 'conv':
    x = tf.nn.conv2d(x, kernel, layer.stride, 'SAME')
    return tf.nn.bias_add(x, bias)
  if layer.kind == 'dense':
    return tf.reshape(x, [-1, layer.kernel.shape[0]]) @ kernel + bias
  return tf.compat.v1.nn.fused_batch_norm(
    x,
    kernel,
    bias,
    mean=_constant(0.1 * layer.bias),
    variance=_constant(1 + layer.bias**2),
    epsilon=1e-3,
    is_training=False,
  )[0]


def _constant(values: np.ndarray) -> tf.Tensor:
  return tf.constant(values, tf.float32)


class Builder:
  """Appends layers with random weights; methods return positions."""

  def __init__(self, shape: tuple[int, int, int], seed: int):
    self._rng = np.random.default_rng(seed)
    self._shape = shape
    self._layers: list[Layer] = []

  def _add(self, kind, inputs, shape, **fields) -> int:
    self._layers.append(Layer(kind, inputs, shape, **fields))
    return len(self._layers) - 1

  def _shape_of(self, position: int) -> tuple[int, ...]:
    return self._shape if position < 0 else self._layers[position].shape

  def conv(self, source: int, filters: int, stride: int = 1) -> int:
    height, width, channels = self._shape_of(source)
    spread = 1.5 / math.sqrt(9 * channels)
    return self._add(
      'conv',
      (source,),
      (-(-height // stride), -(-width // stride), filters),
      kernel=self._float32(spread, (3, 3, channels, filters)),
      bias=self._float32(0.3, filters),
      stride=stride,
    )

  def dense(self, source: int, units: int) -> int:
    size = math.prod(self._shape_of(source))
    return self._add(
      'dense',
      (source,),
      (units,),
      kernel=self._float32(1.5 / math.sqrt(size), (size, units)),
      bias=self._float32(0.3, units),
    )

  def batch_norm(self, source: int) -> int:
    shape = self._shape_of(source)
    return self._add(
      'batch_norm',
      (source,),
      shape,
      kernel=1 + self._float32(0.2, shape[2]),
      bias=self._float32(0.3, shape[2]),
    )

  def activation(self, source: int, name: str) -> int:
    shape = self._shape_of(source)
    return self._add('activation', (source,), shape, activation=name)

  def add(self, one: int, other: int) -> int:
    return self._add('add', (one, other), self._shape_of(one))

  def max_pool(self, source: int) -> int:
    height, width, channels = self._shape_of(source)
    return self._add('max_pool', (source,), (height // 2, width // 2, channels))

  def _float32(self, spread: float, shape) -> np.ndarray:
    values = self._rng.normal(0, spread, shape)
    return values.astype(np.float32).astype(np.float64)

  def network(self) -> Network:
    return Network(self._layers, self._shape)


def random_network(
  seed: int, activations: Sequence[str], shape=(6, 6, 2)
) -> Network:
  """Returns a network of convolutions and dense layers, with what lies between.

  Each activation is chosen at random from `activations`.
  """
  rng = np.random.default_rng(seed)
  build = Builder(shape, seed)
  x = -1
  for _ in range(rng.integers(1, 4)):
    x = build.conv(x, int(rng.integers(2, 5)), int(rng.integers(1, 3)))
    if rng.random() < 0.5:
      x = build.batch_norm(x)
    x = build.activation(x, rng.choice(activations))
    if rng.random() < 0.4:
      branch = build.conv(x, build.network().layers[x].shape[2])
      x = build.add(x, build.activation(branch, rng.choice(activations)))
    if rng.random() < 0.3 and build.network().layers[x].shape[0] >= 2:
      x = build.max_pool(x)
  for _ in range(rng.integers(0, 3)):
    x = build.activation(build.dense(x, 5), rng.choice(activations))
  if rng.random() < 0.5:
    x = build.dense(x, 4)
  return build.network()
