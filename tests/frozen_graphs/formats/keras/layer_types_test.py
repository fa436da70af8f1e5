"""Tests of Keras layers as plain operations, against Keras itself."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import layer_types as keras_layer_types
from frozen_graphs.formats.keras import layers as keras_layers
from frozen_graphs.formats.keras.layers import Layer

_IMAGE = (7, 6, 4)

# Class name, options as Keras 2 writes them, shapes of the inputs.
_CASES = (
  ('Conv2D', {'filters': 3, 'kernel_size': [3, 2]}),
  (
    'Conv2D',
    {
      'filters': 6,
      'kernel_size': [3, 3],
      'strides': [2, 2],
      'padding': 'same',
      'activation': 'tanh',
      'use_bias': False,
    },
  ),
  ('Conv2D', {'filters': 4, 'kernel_size': 3, 'dilation_rate': [2, 2]}),
  ('Conv2D', {'filters': 6, 'kernel_size': [1, 1], 'groups': 2}),
  ('Conv2DTranspose', {'filters': 3, 'kernel_size': [3, 3], 'strides': [2, 2]}),
  ('Conv2DTranspose', {'filters': 3, 'kernel_size': [2, 2], 'strides': [3, 3]}),
  (
    'Conv2DTranspose',
    {
      'filters': 2,
      'kernel_size': [4, 4],
      'strides': [2, 2],
      'padding': 'same',
      'activation': 'relu',
    },
  ),
  ('DepthwiseConv2D', {'kernel_size': [3, 3], 'depth_multiplier': 2}),
  (
    'DepthwiseConv2D',
    {
      'kernel_size': [3, 3],
      'strides': [2, 2],
      'padding': 'same',
      'use_bias': False,
    },
  ),
  ('DepthwiseConv2D', {'kernel_size': [3, 3], 'dilation_rate': [2, 2]}),
  (
    'SeparableConv2D',
    {'filters': 5, 'kernel_size': [3, 3], 'padding': 'same', 'strides': [2, 2]},
  ),
  (
    'SeparableConv2D',
    {'filters': 5, 'kernel_size': [3, 3], 'activation': 'relu'},
  ),
  ('Dense', {'units': 3, 'activation': 'sigmoid'}, (5,)),
  ('Dense', {'units': 3, 'use_bias': False}),
  ('BatchNormalization', {'axis': 3, 'epsilon': 0.01}),
  ('BatchNormalization', {'axis': -1, 'scale': False, 'epsilon': 0.001}),
  ('BatchNormalization', {'axis': -1, 'center': False, 'epsilon': 0.001}),
  ('BatchNormalization', {'axis': 1, 'epsilon': 0.01}, (5,)),
  ('ReLU', {}),
  ('ReLU', {'max_value': 6.0}),
  ('ReLU', {'max_value': 1.0, 'negative_slope': 0.1, 'threshold': 0}),
  ('LeakyReLU', {'alpha': 0.1}),
  ('LeakyReLU', {}),
  ('ELU', {'alpha': 1.0}),
  ('PReLU', {}),
  ('PReLU', {'shared_axes': [1, 2]}),
  ('Softmax', {}),
  ('Softmax', {'axis': 1}),
  *(
    ('Activation', {'activation': name})
    for name in (
      'elu',
      'exponential',
      'gelu',
      'linear',
      'mish',
      'relu',
      'relu6',
      'selu',
      'sigmoid',
      'silu',
      'softmax',
      'softplus',
      'softsign',
      'swish',
      'tanh',
    )
  ),
  ('Add', {}, _IMAGE, _IMAGE, _IMAGE),
  ('Subtract', {}, _IMAGE, _IMAGE),
  ('Multiply', {}, _IMAGE, _IMAGE, _IMAGE),
  ('Multiply', {}, _IMAGE, (1, 1, 4)),
  ('Average', {}, _IMAGE, _IMAGE, _IMAGE),
  ('Maximum', {}, _IMAGE, _IMAGE, _IMAGE),
  ('Minimum', {}, _IMAGE, _IMAGE, _IMAGE),
  ('Concatenate', {'axis': 3}, _IMAGE, (7, 6, 2)),
  ('Concatenate', {}, _IMAGE, (7, 6, 2)),
  ('Concatenate', {'axis': 1}, _IMAGE, (2, 6, 4)),
  ('MaxPooling2D', {'pool_size': [3, 2], 'strides': None}),
  (
    'MaxPooling2D',
    {'pool_size': [3, 3], 'strides': [2, 2], 'padding': 'same'},
  ),
  ('AveragePooling2D', {'pool_size': [2, 2]}),
  ('AveragePooling2D', {'pool_size': 3, 'strides': 1, 'padding': 'same'}),
  ('GlobalAveragePooling2D', {}),
  ('GlobalAveragePooling2D', {'keepdims': True}),
  ('GlobalMaxPooling2D', {'keepdims': False}),
  ('ZeroPadding2D', {'padding': [[0, 1], [2, 3]]}),
  ('ZeroPadding2D', {'padding': [1, 2]}),
  ('ZeroPadding2D', {'padding': 2}),
  ('Cropping2D', {'cropping': [[0, 1], [2, 1]]}),
  ('Cropping2D', {'cropping': 1}),
  ('UpSampling2D', {'size': [2, 3], 'interpolation': 'nearest'}),
  ('UpSampling2D', {'size': 2, 'interpolation': 'bilinear'}),
  ('Flatten', {}),
  ('Reshape', {'target_shape': [6, 28]}),
  ('Reshape', {'target_shape': [-1, 4, 2]}),
  ('Permute', {'dims': [3, 1, 2]}),
  ('Rescaling', {'scale': 1 / 127.5, 'offset': -1}),
  ('Rescaling', {'scale': 2.0}),
  *(
    (kind, {'rate': 0.5})
    for kind in (
      'Dropout',
      'SpatialDropout2D',
      'AlphaDropout',
      'GaussianDropout',
    )
  ),
  ('GaussianNoise', {'stddev': 1.0}),
  ('ActivityRegularization', {'l1': 1.0}),
)
# Functions of NumPy, for what Keras does not have or does in another way now.
_FORMULAS = (
  ('Activation', {'activation': 'hard_sigmoid'}, lambda x: _hard_sigmoid(x)),
  ('Activation', {'activation': 'hardSigmoid'}, lambda x: _hard_sigmoid(x)),
  (
    'Activation',
    {'activation': 'gelu_new'},
    lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
  ),
  ('Activation', {'activation': None}, lambda x: x),
  ('BatchNormalization', {'axis': [3]}, None),
  ('MultiplyBeta', {'beta': 0.25}, lambda x: x / 4),
  ('MultiplyBeta', {}, lambda x: x / 5),
  *(
    (f'PixelShuffle{n}x', {'scale': n}, lambda x, n=n: _pixel_shuffle(x, n))
    for n in (2, 3, 4, 8)
  ),
)


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
  return np.clip(0.2 * x + 0.5, 0, 1)


def _pixel_shuffle(x: np.ndarray, n: int) -> np.ndarray:
  """Pixel (i, j) of each n x n block comes from channels at (i * n + j)."""
  batch, height, width, channels = x.shape
  result = np.empty((batch, height * n, width * n, channels // n**2), x.dtype)
  depth = channels // n**2
  for i in range(n):
    for j in range(n):
      start = (i * n + j) * depth
      result[:, i::n, j::n] = x[..., start : start + depth]
  return result


def _values(shapes, seed: int = 0) -> list[np.ndarray]:
  rng = np.random.default_rng(seed)
  return [rng.normal(0, 2, (2, *s)).astype(np.float32) for s in shapes]


def _apply(layer: Layer, inputs, open_sides: bool = False) -> np.ndarray:
  with tf.Graph().as_default():
    placeholders = [
      tf.compat.v1.placeholder(
        tf.float32,
        [None, None, None, *x.shape[3:]]
        if open_sides
        else [None, *x.shape[1:]],
      )
      for x in inputs
    ]
    result = keras_layers.apply(layer, placeholders)
    with tf.compat.v1.Session() as session:
      feeds = dict(zip(placeholders, inputs, strict=True))
      return session.run(result, feeds)


def _keras(kind: str, config: dict, inputs, seed: int = 0):
  """Returns what Keras's layer gives with random weights, and those."""
  layer = getattr(tf.keras.layers, kind)(**config)
  data = inputs if len(inputs) > 1 else inputs[0]
  layer(data)
  rng = np.random.default_rng(seed)
  weights = {}
  for variable in layer.weights:
    value = rng.normal(0, 0.5, variable.shape)
    if variable.name in ('moving_variance', 'gamma'):
      value = rng.uniform(0.5, 2, variable.shape)
    if variable.name != 'seed_generator_state':
      name = 'depthwise_kernel' if kind == 'DepthwiseConv2D' else variable.name
      name = variable.name if variable.name == 'bias' else name  # Of Keras 2.
      weights[name] = value.astype(np.float32)
      variable.assign(value)
  result = layer(data, training=False) if _can_train(kind) else layer(data)
  return np.asarray(result), weights


def _can_train(kind: str) -> bool:
  return kind == 'BatchNormalization' or 'Dropout' in kind or 'Noise' in kind


class KerasTest(parameterized.TestCase):
  @parameterized.parameters(*_CASES)
  def test_layer_is_that_of_keras(self, kind, config, *shapes):
    inputs = _values(shapes or (_IMAGE,))
    renamed = dict(config)
    if 'alpha' in config and kind == 'LeakyReLU':
      renamed['negative_slope'] = renamed.pop('alpha')
    expected, weights = _keras(kind, renamed, inputs)
    layer = Layer('layer', kind, config, weights)
    actual = _apply(layer, inputs)
    self.assertEqual(actual.shape, expected.shape)
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)
    self.assertEqual(layer.used, set(weights))

  @parameterized.parameters(
    *(
      case
      for case in _CASES
      if case[0].endswith('2D') or case[0].startswith('Conv2D')
    )
  )
  def test_height_and_width_may_be_open(self, kind, config, *shapes):
    inputs = _values(shapes or (_IMAGE,))
    expected, weights = _keras(kind, config, inputs)
    layer = Layer('layer', kind, config, weights)
    np.testing.assert_allclose(
      _apply(layer, inputs, open_sides=True), expected, 1e-4, 1e-5
    )

  @parameterized.parameters(*(case for case in _FORMULAS if case[2]))
  def test_layer_is_the_formula_written_out(self, kind, config, formula):
    (x,) = _values([(3, 2, 192 if kind[:5] == 'Pixel' else 128)])
    if kind == 'PixelShuffle3x':
      x = x[..., :54]
    layer = Layer('layer', kind, config)
    np.testing.assert_allclose(_apply(layer, [x]), formula(x), 1e-4, 1e-5)

  def test_an_axis_may_be_written_as_a_list(self):
    inputs = _values([_IMAGE])
    expected, weights = _keras('BatchNormalization', {'axis': 3}, inputs)
    layer = Layer('layer', 'BatchNormalization', {'axis': [3]}, weights)
    np.testing.assert_allclose(_apply(layer, inputs), expected, 1e-4, 1e-5)

  @parameterized.parameters('Flatten', 'Reshape')
  def test_what_depends_on_an_open_size_is_reshaped(self, kind):
    (x,) = _values([(3, 2, 4)])
    layer = Layer('layer', kind, {'target_shape': [-1, 8]})
    expected = x.reshape(2, -1) if kind == 'Flatten' else x.reshape(2, -1, 8)
    actual = _apply(layer, [x], open_sides=True)
    np.testing.assert_array_equal(actual, expected)

  def test_every_layer_and_activation_is_tested(self):
    tested = {case[0] for case in (*_CASES, *_FORMULAS)}
    self.assertEqual(tested, set(keras_layers.kinds()))
    tested = {
      case[1]['activation']
      for case in (*_CASES, *_FORMULAS)
      if case[0] == 'Activation' and case[1]['activation']
    }
    self.assertEqual(tested, set(keras_layer_types.activations()))


class RefusalTest(parameterized.TestCase):
  def refuses(self, layer: Layer, *fragments: str, count: int = 1) -> None:
    with self.assertRaises(GraphError) as context:
      _apply(layer, _values([_IMAGE] * count))
    for fragment in (repr(layer.name), layer.kind, *fragments):
      self.assertIn(fragment, str(context.exception))

  @parameterized.parameters(
    ('Activation', {'activation': 'swirl'}, "'swirl'"),
    ('Activation', {'activation': {'class_name': 'f'}}, 'class_name'),
    ('MaxPooling2D', {'pool_size': [2, 2, 2]}, 'pool_size=[2, 2, 2]'),
    ('MaxPooling2D', {'pool_size': [2, 'a']}, "pool_size=[2, 'a']"),
    ('MaxPooling2D', {'pool_size': 2, 'padding': 'causal'}, 'causal'),
    ('ReLU', {'threshold': 0.5}, 'threshold=0.5'),
    ('ELU', {'alpha': 0.5}, 'alpha=0.5'),
    ('UpSampling2D', {'size': 2, 'interpolation': 'area'}, 'area'),
    ('ZeroPadding2D', {'padding': [[1], [2]]}, 'padding=[[1], [2]]'),
    ('ZeroPadding2D', {'padding': [-1, 2]}, 'padding=[-1, 2]'),
    ('ZeroPadding2D', {'padding': '1'}, "padding='1'"),
    ('Reshape', {'target_shape': [5]}, 'cannot be built'),
    ('Reshape', {'target_shape': [0, -1]}, 'cannot be built'),
    ('Reshape', {'target_shape': [-1, 5]}, 'cannot be built'),
    ('Reshape', {'target_shape': [-1, -1]}, 'cannot be built'),
    ('Reshape', {}, 'target_shape'),
    ('Permute', {'dims': [1, 1, 1]}, 'dims=[1, 1, 1]'),
    ('Rescaling', {'scale': 'a'}, 'cannot be built'),
    ('PixelShuffle2x', {'scale': 3}, 'scale=3'),
    ('Conv2D', {}, "'kernel'"),
  )
  def test_what_is_not_known(self, kind, config, fragment):
    self.refuses(Layer('mine', kind, config), fragment)

  def test_two_inputs_are_subtracted_and_no_more(self):
    self.refuses(Layer('mine', 'Subtract', {}), 'cannot be built', count=3)

  def test_weight_of_the_wrong_shape(self):
    weights = {'kernel': np.zeros((5, 3), np.float32)}
    config = {'units': 3, 'use_bias': False}
    self.refuses(Layer('mine', 'Dense', config, weights), 'cannot be built')

  @parameterized.parameters(1, 4)
  def test_groups_that_do_not_fit_the_weights(self, groups):
    weights = {'kernel': np.zeros((1, 1, 2, 4), np.float32)}
    config = {'use_bias': False, 'groups': groups}
    self.refuses(Layer('mine', 'Conv2D', config, weights), f'{groups} groups')

  @parameterized.parameters(([1, 2],), (1,), (None,))
  def test_normalization_of_an_axis_that_is_not_the_last(self, axis):
    layer = Layer('mine', 'BatchNormalization', {'axis': axis})
    self.refuses(layer, f'axis={axis}')


if __name__ == '__main__':
  absltest.main()
