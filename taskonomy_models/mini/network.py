"""The networks of a mini bank: how encoders start, decoders, frozen form.

What an encoder is built of is in `taskonomy_models.mini.architectures`.
"""

from collections.abc import Callable, Sequence
import math

import numpy as np
import tensorflow as tf

from taskonomy_models.mini.architectures.layers import Positions
from taskonomy_models.mini.tasks import MiniTask

_WITH_KERNEL = (tf.keras.layers.Conv2D, tf.keras.layers.DepthwiseConv2D)


def _up(x, filters: int, name: str):
  """Doubles the resolution by a sub-pixel convolution."""
  x = tf.keras.layers.Conv2D(4 * filters, 3, padding='same', name=name)(x)
  return tf.keras.layers.Lambda(
    lambda t: tf.nn.depth_to_space(t, 2), name=f'{name}_shuffle'
  )(x)


def build_decoder(
  task: MiniTask, grid: Sequence[int], size: int
) -> tf.keras.Model:
  """Returns representations [N, *grid] to what the task asks for.

  Dense tasks give [N, size / 2, size / 2, outputs], the others [N, outputs].

  Args:
    task: What to answer.
    grid: Height, width and channels of the representation.
    size: Side of the pictures.
  """
  inputs = tf.keras.Input(tuple(grid))
  if task.dense:
    doublings = round(math.log2(size / 2 / grid[0]))
    x = tf.keras.layers.Conv2D(64, 3, padding='same', activation='relu')(inputs)
    for number in range(1, doublings):
      x = tf.keras.layers.ReLU()(_up(x, 32, f'up{number}'))
      x = tf.keras.layers.Conv2D(32, 3, padding='same', activation='relu')(x)
    x = _up(x, task.outputs, f'up{doublings}')
  else:
    x = tf.keras.layers.Flatten()(inputs)
    x = tf.keras.layers.Dense(128, activation='relu')(x)
    x = tf.keras.layers.Dense(task.outputs)(x)
  return tf.keras.Model(inputs, x, name='decoder')


def initialise(encoder: tf.keras.Model, seed: int) -> None:
  """Draws the kernels anew from one stream of random numbers.

  Encoders that differ only in the channels of their input get the same
  weights: a one-channel stem takes the sum over the colours.
  """
  rng = np.random.default_rng(seed)
  for layer in encoder.layers:
    if not isinstance(layer, _WITH_KERNEL):
      continue
    height, width, channels, filters = layer.kernel.shape
    drawn = 3 if layer.name == 'stem' else channels
    is_depthwise = isinstance(layer, tf.keras.layers.DepthwiseConv2D)
    fan_in = height * width * (1 if is_depthwise else drawn)
    kernel = rng.normal(0, np.sqrt(2 / fan_in), (height, width, drawn, filters))
    if channels != drawn:
      kernel = kernel.sum(axis=2, keepdims=True)
    layer.kernel.assign(kernel.astype(np.float32))
  for layer in encoder.layers:
    if isinstance(layer, Positions):
      layer.kernel.assign(rng.normal(0, 0.02, layer.kernel.shape))


def half_precision(graph_def: tf.compat.v1.GraphDef) -> None:
  """Stores large float32 constants as float16 followed by a cast, in place."""
  added = []
  half, single = tf.float16.as_datatype_enum, tf.float32.as_datatype_enum
  for node in graph_def.node:
    if node.op != 'Const' or node.attr['dtype'].type != single:
      continue
    value = tf.make_ndarray(node.attr['value'].tensor)
    if value.size < 256:
      continue
    stored = tf.compat.v1.NodeDef(name=f'{node.name}/float16', op='Const')
    stored.attr['dtype'].type = half
    stored.attr['value'].tensor.CopyFrom(
      tf.make_tensor_proto(value.astype(np.float16))
    )
    added.append(stored)
    node.op = 'Cast'
    node.input[:] = [stored.name]
    node.attr.clear()
    node.attr['SrcT'].type, node.attr['DstT'].type = half, single
  graph_def.node.extend(added)


def forward(
  graph_def: tf.compat.v1.GraphDef,
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns the function from inputs to representations of a frozen encoder."""
  function = tf.compat.v1.wrap_function(
    lambda: tf.compat.v1.import_graph_def(graph_def, name=''), []
  ).prune('input:0', ['representation:0'])
  return lambda inputs: function(tf.constant(inputs))[0]


def freeze(encoder: tf.keras.Model, size: int) -> tf.compat.v1.GraphDef:
  """Returns the encoder as a GraphDef from `input:0` to `representation:0`.

  Batch norm uses its moving statistics; weights are stored as float16.
  """
  channels = encoder.input_shape[-1]
  kinds = encoder.trainable_variables, encoder.non_trainable_variables
  weights = [[(v.path, v.numpy()) for v in variables] for variables in kinds]
  with tf.Graph().as_default() as graph:
    images = tf.compat.v1.placeholder(
      tf.float32, (None, size, size, channels), 'input'
    )
    constants = (
      [tf.constant(value, name=path) for path, value in some]
      for some in weights
    )
    units, _ = encoder.stateless_call(*constants, images, training=False)
    tf.identity(units, name='representation')
  graph_def = graph.as_graph_def()
  half_precision(graph_def)
  return graph_def
