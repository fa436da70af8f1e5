"""The encoder of the Taskonomy task bank: its variables, and its graph.

One architecture serves all tasks: TF-Slim's ResNet-v1-50 without pooling and
classifier, of total stride 16, and a 3 x 3 convolution to eight channels. A
picture of 256 x 256 gives 16 x 16 x 8 units, all >= 0.
(StanfordVL/taskonomy, taskbank/lib/models/resnet_v1.py and sample_models.py,
MIT licence; the PyTorch names: alexsax/visual-prior, MIT licence.)

As in Slim, a block's stride is in its last unit: in the 3 x 3 convolution,
padded by one on every side, and in a shortcut that takes every other pixel.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.frozen import FrozenNetwork

INPUT = 'input:0'
REPRESENTATION = 'encoder_output:0'
WEIGHTS_TYPES = ('float32', 'float16')
# Of the variables of one task or another.
PREFIXES = ('', 'feedforward/')

_EPSILON = 1e-5
_REPRESENTATION_CHANNELS = 8
_NORM = {  # Variables by what TensorFlow's operation calls them.
  'scale': 'gamma',
  'offset': 'beta',
  'mean': 'moving_mean',
  'variance': 'moving_variance',
}
_TORCH_NORM = ('weight', 'bias', 'running_mean', 'running_var')
# In which a file may hold the encoder as a part of more.
_TORCH_PREFIXES = ('', 'module.', 'encoder.', 'module.encoder.')


@dataclasses.dataclass(frozen=True)
class Block:
  """Residual units of one width; the stride is that of the last one."""

  width: int
  units: int
  stride: int


BLOCKS = Block(64, 3, 2), Block(128, 4, 2), Block(256, 6, 1), Block(512, 3, 1)


@dataclasses.dataclass(frozen=True)
class Variable:
  """A variable of the encoder.

  Attributes:
    name: In the checkpoint, without the task's prefix.
    shape: There; kernels are [height, width, inputs, outputs].
    torch_name: In the PyTorch release, where kernels are [outputs, inputs,
      height, width].
  """

  name: str
  shape: tuple[int, ...]
  torch_name: str

  @property
  def torch_shape(self) -> tuple[int, ...]:
    if len(self.shape) < 4:
      return self.shape
    height, width, inputs, outputs = self.shape
    return outputs, inputs, height, width


def _layer(
  scope: str, size: int, inputs: int, outputs: int, torch_names: Sequence[str]
) -> Iterator[Variable]:
  """Yields the variables of a convolution without bias and its batch norm."""
  convolution, norm = torch_names
  shape = (size, size, inputs, outputs)
  yield Variable(f'{scope}/weights', shape, f'{convolution}.weight')
  for name, torch_name in zip(_NORM.values(), _TORCH_NORM, strict=True):
    yield Variable(
      f'{scope}/BatchNorm/{name}', (outputs,), f'{norm}.{torch_name}'
    )


def variables(channels: int) -> tuple[Variable, ...]:
  """Returns the variables of an encoder of pictures with so many channels."""
  found = list(_layer('encoder/conv1', 7, channels, 64, ('conv1', 'bn1')))
  inputs = 64
  for b, block in enumerate(BLOCKS, start=1):
    width, outputs = block.width, 4 * block.width
    for u in range(1, block.units + 1):
      scope, torch = _scope(b, u), f'layer{b}.{u - 1}'
      if u == 1:
        names = (f'{torch}.downsample.0', f'{torch}.downsample.1')
        found += _layer(f'{scope}/shortcut', 1, inputs, outputs, names)
      sizes = ((1, inputs, width), (3, width, width), (1, width, outputs))
      for k, (size, source, target) in enumerate(sizes, start=1):
        names = (f'{torch}.conv{k}', f'{torch}.bn{k}')
        found += _layer(f'{scope}/conv{k}', size, source, target, names)
      inputs = outputs
  names = ('compress1', 'compress_bn')
  found += _layer('compress1', 3, inputs, _REPRESENTATION_CHANNELS, names)
  return tuple(found)


def _scope(block: int, unit: int) -> str:
  return f'encoder/block{block}/unit_{unit}/bottleneck_v1'


def from_torch(
  state: Mapping[str, np.ndarray], channels: int, source: str
) -> dict[str, np.ndarray]:
  """Returns weights by the checkpoints' names from those of the PyTorch file.

  Args:
    state: As `torch_files.load_state_dict` returns it; it may hold more.
    channels: Of the input.
    source: For messages.

  Raises:
    GraphError: If a variable is missing or wrong.
  """
  first = variables(channels)[0].torch_name
  prefix = next((p for p in _TORCH_PREFIXES if p + first in state), '')
  weights = {}
  for variable in variables(channels):
    name = prefix + variable.torch_name
    value = _checked(state, name, variable.torch_shape, source)
    is_kernel = len(variable.shape) == 4
    weights[variable.name] = value.transpose(2, 3, 1, 0) if is_kernel else value
  return weights


def _checked(
  arrays: Mapping[str, np.ndarray],
  key: str,
  shape: tuple[int, ...],
  source: str,
  prefix: str = '',
) -> np.ndarray:
  """Returns a variable as float32; in messages it is called prefix + key."""
  where = f'{source}: the variable {prefix + key!r}'
  if key not in arrays:
    raise missing_variable(source, prefix + key, arrays)
  value = np.asarray(arrays[key])
  if value.shape != shape:
    raise GraphError(
      f'{where} has the shape {list(value.shape)}, but {list(shape)} is needed.'
    )
  if not np.issubdtype(value.dtype, np.floating):
    raise GraphError(f'{where} holds {value.dtype}, not floats.')
  with np.errstate(over='ignore'):
    value = value.astype(np.float32)
  if not np.isfinite(value).all():
    raise GraphError(f'{where} holds values that are not finite.')
  if key.endswith(('moving_variance', 'running_var')) and value.min() < 0:
    raise GraphError(f'{where}, a variance, has negative values.')
  return value


def missing_variable(
  source: str, name: str, found: Iterable[str]
) -> GraphError:
  """Returns the error for a variable that is not among those found."""
  found = sorted(found)
  return GraphError(
    f'{source}: the variable {name!r} is missing; is this the encoder of a '
    f'task? It holds {len(found)} variables: {", ".join(found[:5])} ...'
  )


def freeze(
  weights: Mapping[str, np.ndarray],
  channels: int,
  source: str,
  prefix: str = '',
  size: int | None = 256,
  weights_type: str = 'float32',
) -> FrozenNetwork:
  """Returns the encoder as a graph from `input:0` to `encoder_output:0`.

  Args:
    weights: By their names in the checkpoint without prefix; may hold more.
    channels: Of the input, float32 [N, size, size, channels].
    source: Of the weights, for messages.
    prefix: Of the variables' names in the graph.
    size: Side of the pictures; None leaves it open.
    weights_type: Of the stored kernels; float16 halves the file.

  Returns:
    A network whose representation is float32 [N, size / 16, size / 16, 8]. The
    four tasks whose release flattens it (to rows, columns, channels) have the
    same numbers.

  Raises:
    GraphError: If a variable is missing, has another shape, or is not finite.
    ValueError: If an argument is wrong.
  """
  if weights_type not in WEIGHTS_TYPES:
    raise ValueError(f'weights_type must be one of {WEIGHTS_TYPES}.')
  arrays = {
    v.name: _checked(weights, v.name, v.shape, source, prefix)
    for v in variables(channels)
  }
  build = _EncoderBuilder(arrays, prefix, weights_type == 'float16', source)
  with tf.Graph().as_default() as graph:
    images = tf.compat.v1.placeholder(
      tf.float32, (None, size, size, channels), INPUT.split(':')[0]
    )
    tf.identity(build(images), REPRESENTATION.split(':')[0])
  return FrozenNetwork(
    graph.as_graph_def(), (INPUT,), (REPRESENTATION,), source
  )


@dataclasses.dataclass(frozen=True)
class _EncoderBuilder:
  """Adds the encoder to the current graph."""

  arrays: Mapping[str, np.ndarray]
  prefix: str
  half: bool
  source: str

  def __call__(self, images: tf.Tensor) -> tf.Tensor:
    x = self._layer(images, 'encoder/conv1', stride=2)
    x = tf.nn.max_pool2d(x, 3, 2, 'SAME', name=f'{self.prefix}encoder/pool1')
    for b, block in enumerate(BLOCKS, start=1):
      for u in range(1, block.units + 1):
        stride = block.stride if u == block.units else 1
        x = self._unit(x, _scope(b, u), stride)
    return self._layer(x, 'compress1')

  def _unit(self, x: tf.Tensor, scope: str, stride: int) -> tf.Tensor:
    """A bottleneck: the ReLU comes after the sum."""
    shortcut = x
    if f'{scope}/shortcut/weights' in self.arrays:
      shortcut = self._layer(x, f'{scope}/shortcut', relu=False)
    elif stride > 1:
      shortcut = tf.nn.max_pool2d(
        x, 1, stride, 'SAME', name=f'{self.prefix}{scope}/shortcut'
      )
    x = self._layer(x, f'{scope}/conv1')
    x = self._layer(x, f'{scope}/conv2', stride)
    x = self._layer(x, f'{scope}/conv3', relu=False)
    x = tf.add(shortcut, x, name=f'{self.prefix}{scope}/add')
    return tf.nn.relu(x, name=f'{self.prefix}{scope}/Relu')

  def _layer(
    self, x: tf.Tensor, scope: str, stride: int = 1, relu: bool = True
  ) -> tf.Tensor:
    """Convolution, batch norm and ReLU."""
    name = self.prefix + scope
    kernel = self._kernel(f'{scope}/weights')
    padding = 'SAME'
    if stride > 1:  # As many zeros before as after, whatever the size.
      sides = [(kernel.shape[0] - 1) // 2] * 2
      x = tf.pad(x, [[0, 0], sides, sides, [0, 0]], name=f'{name}/Pad')
      padding = 'VALID'
    x = tf.nn.conv2d(x, kernel, stride, padding, name=f'{name}/Conv2D')
    parts = {
      part: self._constant(f'{scope}/BatchNorm/{variable}')
      for part, variable in _NORM.items()
    }
    # tf.compat.v1.nn.fused_batch_norm would raise epsilon to 1.001e-5.
    x = tf.raw_ops.FusedBatchNormV3(
      x=x,
      **parts,
      epsilon=_EPSILON,
      is_training=False,
      name=f'{name}/BatchNorm/FusedBatchNorm',
    ).y
    return tf.nn.relu(x, name=f'{name}/Relu') if relu else x

  def _constant(self, name: str) -> tf.Tensor:
    return tf.constant(self.arrays[name], name=self.prefix + name)

  def _kernel(self, name: str) -> tf.Tensor:
    if not self.half:
      return self._constant(name)
    with np.errstate(over='ignore'):
      stored = self.arrays[name].astype(np.float16)
    if not np.isfinite(stored).all():
      raise GraphError(
        f'{self.source}: the variable {name!r} has values that float16 cannot '
        'hold; store float32.'
      )
    name = self.prefix + name
    return tf.cast(
      tf.constant(stored, name=f'{name}/float16'), tf.float32, name
    )
