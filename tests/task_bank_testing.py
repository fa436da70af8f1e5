"""The task bank's encoder written once more, with random weights.

Written as TensorFlow 1's models were, with variable scopes; it shares no code
with `taskonomy_models`.
"""

from collections.abc import Callable, Sequence
import os

import numpy as np
import tensorflow as tf

# (width, units, stride) of each block: as in the release, and a small one.
BLOCKS = ((64, 3, 2), (128, 4, 2), (256, 6, 1), (512, 3, 1))
SMALL_BLOCKS = ((4, 2, 2), (6, 2, 2), (4, 1, 1))


def slim_encoder(
  images: tf.Tensor,
  blocks: Sequence[tuple[int, int, int]],
  norm: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
  """The encoder as one would write it with TensorFlow 1's variable scopes.

  Args:
    images: [N, H, W, channels].
    blocks: (width, units, stride) of each.
    norm: Batch norm in the current scope.
  """
  v1 = tf.compat.v1

  def conv(x, outputs, size, scope, stride=1, relu=True):
    with v1.variable_scope(scope):
      shape = (size, size, x.shape[-1], outputs)
      weights = v1.get_variable('weights', shape)
      if stride == 1:
        x = tf.nn.conv2d(x, weights, 1, 'SAME')
      else:
        side = [size // 2, size // 2]
        x = tf.pad(x, [[0, 0], side, side, [0, 0]])
        x = tf.nn.conv2d(x, weights, stride, 'VALID')
      with v1.variable_scope('BatchNorm'):
        x = norm(x)
    return tf.nn.relu(x) if relu else x

  def bottleneck(x, width, stride):
    with v1.variable_scope('bottleneck_v1'):
      if x.shape[-1] != 4 * width:
        shortcut = conv(x, 4 * width, 1, 'shortcut', stride, relu=False)
      else:
        shortcut = x[:, ::stride, ::stride]
      x = conv(x, width, 1, 'conv1')
      x = conv(x, width, 3, 'conv2', stride)
      return tf.nn.relu(shortcut + conv(x, 4 * width, 1, 'conv3', relu=False))

  with v1.variable_scope('encoder'):
    x = conv(images, 64, 7, 'conv1', 2)
    x = tf.nn.max_pool2d(x, 3, 2, 'SAME')
    for b, (width, units, stride) in enumerate(blocks, start=1):
      for u in range(1, units + 1):
        with v1.variable_scope(f'block{b}/unit_{u}'):
          x = bottleneck(x, width, stride if u == units else 1)
  return conv(x, 8, 3, 'compress1')


def _norm_variables(x: tf.Tensor) -> list[tf.Variable]:
  names = ('gamma', 'beta', 'moving_mean', 'moving_variance')
  return [tf.compat.v1.get_variable(name, x.shape[-1:]) for name in names]


class SlimModel:
  """A model of TensorFlow 1 with random weights, and what training leaves.

  Batch norm's statistics are those of the images that it is made with, somewhat
  disturbed; so no layer is dead, and none explodes.
  """

  def __init__(
    self,
    images: np.ndarray,
    blocks: Sequence[tuple[int, int, int]],
    prefix: str = '',
    seed: int = 0,
  ):
    v1 = tf.compat.v1
    moments = []

    def measure(x):
      gamma, beta, *_ = _norm_variables(x)
      moments.append(tf.nn.moments(x, [0, 1, 2]))
      return tf.nn.batch_normalization(x, *moments[-1], beta, gamma, 1e-5)

    def norm(x):
      gamma, beta, mean, variance = _norm_variables(x)
      return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)

    with tf.Graph().as_default() as graph:
      self._images = v1.placeholder(
        tf.float32, [None, None, None, images.shape[-1]]
      )
      for function in (measure, norm):
        scope = prefix.rstrip('/') or v1.get_variable_scope()
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
          self._units = slim_encoder(self._images, blocks, function)
      encoder = v1.global_variables()
      _add_junk(prefix)
      self._saver = v1.train.Saver()
      start = v1.global_variables_initializer()
    self._session = v1.Session(graph=graph)
    self._session.run(start)
    self.variables = _random_values(encoder, np.random.default_rng(seed))
    self._assign(encoder)
    feed = {self._images: images}
    statistics = np.random.default_rng(seed + 1)
    for (mean, variance), norm in zip(
      self._session.run(moments, feed),
      [n[: -len('gamma')] for n in self.variables if n.endswith('/gamma')],
      strict=True,
    ):
      noise = statistics.normal(0, 0.2, mean.shape)
      self.variables[f'{norm}moving_mean'] = mean + noise * np.sqrt(variance)
      noise = statistics.uniform(0.7, 1.4, mean.shape)
      self.variables[f'{norm}moving_variance'] = variance * noise
    self._assign(encoder)

  def _assign(self, variables: Sequence[tf.Variable]) -> None:
    operations = {v.op.name: v.initializer for v in variables}
    values = {
      operation.inputs[1]: self.variables[name].astype(np.float32)
      for name, operation in operations.items()
    }
    self._session.run(list(operations.values()), values)

  def __call__(self, images: np.ndarray) -> np.ndarray:
    """Returns the units."""
    return self._session.run(self._units, {self._images: images})

  def save(self, path: str | os.PathLike) -> None:
    """Writes a checkpoint with all variables, path being its prefix."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with self._session.graph.as_default():
      self._saver.save(
        self._session, str(path), write_state=False, write_meta_graph=False
      )


def _random_values(
  variables: Sequence[tf.Variable], rng: np.random.Generator
) -> dict[str, np.ndarray]:
  values = {}
  for variable in variables:
    name, shape = variable.op.name, variable.shape.as_list()
    if name.endswith('weights'):
      scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))
      values[name] = scale * rng.standard_normal(shape, np.float32)
    elif name.endswith('beta'):
      values[name] = rng.normal(0, 0.3, shape)
    else:
      values[name] = rng.uniform(0.5, 1.5, shape)
  return values


def _add_junk(prefix: str) -> None:
  """Adds variables of the decoder and of training."""
  v1 = tf.compat.v1
  for name, shape in (
    (f'{prefix}decoder/conv2/weights', (3, 3, 8, 4)),
    (f'{prefix}decoder/conv2/BatchNorm/gamma', (4,)),
    ('discriminator/conv1/weights', (1, 1, 3, 2)),
    ('beta1_power', (1,)),
    (f'{prefix}encoder/conv1/weights/Adam', (7, 7, 3, 64)),
    (f'{prefix}encoder/conv1/weights/Adam_1', (7, 7, 3, 64)),
  ):
    v1.get_variable(name, shape)
  v1.train.create_global_step()


def run(
  graph_def: tf.compat.v1.GraphDef, images: np.ndarray, *fetches: str
) -> list[np.ndarray]:
  """Returns tensors of a frozen graph, and the gradient of the last's sum."""
  with tf.Graph().as_default() as graph:
    tf.graph_util.import_graph_def(graph_def, name='')
    source = graph.get_tensor_by_name('input:0')
    tensors = [graph.get_tensor_by_name(name) for name in fetches]
    gradient = tf.gradients(tensors[-1], source)
    with tf.compat.v1.Session() as session:
      return session.run(tensors + gradient, {source: images})


def in_double_precision(
  graph_def: tf.compat.v1.GraphDef,
) -> tf.compat.v1.GraphDef:
  """Returns a frozen float32 graph that computes in float64.

  Batch norm, which TensorFlow lacks in float64, is written out.
  """
  single, double = (t.as_datatype_enum for t in (tf.float32, tf.float64))
  result = tf.compat.v1.GraphDef()
  for node in graph_def.node:
    if node.op == 'FusedBatchNormV3':
      _write_out_batch_norm(node, result)
      continue
    copy = result.node.add()
    copy.CopyFrom(node)
    for value in copy.attr.values():
      if value.type == single:
        value.type = double
    if node.op == 'Const' and node.attr['dtype'].type == single:
      array = tf.make_ndarray(node.attr['value'].tensor).astype(np.float64)
      copy.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(array))
  return result


def _write_out_batch_norm(node, graph_def) -> None:
  x, gamma, beta, mean, variance = node.input
  epsilon = np.float64(node.attr['epsilon'].f)

  def add(name: str, op: str, *inputs: str) -> str:
    new = graph_def.node.add(name=name, op=op, input=inputs)
    new.attr['T'].type = tf.float64.as_datatype_enum
    return name

  constant = graph_def.node.add(name=f'{node.name}/epsilon', op='Const')
  constant.attr['dtype'].type = tf.float64.as_datatype_enum
  constant.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(epsilon))
  variance = add(f'{node.name}/sum', 'AddV2', variance, constant.name)
  scale = add(f'{node.name}/rsqrt', 'Rsqrt', variance)
  scale = add(f'{node.name}/scale', 'Mul', scale, gamma)
  centred = add(f'{node.name}/centred', 'Sub', x, mean)
  scaled = add(f'{node.name}/scaled', 'Mul', centred, scale)
  add(node.name, 'AddV2', scaled, beta)
