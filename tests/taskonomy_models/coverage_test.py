"""Tests of what each operation of real graphs does in every method."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods
from attribution.explainer import Explainer
from frozen_graphs import operations
from frozen_graphs.errors import GraphError, UnsupportedOpError
from tests import testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}


def _numbers(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


_KERNEL, _MATRIX = _numbers(3, 3, 3, 2), _numbers(3, 3)
_BOXES = np.array([[0.1, 0.2, 0.8, 0.9], [0, 0.1, 0.5, 1]], np.float32)


def _half_size(x):
  """Returns a size as detectors and matting networks compute it."""
  sides = tf.cast(tf.shape(x)[1:3], tf.float32) * 0.5
  return tf.cast(tf.math.ceil(sides), tf.int32)


def _resize(op):
  return lambda x: op(images=x, size=_half_size(x))


# Linear (or affine) functions of images [2, 8, 8, 3], by what they are for.
LINEAR = {
  'add': lambda x: tf.add_n([x, x[:, ::-1], -x]) + 1.0,
  'sub': lambda x: 3.0 - x,
  'bias': lambda x: tf.nn.bias_add(x, tf.constant([1.0, 2.0, 3.0])),
  'concat_split': lambda x: tf.concat(tf.split(x, [1, 2], 3)[::-1], 3),
  'pack_unpack': lambda x: tf.stack(tf.unstack(x, axis=1)[::2], 1),
  'slice': lambda x: tf.slice(x, [0, 1, 2, 0], [-1, 4, 3, 2]),
  'strided_slice': lambda x: x[:, ::2, 1:-1, tf.newaxis],
  'reshape': lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 6]),
  'squeeze': lambda x: tf.squeeze(tf.expand_dims(x, 2), [2]),
  'transpose': lambda x: tf.transpose(x, [0, 3, 1, 2]),
  'pad': lambda x: tf.pad(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]),
                          [[0, 0], [1, 2], [0, 1], [0, 0]], 'REFLECT'),
  'tile': lambda x: tf.tile(x, [1, 2, 1, 1]),
  'broadcast': lambda x: tf.broadcast_to(x[:, :1], tf.shape(x)),
  'reverse_roll': lambda x: tf.roll(tf.reverse(x, [1]), 2, 2),
  'average_pool': lambda x: tf.nn.avg_pool2d(x, 3, 2, 'SAME'),
  'mean_sum': lambda x: tf.reduce_mean(x, [1]) + tf.reduce_sum(x, [2]),
  'cumsum': lambda x: tf.cumsum(x, 2, exclusive=True, reverse=True),
  'bilinear': lambda x: tf.compat.v1.image.resize_bilinear(
    x, _half_size(x), align_corners=True
  ),
  'bilinear_half_pixel': lambda x: tf.image.resize(x, _half_size(x)),
  'nearest': lambda x: tf.raw_ops.ResizeNearestNeighbor(
    images=x, size=_half_size(x), half_pixel_centers=True
  ),
  'bicubic': _resize(tf.raw_ops.ResizeBicubic),
  'antialias': lambda x: tf.image.resize(x, [5, 5], antialias=True),
  'crop_and_resize': lambda x: tf.image.crop_and_resize(
    x, _BOXES, [0, 1], [4, 4]
  ),
  'space_to_depth': lambda x: tf.nn.depth_to_space(
    tf.tile(tf.nn.space_to_depth(x, 2), [1, 1, 1, 4]), 4
  ),
  'space_to_batch': lambda x: tf.batch_to_space(
    tf.space_to_batch(x, [2, 4], [[1, 1], [0, 0]]), [2, 4], [[1, 1], [0, 0]]
  ),
  'patches': lambda x: tf.image.extract_patches(
    x, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], 'SAME'
  ),
  'cast': lambda x: tf.cast(tf.cast(x, tf.float64) * 2, tf.float32),
  'half': lambda x: tf.cast(2 * tf.cast(x, tf.bfloat16), tf.float32),
  'conv': lambda x: tf.nn.conv2d(x, _KERNEL, [1, 2, 1, 1], 'SAME'),
  'conv_transpose': lambda x: tf.nn.conv2d_transpose(
    x, _numbers(3, 3, 2, 3), [tf.shape(x)[0], 16, 16, 2], 2
  ),
  'depthwise': lambda x: tf.nn.depthwise_conv2d(x, _KERNEL, [1] * 4, 'VALID'),
  'separable': lambda x: tf.nn.separable_conv2d(
    x, _KERNEL, _numbers(1, 1, 6, 4), [1, 2, 2, 1], 'SAME'
  ),
  'conv3d': lambda x: tf.nn.conv3d(
    x[:, tf.newaxis], _numbers(1, 3, 3, 3, 2), [1] * 5, 'SAME'
  ),
  'matmul': lambda x: tf.matmul(
    tf.reshape(x, [-1, 192]), _numbers(5, 192), transpose_b=True
  ),
  'batch_matmul': lambda x: tf.raw_ops.BatchMatMulV2(x=x, y=_MATRIX),
  'einsum': lambda x: tf.einsum('nhwc,hk->nkwc', x, _numbers(8, 4)),
  'gather': lambda x: tf.gather(x, [2, 0, 0], axis=3),
  'gather_nd': lambda x: tf.gather_nd(
    tf.transpose(x, [1, 2, 3, 0]), [[0, 1], [7, 2]]
  )[tf.newaxis],
  'scatter': lambda x: tf.tensor_scatter_nd_update(
    tf.transpose(x, [1, 0, 2, 3]), [[1], [5]], tf.zeros([2, 2, 8, 3])
  ) + tf.scatter_nd([[0], [2]], tf.transpose(x[:, 2:4], [1, 0, 2, 3]),
                    [8, 2, 8, 3]),
  'divide': lambda x: x / [2.0, 4.0, 0.5],
  'batch_norm': lambda x: tf.compat.v1.nn.fused_batch_norm(
    x, [1.0, 2.0, 3.0], [0.1] * 3, [0.5] * 3, [2.0] * 3, is_training=False
  )[0],
  'batch_norm_written_out': lambda x: tf.nn.batch_normalization(
    x, *map(np.float32, ([0.5] * 3, [2, 1, 4], [0.1] * 3, [1, 2, 3])), 1e-3
  ),
  'band': lambda x: tf.linalg.band_part(tf.transpose(x, [0, 3, 1, 2]), 1, 2),
  'choice': lambda x: tf.where([[[[True, False, True]]]], x, 3 * x),
  'split': lambda x: tf.split(x, 3, 3)[1],
  'pad_with': lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]],
                               constant_values=0.5),
  'pool3d': lambda x: tf.nn.avg_pool3d(
    x[:, tf.newaxis], [1, 2, 2], [1, 2, 1], 'SAME'
  ),
  'conv3d_transpose': lambda x: tf.nn.conv3d_transpose(
    x[:, tf.newaxis], _numbers(1, 3, 3, 2, 3),
    [tf.shape(x)[0], 1, 16, 16, 2], [1, 2, 2]
  ),
  'depthwise_transpose': lambda x: tf.nn.depthwise_conv2d_backprop_input(
    [tf.shape(x)[0], 16, 16, 3], _numbers(3, 3, 3, 1), x, [1, 2, 2, 1], 'SAME'
  ),
  'scatter_add': lambda x: tf.tensor_scatter_nd_sub(
    tf.tensor_scatter_nd_add(
      tf.transpose(x, [1, 0, 2, 3]), [[1]], tf.transpose(x[:, :1], [1, 0, 2, 3])
    ), [[2]], tf.transpose(x[:, :1], [1, 0, 2, 3])
  ),
  'divide_no_nan': lambda x: tf.math.divide_no_nan(x, [2.0, 0.0, 0.5]),
  'xdivy': lambda x: tf.math.xdivy(x, [2.0, 1.0, 0.5]),
  'batch_matmul_v3': lambda x: tf.raw_ops.BatchMatMulV3(
    x=x, y=_MATRIX, Tout=tf.float32
  ),
  'masks': lambda x: x * tf.cast(tf.range(8) < 5, tf.float32)[:, tf.newaxis],
}  # fmt: skip


def _prelu(z):
  return tf.constant([0.1, 0.3, 0.5]) * z


# Activations of z = 3 x - 1.2, however written, and f(z) / z of each.
_RELU = lambda z: z > 0  # noqa: E731
_PRELU = lambda z: np.where(z > 0, 1, [0.1, 0.3, 0.5])  # noqa: E731
_RELU6 = lambda z: np.clip(z, 0, 6) / z  # noqa: E731
_HARD_SWISH = lambda z: np.clip(z + 3, 0, 6) / 6  # noqa: E731
_SIGMOID = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
ACTIVATIONS = {
  'relu': (tf.nn.relu, _RELU),
  'relu_maximum': (lambda z: tf.maximum(z, 0.0), _RELU),
  'relu_choice': (lambda z: tf.where(z > 0, z, tf.zeros_like(z)), _RELU),
  'relu_mask': (lambda z: z * tf.cast(z > 0, tf.float32), _RELU),
  'relu_abs': (lambda z: (z + tf.abs(z)) / 2, _RELU),
  'relu6': (tf.nn.relu6, _RELU6),
  'relu6_minimum': (lambda z: tf.minimum(tf.nn.relu(z), 6.0), _RELU6),
  'relu6_clip': (lambda z: tf.clip_by_value(z, 0.0, 6.0), _RELU6),
  'prelu_relu_neg': (
    lambda z: tf.nn.relu(z) - _prelu(tf.nn.relu(-z)),
    _PRELU,
  ),
  'prelu_maximum_minimum': (
    lambda z: tf.maximum(z, 0.0) + _prelu(tf.minimum(z, 0.0)),
    _PRELU,
  ),
  'prelu_maximum': (lambda z: tf.maximum(z, _prelu(z)), _PRELU),
  'prelu_abs': (lambda z: tf.nn.relu(z) + _prelu(z - tf.abs(z)) / 2, _PRELU),
  'prelu_choice': (lambda z: tf.where(z >= 0, z, _prelu(z)), _PRELU),
  'hard_swish': (lambda z: z * tf.nn.relu6(z + 3) / 6, _HARD_SWISH),
  'hard_swish_minimum': (
    lambda z: z * (tf.minimum(tf.maximum(z + 3, 0.0), 6.0) * (1 / 6)),
    _HARD_SWISH,
  ),
  'swish_custom_gradient': (tf.nn.silu, _SIGMOID),
  'swish_stop_gradient': (
    lambda z: z * tf.stop_gradient(tf.sigmoid(z)),
    _SIGMOID,
  ),
  'swish_cast': (
    lambda z: tf.cast(
      tf.cast(z, tf.float64) * tf.sigmoid(tf.cast(z, tf.float64)), tf.float32
    ),
    _SIGMOID,
  ),
  'fake_quantization': (
    lambda z: tf.quantization.fake_quant_with_min_max_args(z, -8, 8, 16),
    lambda z: 1,
  ),
}


def _explain(function, chosen, **options):
  graph_def = testing.freeze(function, 8, **options)
  images = testing.images(2, 8)
  with Explainer(
    graph_def, **TENSORS, preprocessing='range(-1, 1)', methods=chosen
  ) as explainer:
    inputs = explainer.preprocessing(images)
    passes = explainer._passes
    gradients = passes._fetch(passes._open.gradients, inputs)
    return inputs, gradients, explainer


class LinearTest(parameterized.TestCase):
  """Relevance passes what is linear as the gradient does, and is conserved."""

  @parameterized.parameters(*LINEAR)
  def test_relevance_is_the_change_of_the_output(self, name):
    function = LINEAR[name]
    elrp = methods.EpsilonLRP()
    x, gradients, _ = _explain(function, [elrp, 'saliency'])
    np.testing.assert_allclose(
      gradients[elrp.rule], gradients[None], 1e-5, 1e-7
    )
    # A linear function adds up what each input gives.
    zero = tf.zeros_like(x)
    change = np.mean(function(tf.constant(x)) - function(zero))
    total = np.sum(x * gradients[elrp.rule])
    tolerance = 2e-2 if name == 'half' else 2e-4
    np.testing.assert_allclose(total, change * len(x), tolerance, 1e-5)


class ActivationTest(parameterized.TestCase):
  @parameterized.parameters(*ACTIVATIONS)
  def test_rule_of_the_whole_is_f_of_z_over_z(self, name):
    function, ratio = ACTIVATIONS[name]
    elrp = methods.EpsilonLRP(1e-7)
    x, gradients, _ = _explain(lambda x: function(3 * x - 1.2), [elrp])
    z = 3.0 * x - 1.2
    far = np.abs(z) > 1e-2
    expected = 3 * ratio(z) / x[0].size
    np.testing.assert_allclose(
      gradients[elrp.rule][far],
      np.broadcast_to(expected, x.shape)[far],
      2e-2 if name == 'fake_quantization' else 1e-3,
      1e-7,
    )


class RefusedTest(parameterized.TestCase):
  @parameterized.parameters(
    (lambda x: tf.nn.top_k(x, 2).values, 'TopKV2'),
    (lambda x: tf.math.cumprod(x, 1), 'Cumprod'),
    (lambda x: tf.reduce_prod(x, 3), 'Prod'),
    (lambda x: tf.math.erf(x), 'Erf'),
    (lambda x: tf.cos(x), 'Cos'),
    (lambda x: tf.math.log(x), 'Log'),
    (lambda x: tf.exp(x), 'Exp'),
    (lambda x: tf.image.crop_and_resize(
      x, tf.reshape(x[:, :1, :4, 0], [-1, 4]), [0, 1], [4, 4]
    ), 'CropAndResize of 2 branches'),
    (lambda x: tf.gather(x, tf.cast(x[0, 0, :, 0], tf.int32), axis=1),
     'GatherV2 of 2 branches'),
    (lambda x: tf.tensor_scatter_nd_update(
      tf.transpose(x, [1, 0, 2, 3]),
      tf.cast(tf.reshape(x[:, 0, 0, 0], [2, 1]), tf.int32),
      tf.zeros([2, 2, 8, 3]),
    ), 'TensorScatterUpdate of 2 branches'),
  )  # fmt: skip
  def test_what_has_no_rule_is_named(self, function, message):
    with self.assertRaisesRegex(UnsupportedOpError, message):
      _explain(lambda x: tf.nn.relu(function(x)), ['elrp'])

  def test_operation_without_a_gradient_is_named(self):
    with self.assertRaisesRegex(GraphError, 'no gradient.*ResizeArea'):
      _explain(_resize(tf.raw_ops.ResizeArea), ['elrp'])

  def test_stopped_gradient_stops_relevance(self):
    _, gradients, _ = _explain(
      lambda x: tf.nn.relu(x) + tf.stop_gradient(tf.exp(x)),
      [methods.EpsilonLRP(1e-7)],
    )
    (values,) = gradients.values()
    np.testing.assert_allclose(values[values != 0], 1 / 192, 1e-3)


class TableTest(absltest.TestCase):
  def test_every_linear_operation_is_tried(self):
    tried = set()
    for function in LINEAR.values():
      with tf.Graph().as_default() as graph:
        function(tf.compat.v1.placeholder(tf.float32, [2, 8, 8, 3]))
      tried.update(op.type for op in graph.get_operations())
    known = operations.LINEAR | operations.BILINEAR
    known |= operations.LINEAR_IN_FIRST | operations.LINEAR_IN.keys()
    self.assertEqual(known - tried, _OLD_NAMES | {'ResizeArea'})

  def test_gradients_are_registered_for_every_activation(self):
    for op_type in operations.activations():
      self.assertTrue(hasattr(tf.raw_ops, op_type), op_type)


# Of operations that are tried by their new names.
_OLD_NAMES = {
  'Add', 'BatchMatMul', 'BatchNormWithGlobalNormalization', 'BatchToSpace',
  'BiasAddV1', 'Concat', 'Div', 'FusedBatchNorm', 'FusedBatchNormV2', 'Gather',
  'Reverse', 'SpaceToBatch',
}  # fmt: skip


if __name__ == '__main__':
  absltest.main()
