"""The networks of the mini bank: one small encoder, decoders by kind of task.

The encoder is a residual network (He et al., CVPR 2016) with batch norm and
ReLU that ends, like Taskonomy's, in a 3 x 3 convolution to eight channels
with batch norm and ReLU: 64 x 64 pictures give 8 x 8 x 8 units.
"""

import numpy as np
import tensorflow as tf

from taskonomy_models.mini.tasks import MiniTask

REPRESENTATION_CHANNELS = 8
STRIDE = 8


def _conv(filters: int, size: int, stride: int, name: str):
  return tf.keras.layers.Conv2D(
    filters,
    size,
    strides=stride,
    padding='same',
    use_bias=False,
    kernel_initializer='he_normal',
    name=name,
  )


def _norm(name: str):
  return tf.keras.layers.BatchNormalization(
    momentum=0.95, epsilon=1e-5, name=name
  )


def _unit(x, filters: int, stride: int, name: str):
  """A post-activation residual unit of two 3 x 3 convolutions."""
  shortcut = x
  if stride > 1 or x.shape[-1] != filters:
    shortcut = _conv(filters, 1, stride, f'{name}_shortcut')(x)
    shortcut = _norm(f'{name}_shortcut_norm')(shortcut)
  y = _conv(filters, 3, stride, f'{name}_conv1')(x)
  y = tf.keras.layers.ReLU(name=f'{name}_relu1')(_norm(f'{name}_norm1')(y))
  y = _norm(f'{name}_norm2')(_conv(filters, 3, 1, f'{name}_conv2')(y))
  return tf.keras.layers.ReLU(name=f'{name}_relu2')(
    tf.keras.layers.Add(name=f'{name}_add')([y, shortcut])
  )


def build_encoder(channels: int, size: int | None = None) -> tf.keras.Model:
  """Returns pictures [N, S, S, channels] to units [N, S/8, S/8, 8], all >= 0.

  Args:
    channels: Of the input, 3 or 1.
    size: Side of the input; None leaves it open.
  """
  inputs = tf.keras.Input((size, size, channels), name='input')
  x = _conv(16, 5, 2, 'stem')(inputs)
  x = tf.keras.layers.ReLU(name='stem_relu')(_norm('stem_norm')(x))
  for number, (filters, stride) in enumerate(
    [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1)]
  ):
    x = _unit(x, filters, stride, f'unit{number}')
  x = _conv(REPRESENTATION_CHANNELS, 3, 1, 'compress')(x)
  x = tf.keras.layers.ReLU(name='compress_relu')(_norm('compress_norm')(x))
  return tf.keras.Model(inputs, x, name='encoder')


def _up(x, filters: int, name: str):
  """Doubles the resolution by a sub-pixel convolution."""
  x = tf.keras.layers.Conv2D(4 * filters, 3, padding='same', name=name)(x)
  return tf.keras.layers.Lambda(
    lambda t: tf.nn.depth_to_space(t, 2), name=f'{name}_shuffle'
  )(x)


def build_decoder(task: MiniTask, side: int) -> tf.keras.Model:
  """Returns representations [N, side, side, 8] to what the task asks for.

  Dense tasks give [N, 4 * side, 4 * side, outputs], the others [N, outputs].
  """
  inputs = tf.keras.Input((side, side, REPRESENTATION_CHANNELS))
  if task.dense:
    x = tf.keras.layers.Conv2D(64, 3, padding='same', activation='relu')(inputs)
    x = tf.keras.layers.ReLU()(_up(x, 32, 'up1'))
    x = tf.keras.layers.Conv2D(32, 3, padding='same', activation='relu')(x)
    x = _up(x, task.outputs, 'up2')
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
    if not isinstance(layer, tf.keras.layers.Conv2D):
      continue
    height, width, channels, filters = layer.kernel.shape
    drawn = 3 if layer.name == 'stem' else channels
    scale = np.sqrt(2 / (height * width * drawn))
    kernel = rng.normal(0, scale, (height, width, drawn, filters))
    if channels != drawn:
      kernel = kernel.sum(axis=2, keepdims=True)
    layer.kernel.assign(kernel.astype(np.float32))


def _half_precision(graph_def: tf.compat.v1.GraphDef) -> None:
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
  _half_precision(graph_def)
  return graph_def
