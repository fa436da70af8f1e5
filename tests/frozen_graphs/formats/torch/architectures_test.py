"""Tests that architectures compute what NumPy loops do, from their weights."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch.architectures import (
  craft,
  demosaicnet,
  hed,
  inverted_residuals,
  layers,
)
from frozen_graphs.formats.torch.architectures.layers import Weights


def _evaluate(build, images, weights):
  """Returns what `build` makes of images, as arrays, and its op types."""
  with tf.Graph().as_default() as graph:
    x = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    ends = build(x, weights)
    with tf.compat.v1.Session() as session:
      values = session.run(ends, {x: images})
  return values, [op.type for op in graph.get_operations()]


def _convolve(x, kernel, stride, pads, dilation=1):
  """Cross-correlation of [h, w, in] with [out, in, kh, kw], in loops."""
  (top, bottom), (left, right) = pads
  x = np.pad(x, [(top, bottom), (left, right), (0, 0)])
  out, _, kh, kw = kernel.shape
  depthwise = kernel.shape[1] == 1 and x.shape[2] == out
  height = (x.shape[0] - dilation * (kh - 1) - 1) // stride + 1
  width = (x.shape[1] - dilation * (kw - 1) - 1) // stride + 1
  result = np.zeros((height, width, out))
  for i in range(height):
    for j in range(width):
      patch = x[
        i * stride : i * stride + dilation * (kh - 1) + 1 : dilation,
        j * stride : j * stride + dilation * (kw - 1) + 1 : dilation,
      ]
      if depthwise:
        result[i, j] = np.einsum('hwc,chw->c', patch, kernel[:, 0])
      else:
        result[i, j] = np.einsum('hwc,ochw->o', patch, kernel)
  return result


def _same(size, kernel, stride):
  """TensorFlow's SAME: more after than before."""
  total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
  return total // 2, total - total // 2


class _Reference:
  """Runs layers of PyTorch's names on one image, in NumPy."""

  def __init__(self, arrays, epsilon, same):
    self.arrays, self.epsilon, self.same = arrays, epsilon, same

  def layer(self, x, convolution, norm, stride=1, relu=True):
    kernel = self.arrays[f'{convolution}.weight']
    size = kernel.shape[-1]
    pads = [
      _same(n, size, stride) if self.same else (size // 2, size // 2)
      for n in x.shape[:2]
    ]
    x = _convolve(x, kernel, stride, pads)
    parts = ('weight', 'bias', 'running_mean', 'running_var')
    scale, offset, mean, variance = (self.arrays[f'{norm}.{p}'] for p in parts)
    x = (x - mean) / np.sqrt(variance + self.epsilon) * scale + offset
    return np.clip(x, 0, 6) if relu else x


class _Arrays(dict):
  """Random weights of PyTorch's names and shapes."""

  def __init__(self, seed=0):
    super().__init__()
    self._rng = np.random.default_rng(seed)

  def conv(self, name, out, channels, size, bias=False):
    scale = 1.5 / np.sqrt(channels * size * size)
    shape = (out, channels, size, size)
    self[f'{name}.weight'] = self._rng.normal(0, scale, shape)
    if bias:
      self[f'{name}.bias'] = self._rng.normal(0, 0.1, out)

  def norm(self, name, width):
    self[f'{name}.weight'] = self._rng.uniform(0.5, 1.5, width)
    self[f'{name}.bias'] = self._rng.normal(0, 0.5, width)
    self[f'{name}.running_mean'] = self._rng.normal(0, 0.2, width)
    self[f'{name}.running_var'] = self._rng.uniform(0.5, 1.5, width)
    self[f'{name}.num_batches_tracked'] = np.array(3)

  def normed(self, conv, norm, out, channels, size):
    self.conv(conv, out, channels, size)
    self.norm(norm, out)


def _image(side, seed=0, width=None):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(1, side, width or side, 3)).astype(np.float32)


class LayersTest(parameterized.TestCase):
  @parameterized.product(
    channels=[3, 4], depthwise=[False, True], stride=[1, 2], padding=[0, 2]
  )
  def test_convolution_is_that_of_loops(
    self, channels, depthwise, stride, padding
  ):
    arrays = _Arrays()
    arrays.conv('c', channels, 1 if depthwise else channels, 3, bias=True)
    x = np.random.default_rng(1).normal(size=(9, 7, channels))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      actual = session.run(
        layers.convolution(
          tf.constant(x[None], tf.float32),
          Weights(arrays),
          'c',
          stride,
          padding,
        )
      )
    pads = [(padding, padding)] * 2
    expected = _convolve(x, arrays['c.weight'], stride, pads)
    np.testing.assert_allclose(
      actual[0], expected + arrays['c.bias'], rtol=1e-4, atol=1e-5
    )

  def test_dilated_convolution_is_that_of_loops(self):
    arrays = _Arrays()
    arrays.conv('c', 5, 2, 3)
    x = np.random.default_rng(1).normal(size=(9, 8, 2))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      actual = session.run(
        layers.convolution(
          tf.constant(x[None], tf.float32), Weights(arrays), 'c', 1, 3, 3
        )
      )
    expected = _convolve(x, arrays['c.weight'], 1, [(3, 3)] * 2, 3)
    np.testing.assert_allclose(actual[0], expected, rtol=1e-4, atol=1e-5)

  def test_a_common_prefix_of_names_is_left_out(self):
    weights = Weights({'module.a': np.ones(2)}, prefix='module.')
    np.testing.assert_array_equal(weights.take('a'), np.ones(2))

  def test_a_missing_weight_is_named(self):
    with self.assertRaisesRegex(GraphError, "no weight 'a.weight'"):
      Weights({}).take('a.weight')

  def test_weights_left_over_are_named(self):
    weights = Weights({'a': np.ones(2), 'b': np.ones(2), 'b.x': np.ones(1)})
    weights.take('a')
    with self.assertRaisesRegex(GraphError, "1 of the weights.*'b'"):
      weights.check_all_used(except_endings=('.x',))


class InvertedResidualsTest(parameterized.TestCase):
  @parameterized.parameters((32, 32), (33, 50))
  def test_efficientnet_lite(self, height, width):
    arrays = _Arrays()
    arrays.normed('_conv_stem', '_bn0', 8, 3, 3)
    # Channels and kernel of each block; the third stage has two blocks.
    plan = [(4, 3), (6, 3), (8, 5), (8, 5), (10, 3), (12, 5), (14, 5), (16, 3)]
    before = 8
    for number, (channels, kernel) in enumerate(plan):
      block, wide = f'_blocks.{number}', before
      if number:
        wide = 2 * before
        names = f'{block}._expand_conv', f'{block}._bn0'
        arrays.normed(*names, wide, before, 1)
      names = f'{block}._depthwise_conv', f'{block}._bn1'
      arrays.normed(*names, wide, 1, kernel)
      arrays.normed(
        f'{block}._project_conv', f'{block}._bn2', channels, wide, 1
      )
      before = channels
    arrays.normed('_conv_head', '_bn1', 20, before, 1)
    arrays['_fc.weight'] = np.random.default_rng(2).normal(size=(7, 20))
    arrays['_fc.bias'] = np.arange(7.0)
    image = _image(height, width=width)
    actual, types = _evaluate(
      inverted_residuals.efficientnet_lite, image, Weights(arrays)
    )

    net = _Reference(arrays, 1e-3, same=True)
    x = net.layer(image[0], '_conv_stem', '_bn0', 2)
    for number, stride in enumerate((1, 2, 2, 1, 2, 1, 2, 1)):
      block, before = f'_blocks.{number}', x
      if number:
        x = net.layer(x, f'{block}._expand_conv', f'{block}._bn0')
      x = net.layer(x, f'{block}._depthwise_conv', f'{block}._bn1', stride)
      x = net.layer(x, f'{block}._project_conv', f'{block}._bn2', relu=False)
      if number == 3:  # The only one that keeps shape and channels.
        x = x + before
    head = net.layer(x, '_conv_head', '_bn1')
    np.testing.assert_allclose(actual['head'][0], head, rtol=1e-3, atol=1e-4)
    logits = arrays['_fc.weight'] @ head.mean(axis=(0, 1)) + np.arange(7.0)
    np.testing.assert_allclose(actual['logits'][0], logits, 1e-3, 1e-4)
    self.assertEqual(types.count('Relu6'), 2 + 2 * 8 - 1)

  def test_mobilenet_v2(self):
    arrays = _Arrays()
    arrays.normed('features.0.0', 'features.0.1', 8, 3, 3)
    plan = [4, 6, 6, 8, 10, 12, 14, 16]
    before = 8
    for number, channels in enumerate(plan, start=1):
      block, wide, place = f'features.{number}.conv', before, 0
      if number > 1:
        wide, place = 3 * before, 3
        arrays.normed(f'{block}.0', f'{block}.1', wide, before, 1)
      arrays.normed(f'{block}.{place}', f'{block}.{place + 1}', wide, 1, 3)
      names = f'{block}.{place + 3}', f'{block}.{place + 4}'
      arrays.normed(*names, channels, wide, 1)
      before = channels
    arrays.normed('features.9.0', 'features.9.1', 20, before, 1)
    image = _image(31)
    actual, _ = _evaluate(
      inverted_residuals.mobilenet_v2, image, Weights(arrays)
    )

    net = _Reference(arrays, 1e-5, same=False)
    x = net.layer(image[0], 'features.0.0', 'features.0.1', 2)
    for number, stride in enumerate((1, 2, 1, 2, 2, 1, 2, 1), start=1):
      block, before, place = f'features.{number}.conv', x, 0
      if number > 1:
        x, place = net.layer(x, f'{block}.0', f'{block}.1'), 3
      x = net.layer(x, f'{block}.{place}', f'{block}.{place + 1}', stride)
      names = f'{block}.{place + 3}', f'{block}.{place + 4}'
      x = net.layer(x, *names, relu=False)
      if number == 3:
        x = x + before
    head = net.layer(x, 'features.9.0', 'features.9.1')
    np.testing.assert_allclose(actual['head'][0], head, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
      actual['pooled'][0], head.mean(axis=(0, 1)), rtol=1e-3, atol=1e-4
    )


def _relu(x):
  return np.maximum(x, 0)


class DemosaicNetTest(absltest.TestCase):
  def test_network_is_that_of_loops(self):
    arrays, width = _Arrays(), 6
    arrays.conv('main_processor.pack_mosaic', 4, 3, 2, bias=True)
    for number in range(1, 16):
      arrays.conv(
        f'main_processor.conv{number}',
        2 * width if number == 15 else width,
        4 if number == 1 else width,
        3,
        bias=True,
      )
    arrays.conv('residual_predictor', 12, width, 1, bias=True)
    arrays.conv('upsampler', 12, 1, 2)
    arrays['upsampler.bias'] = np.array([0.1, 0.2, 0.3])
    arrays.conv('fullres_processor.post_conv', 5, 6, 3, bias=True)
    arrays.conv('fullres_processor.output', 3, 5, 1, bias=True)
    image = _image(8)
    actual, _ = _evaluate(demosaicnet.build, image, Weights(arrays))

    def layer(x, name, stride=1, pad=0):
      x = _convolve(x, arrays[f'{name}.weight'], stride, [(pad, pad)] * 2)
      return x + arrays[f'{name}.bias']

    x = layer(image[0], 'main_processor.pack_mosaic', 2)
    for number in range(1, 16):
      x = _relu(layer(x, f'main_processor.conv{number}', pad=1))
    np.testing.assert_allclose(actual['features'][0], x, rtol=1e-3, atol=1e-5)
    residual = layer(x[..., :width] * x[..., width:], 'residual_predictor')
    upsampled = np.zeros((8, 8, 3))
    for i in range(8):
      for j in range(8):
        for colour in range(3):
          cells = residual[i // 2, j // 2, 4 * colour : 4 * colour + 4]
          kernel = arrays['upsampler.weight'][4 * colour : 4 * colour + 4, 0]
          upsampled[i, j, colour] = cells @ kernel[:, i % 2, j % 2]
    upsampled += arrays['upsampler.bias']
    y = np.concatenate([image[0], upsampled], axis=2)
    y = _relu(layer(y, 'fullres_processor.post_conv', pad=1))
    y = layer(y, 'fullres_processor.output')
    np.testing.assert_allclose(actual['output'][0], y, rtol=1e-3, atol=1e-4)


class HedTest(absltest.TestCase):
  def test_blocks_are_those_of_loops_and_edges_fill_the_image(self):
    rng = np.random.default_rng(0)
    arrays, before, widths = {}, 3, (4, 5, 6, 7, 8)
    for block, (count, width) in enumerate(
      zip((2, 2, 3, 3, 3), widths, strict=True), start=1
    ):
      for number in range(count):
        layer = f'conv2d_{number}' if number else 'conv2d'
        name = f'block{block}/layers/{layer}/vars'
        arrays[f'{name}/0'] = rng.normal(0, 0.4, (3, 3, before, width))
        arrays[f'{name}/1'] = rng.normal(0, 0.1, width)
        before = width
      arrays[f'dsn{block}/vars/0'] = rng.normal(size=(1, 1, width, 1))
      arrays[f'dsn{block}/vars/1'] = rng.normal(size=1)
    arrays['fuse/vars/0'] = rng.normal(size=(1, 1, 5, 1))
    arrays['fuse/vars/1'] = rng.normal(size=1)
    image = _image(32, width=48)
    actual, types = _evaluate(hed.build, image, Weights(arrays))

    x = image[0]
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
      if block > 1:
        h, w, c = x.shape
        x = x.reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))
      for number in range(count):
        layer = f'conv2d_{number}' if number else 'conv2d'
        name = f'block{block}/layers/{layer}/vars'
        kernel = arrays[f'{name}/0'].transpose(3, 2, 0, 1)
        x = _convolve(x, kernel, 1, [(1, 1)] * 2) + arrays[f'{name}/1']
        x = _relu(x)
      np.testing.assert_allclose(
        actual[f'block{block}_conv{count}'][0], x, rtol=1e-3, atol=1e-3
      )
    self.assertEqual(actual['edges'].shape, (1, 32, 48, 1))
    self.assertBetween(actual['edges'].min(), 0, 1)
    self.assertEqual(types.count('Relu'), 13)


class CraftTest(absltest.TestCase):
  def test_shapes_and_rectifiers_are_those_of_the_original(self):
    arrays, before = _Arrays(), 3
    widths = dict(zip((1, 2, 3, 4), (4, 6, 8, 10), strict=True))
    places = {1: (0, 3, 7, 10), 2: (14, 17), 3: (20, 24, 27), 4: (30, 34, 37)}
    for slice_, width in widths.items():
      for place in places[slice_]:
        name = f'basenet.slice{slice_}'
        names = f'{name}.{place}', f'{name}.{place + 1}'
        arrays.normed(*names, width, before, 3)
        before = width
    arrays.conv('basenet.slice5.1', 12, before, 3, bias=True)
    arrays.conv('basenet.slice5.2', 12, 12, 1, bias=True)
    before = 12
    for number, source in enumerate((10, 8, 6, 4), start=1):
      name = f'upconv{number}.conv'
      arrays.normed(f'{name}.0', f'{name}.1', 9, before + source, 1)
      arrays.normed(f'{name}.3', f'{name}.4', 7, 9, 3)
      before = 7
    for place, size in ((0, 3), (2, 3), (4, 3), (6, 1), (8, 1)):
      arrays.conv(
        f'conv_cls.{place}', 2 if place == 8 else 5, before, size, bias=True
      )
      before = 5
    named = {f'module.{name}': array for name, array in arrays.items()}
    weights = Weights(named, prefix='module.')
    actual, types = _evaluate(craft.build, _image(64, width=96), weights)
    self.assertEqual(actual['fc7'].shape, (1, 4, 6, 12))
    self.assertEqual(actual['scores'].shape, (1, 32, 48, 2))
    self.assertLess(actual['fc7'].min(), 0)
    # 11 before fc7, 3 of what the decoder gets, 8 + 4 in the decoder.
    self.assertEqual(types.count('Relu'), 11 + 3 + 8 + 4)
    self.assertEqual(types.count('MaxPool'), 5)


if __name__ == '__main__':
  absltest.main()
