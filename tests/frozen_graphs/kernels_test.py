"""Tests of operations that are rewritten for want of a kernel."""

import itertools
import os
import subprocess
import sys

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import graph, kernels, passes
from frozen_graphs.errors import GraphError
from tests import module_graph, testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_RNG = np.random.default_rng(0)
_KERNEL = _RNG.normal(size=(3, 2, 3, 4)).astype(np.float32)
_EXPLICIT = [[0, 0], [2, 1], [0, 3], [0, 0]]


def _run(graph_def, inputs):
  """Returns the representation, and its rewritten operations."""
  subgraph = graph.extract(graph_def, 'input:0', 'representation:0')
  with tf.Graph().as_default():
    (result,) = tf.import_graph_def(
      subgraph.graph_def(),
      {subgraph.input_tensor: tf.constant(inputs)},
      [subgraph.representation_tensor],
    )
    with tf.compat.v1.Session() as session:
      return session.run(result), subgraph.nodes


def _freeze_first(function, size=(9, 8)):
  """Returns the graph of a function of images with their channels first."""
  with tf.Graph().as_default() as built:
    x = tf.compat.v1.placeholder(tf.float32, [None, 3, *size], 'input')
    tf.identity(function(x), name='representation')
  return built.as_graph_def()


def _slow_convolution(x, kernel, strides, rates, padding):
  """Returns a convolution, one output value at a time."""
  reach = [(kernel.shape[i] - 1) * rates[i] + 1 for i in range(2)]
  if padding == 'SAME':
    steps = [-(-x.shape[1 + i] // strides[i]) for i in range(2)]
    total = [
      max((steps[i] - 1) * strides[i] + reach[i] - x.shape[1 + i], 0)
      for i in range(2)
    ]
    padding = [[0, 0], *([t // 2, t - t // 2] for t in total), [0, 0]]
  elif padding == 'VALID':
    padding = [[0, 0]] * 4
  x = np.pad(x, padding)
  sides = [(x.shape[1 + i] - reach[i]) // strides[i] + 1 for i in range(2)]
  result = np.zeros((len(x), *sides, kernel.shape[3]))
  for i, j in itertools.product(*map(range, sides)):
    for a, b in itertools.product(*map(range, kernel.shape[:2])):
      row, column = i * strides[0] + a * rates[0], j * strides[1] + b * rates[1]
      result[:, i, j] += x[:, row, column] @ kernel[a, b]
  return result


class DilatedTest(parameterized.TestCase):
  @parameterized.parameters(
    *itertools.product(
      ((1, 1), (2, 3)),
      ((2, 2), (3, 1), (1, 4)),
      ('SAME', 'VALID', _EXPLICIT),
      ('NHWC', 'NCHW'),
    )
  )
  def test_convolution_is_that_of_the_definition(
    self, strides, rates, padding, layout
  ):
    x = _RNG.normal(size=(2, 9, 8, 3)).astype(np.float32)
    is_first = layout == 'NCHW'
    order = [0, 3, 1, 2] if is_first else [0, 1, 2, 3]
    given = padding
    if not isinstance(padding, str):
      given = [padding[i] for i in order]

    def encoder(tensor):
      return tf.nn.conv2d(
        tensor,
        _KERNEL,
        [([1, *strides, 1])[i] for i in order],
        given,
        layout,
        [([1, *rates, 1])[i] for i in order],
      )

    if is_first:
      graph_def = _freeze_first(encoder)
      actual, nodes = _run(graph_def, x.transpose(_TO_FIRST))
      actual = actual.transpose(_TO_LAST)
    else:
      actual, nodes = _run(testing.freeze(encoder, None), x)
    expected = _slow_convolution(x, _KERNEL, strides, rates, padding)
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)
    self.assertIn('SpaceToBatchND', {node.op for node in nodes.values()})
    for node in nodes.values():
      if node.op == 'Conv2D':
        self.assertEqual(list(node.attr['dilations'].list.i), [1, 1, 1, 1])

  def test_depthwise_convolution_is_a_convolution_of_each_channel(self):
    x = _RNG.normal(size=(2, 7, 7, 3)).astype(np.float32)
    kernel = _RNG.normal(size=(3, 3, 3, 2)).astype(np.float32)
    actual, _ = _run(
      testing.freeze(
        lambda t: tf.raw_ops.DepthwiseConv2dNative(
          input=t,
          filter=kernel,
          strides=[1, 1, 1, 1],
          padding='SAME',
          dilations=[1, 2, 2, 1],
        ),
        7,
      ),
      x,
    )
    for c in range(3):
      expected = _slow_convolution(
        x[..., c : c + 1], kernel[:, :, c : c + 1], (1, 1), (2, 2), 'SAME'
      )
      np.testing.assert_allclose(
        actual[..., 2 * c : 2 * c + 2], expected, 1e-4, 1e-5
      )

  def test_what_is_made_of_one_channel_alone_can_be_convolved(self):
    x = _RNG.normal(size=(1, 5, 5, 1)).astype(np.float32)
    own, then = _KERNEL[:1, :1, :1, :1], _KERNEL[:1, 1:, :1, :1]

    def encoder(tensor):
      kernel = tf.identity(tf.constant(own))
      y = tf.nn.depthwise_conv2d(tensor, kernel, [1, 1, 1, 1], 'SAME')
      y = tf.nn.conv2d(tf.nn.bias_add(y, np.ones(1)), then, 1, 'VALID')
      return tf.nn.bias_add(y, np.ones(1))

    subgraph = graph.extract(testing.freeze(encoder, 5, 1, batch=1), **TENSORS)
    with passes.Passes(subgraph) as opened:
      found = opened.run(x).representation
    expected = (x * own + 1) * then + 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

  def test_undilated_convolution_is_left_alone(self):
    graph_def = testing.tiny_graph_def()
    subgraph = graph.extract(graph_def, 'input:0', 'representation:0')
    self.assertEqual(kernels.rewrite(subgraph.nodes), subgraph.nodes)


_FIRST = {
  'conv': lambda x, f, at: tf.nn.conv2d(x, _KERNEL, at(2, 1), 'SAME', f),
  'explicit': lambda x, f, at: tf.nn.conv2d(
    x,
    _KERNEL,
    at(1, 1),
    [_EXPLICIT[i] for i in ((0, 3, 1, 2) if f == 'NCHW' else (0, 1, 2, 3))],
    f,
  ),
  'depthwise': lambda x, f, at: tf.raw_ops.DepthwiseConv2dNative(
    input=x,
    filter=_KERNEL,
    strides=at(2, 2),
    padding='VALID',
    data_format=f,
  ),
  'transposed': lambda x, f, at: tf.nn.conv2d_transpose(
    x,
    _KERNEL.transpose(0, 1, 3, 2),
    tf.stack([tf.shape(x)[0], *((4, 18, 16) if f == 'NCHW' else (18, 16, 4))]),
    at(2, 2),
    'SAME',
    f,
  ),
  'max': lambda x, f, at: tf.raw_ops.MaxPool(
    input=x, ksize=at(3, 2), strides=at(2, 1), padding='SAME', data_format=f
  ),
  'average': lambda x, f, at: tf.raw_ops.AvgPool(
    value=x, ksize=at(3, 2), strides=at(1, 2), padding='SAME', data_format=f
  ),
  'depth': lambda x, f, at: tf.nn.depth_to_space(
    tf.repeat(x, 4, axis=1 if f == 'NCHW' else 3), 2, f
  ),
  'space': lambda x, f, at: tf.nn.space_to_depth(
    x[:, :, :8] if f == 'NCHW' else x[:, :8], 2, f
  ),
  'bias': lambda x, f, at: tf.nn.bias_add(x, tf.constant([1.0, 2, 3]), f),
  'batch_norm': lambda x, f, at: tf.compat.v1.nn.fused_batch_norm(
    x,
    [1.0, 2, 3],
    [0.1, 0.2, 0.3],
    [0.5, 0.2, 0.1],
    [1.0, 2, 3],
    is_training=False,
    data_format=f,
  )[0],
}


def _places(layout):
  if layout == 'NCHW':
    return lambda h, w: [1, 1, h, w]
  return lambda h, w: [1, h, w, 1]


class ChannelsFirstTest(parameterized.TestCase):
  @parameterized.parameters(*_FIRST)
  def test_channels_first_computes_and_explains_as_channels_last(self, name):
    function = _FIRST[name]
    images = (_RNG.uniform(size=(2, 9, 8, 3)) * 255).astype(np.uint8)

    def encoder(layout):
      def encode(x):
        y = function(x, layout, _places(layout))
        return tf.tanh(0.5 * tf.nn.relu(y) + y)

      return encode

    results = []
    for graph_def, t in (
      (_freeze_first(encoder('NCHW')), ' | channels_first'),
      (_freeze_last(encoder('NHWC')), ''),
    ):
      with Explainer(
        graph_def,
        **TENSORS,
        preprocessing='range(-1, 1)' + t,
        methods=['elrp', 'gradient_times_input'],
      ) as explainer:
        results.append(explainer.explain(images))
    first, last = results
    np.testing.assert_allclose(
      first.representation.transpose(_TO_LAST), last.representation, 1e-4, 1e-5
    )
    for method, maps in last.maps.items():
      np.testing.assert_allclose(first.maps[method], maps, 1e-3, 1e-7)

  @parameterized.parameters(1.0, 1e7, 1e38, np.inf, np.nan)
  def test_computed_boxes_are_cut_as_far_as_they_are_boxes(self, scale):
    def cut(x):
      boxes = tf.reduce_max(x, [1, 2, 3])[:, None] * [[0.1, 0.2, scale, 0.7]]
      return tf.image.crop_and_resize(
        x, boxes, tf.range(tf.shape(x)[0]), [3, 4]
      )

    images = _RNG.uniform(size=(2, 8, 8, 3)).astype(np.float32)
    found, nodes = _run(testing.freeze(cut, 8), images)
    largest = images.max((1, 2, 3))[:, None]
    boxes = largest * [[0.1, 0.2, 1.0 if scale == 1 else 0.0, 0.7]]
    expected = tf.image.crop_and_resize(images, boxes, [0, 1], [3, 4])
    np.testing.assert_allclose(found, expected, 1e-5, 1e-6)
    self.assertIn('SelectV2', {node.op for node in nodes.values()})

  def test_names_of_results_stay(self):
    graph_def = _freeze_first(
      lambda x: tf.nn.relu(
        tf.nn.conv2d(x, _KERNEL, 1, 'SAME', 'NCHW', name='conv')
      )
    )
    nodes = graph.extract(graph_def, 'input', 'conv').nodes
    self.assertEqual(nodes['conv'].op, 'Transpose')
    self.assertEqual(
      [n.op for n in nodes.values() if n.op in ('Conv2D', 'Relu')], ['Conv2D']
    )

  def test_what_cannot_be_rewritten_is_named(self):
    graph_def = _freeze_first(
      lambda x: tf.nn.conv2d(x, _KERNEL, 1, 'SAME', 'NCHW', name='conv')
    )
    for node in graph_def.node:
      if node.name == 'conv':
        node.attr['padding'].s = b'ROUND'
    with self.assertRaisesRegex(GraphError, "'conv' .*ROUND"):
      graph.extract(graph_def, 'input', 'conv')


def _freeze_last(function):
  with tf.Graph().as_default() as built:
    x = tf.compat.v1.placeholder(tf.float32, [None, 9, 8, 3], 'input')
    tf.identity(function(x), name='representation')
  return built.as_graph_def()


class LayerNormalizationTest(parameterized.TestCase):
  """As Keras 2 writes it: the rows of all images are channels of one image."""

  def _encoder(self, x):
    rows = tf.reshape(x, [1, -1, 3, 1])
    count = tf.shape(rows)[1]
    y, *_ = tf.compat.v1.nn.fused_batch_norm(
      rows, tf.ones([count]), tf.zeros([count]), data_format='NCHW', epsilon=0.1
    )
    return tf.reshape(y, tf.shape(x)) * tf.constant([1.0, 2.0, -0.5])

  def test_normalizer_is_constant_and_images_stay_apart(self):
    images = testing.images(3, 6)
    chosen = ['elrp', 'saliency']
    with Explainer(
      testing.freeze(self._encoder, 6),
      **TENSORS,
      methods=chosen,
      preprocessing='range(-1, 1)',
    ) as explainer:
      result = explainer.explain(images)
      alone = explainer.explain(images[:1])
      self.assertEqual(explainer.summary.ruled['normaliser'], 1)
    x = images.astype(np.float32) / 255 * 2 - 1
    weight = np.array([1.0, 2.0, -0.5])
    deviation = np.sqrt(x.var(axis=3, keepdims=True) + 0.1)
    centred = x - x.mean(axis=3, keepdims=True)
    np.testing.assert_allclose(
      result.representation, centred / deviation * weight, 1e-4, 1e-5
    )
    expected = x * (weight - weight.mean()) / deviation / x[0].size
    np.testing.assert_allclose(result.maps['elrp'], expected, 1e-4, 1e-7)
    for name in chosen:
      np.testing.assert_allclose(result.maps[name][:1], alone.maps[name], 1e-4)

  def test_training_mode_of_a_whole_batch_is_still_refused(self):
    graph_def = _freeze_first(
      lambda x: tf.compat.v1.nn.fused_batch_norm(
        x, [1.0] * 3, [0.0] * 3, data_format='NCHW'
      )[0]
    )
    with self.assertRaisesRegex(GraphError, 'training mode'):
      graph.extract(graph_def, 'input', 'representation')


_SCRIPT = """
import sys
import numpy as np
from tests.frozen_graphs import kernels_test
np.save(sys.argv[1], kernels_test.maps_of_all_rewritten())
"""


def maps_of_all_rewritten() -> np.ndarray:
  """Returns maps of a network that has dilations and channels first."""

  def encoder(x):
    y = tf.transpose(x, _TO_FIRST)
    kernel = tf.constant(_KERNEL[..., :3])
    for rate in (1, 2):
      y = tf.nn.conv2d(y, kernel, 1, 'SAME', 'NCHW', [1, 1, rate, rate])
      y = tf.nn.relu(y)
    y = tf.nn.conv2d(tf.transpose(y, _TO_LAST), kernel, 1, 'SAME', None, 2)
    y = tf.raw_ops.DepthwiseConv2dNative(
      input=y,
      filter=kernel,
      strides=[1, 1, 1, 1],
      padding='SAME',
      dilations=[1, 3, 3, 1],
    )
    return tf.nn.max_pool2d(tf.nn.elu(y), 2, 2, 'SAME')

  with Explainer(
    testing.freeze(encoder, 12), **TENSORS, methods=['elrp']
  ) as explainer:
    return explainer.explain(testing.images(2, 12)).maps['elrp']


class OneDnnTest(parameterized.TestCase):
  @parameterized.parameters('0', '1')
  def test_graph_runs_with_and_without_onednn(self, setting):
    path = os.path.join(self.create_tempdir().full_path, 'maps.npy')
    subprocess.run(
      [sys.executable, '-c', _SCRIPT, path],
      check=True,
      cwd=module_graph.ROOT,
      env={**os.environ, 'TF_ENABLE_ONEDNN_OPTS': setting},
      capture_output=True,
    )
    np.testing.assert_allclose(
      np.load(path), maps_of_all_rewritten(), 1e-3, 1e-7
    )


if __name__ == '__main__':
  absltest.main()
