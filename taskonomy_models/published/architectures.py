"""Encoders of published networks, written from their papers and releases.

Each function returns a Keras model from pictures [N, H, W, 3] to the
representation. Layers have the names of the weights in the release, with `.`
for `/`, so that `weights.assign` finds them.
"""

from collections.abc import Sequence

import tensorflow as tf

layers = tf.keras.layers


class EmptyHole(layers.Layer):
  """Appends what an inpainting network is told of a hole: there is none.

  A channel of ones, and one of zeros, where the hole would be 1.
  """

  def call(self, x):
    ones = tf.ones_like(x[..., :1])
    return tf.concat([x, ones, tf.zeros_like(ones)], -1)


def inpainting(size: int) -> tf.keras.Model:
  """Returns the coarse encoder of DeepFill (Yu et al., CVPR 2018).

  Up to `conv12`, the last layer before it enlarges again: [N, size / 4, size /
  4, 128]; ELU everywhere.
  """
  image = layers.Input((size, size, 3), name='image')
  x = EmptyHole(name='hole')(image)
  for name, channels, kernel, stride, rate in (
    ('conv1', 32, 5, 1, 1),
    ('conv2_downsample', 64, 3, 2, 1),
    ('conv3', 64, 3, 1, 1),
    ('conv4_downsample', 128, 3, 2, 1),
    ('conv5', 128, 3, 1, 1),
    ('conv6', 128, 3, 1, 1),
    ('conv7_atrous', 128, 3, 1, 2),
    ('conv8_atrous', 128, 3, 1, 4),
    ('conv9_atrous', 128, 3, 1, 8),
    ('conv10_atrous', 128, 3, 1, 16),
    ('conv11', 128, 3, 1, 1),
    ('conv12', 128, 3, 1, 1),
  ):
    x = layers.Conv2D(
      channels,
      kernel,
      stride,
      'same',
      dilation_rate=rate,
      activation='elu',
      name=name,
    )(x)
  return tf.keras.Model(image, x, name='inpainting')


def _conv(x, name: str, channels: int, kernel: int, stride: int = 1, **options):
  return layers.Conv2D(channels, kernel, stride, 'same', name=name, **options)(
    x
  )


def _normed(x, names, channels, kernel, stride=1, *, epsilon, active=True):
  """A convolution without bias, batch normalization, and a ReLU."""
  name, norm = names
  x = _conv(x, name, channels, kernel, stride, use_bias=False)
  x = layers.BatchNormalization(epsilon=epsilon, name=norm)(x)
  return layers.ReLU(name=f'{norm}_relu')(x) if active else x


def _bottleneck(x, block: str, channels: int, stride: int, epsilon: float):
  """A unit of ResNet as Caffe's weights have it; the first has `a` in it."""

  def part(x, number, *shape, active=True):
    names = f'res{block}_branch{number}', f'bn{block}_branch{number}'
    return _normed(x, names, *shape, epsilon=epsilon, active=active)

  shortcut = x
  if block.endswith('a'):
    shortcut = part(x, '1', 4 * channels, 1, stride, active=False)
  x = part(x, '2a', channels, 1, stride)
  x = part(x, '2b', channels, 3)
  x = part(x, '2c', 4 * channels, 1, active=False)
  x = layers.Add(name=f'res{block}')([shortcut, x])
  return layers.ReLU(name=f'res{block}_relu')(x)


def _resnet(
  image, stages: Sequence[Sequence[str]], epsilon: float, has_bias: bool
):
  """The first convolution of a ResNet, and stages of units by their names."""
  x = layers.ZeroPadding2D(3, name='pad')(image)
  x = layers.Conv2D(64, 7, 2, 'valid', use_bias=has_bias, name='conv1')(x)
  x = layers.BatchNormalization(epsilon=epsilon, name='bn_conv1')(x)
  x = layers.ReLU(name='bn_conv1_relu')(x)
  x = layers.MaxPool2D(3, 2, 'same', name='pool1')(x)
  for number, names in enumerate(stages):
    for place, name in enumerate(names):
      stride = 2 if number and not place else 1
      x = _bottleneck(x, name, 64 * 2**number, stride, epsilon)
  return x


def depth(height: int, width: int) -> tf.keras.Model:
  """Returns the encoder of FCRN (Laina et al., 3DV 2016), a ResNet-50.

  With its last step, 1 x 1 to 1,024 channels and batch normalization
  (`layer1_BN`), after which it enlarges: [N, height / 32, width / 32, 1024],
  rounded up.
  """
  image = layers.Input((height, width, 3), name='image')
  units = ((2, 3), (3, 4), (4, 6), (5, 3))
  stages = [[f'{n}{c}' for c in 'abcdef'[:count]] for n, count in units]
  x = _resnet(image, stages, epsilon=1e-4, has_bias=True)
  x = _conv(x, 'layer1', 1024, 1)
  x = layers.BatchNormalization(epsilon=1e-4, name='layer1_BN')(x)
  return tf.keras.Model(image, x, name='depth')


def tiny_faces(size: int) -> tf.keras.Model:
  """Returns the body of the Tiny Face detector (Hu and Ramanan, CVPR 2017).

  A ResNet-101 up to its fourth stage (`res4b22`), from which faces are scored:
  [N, size / 16, size / 16, 1024], rounded up.
  """
  image = layers.Input((size, size, 3), name='image')
  stages = [
    ['2a', '2b', '2c'],
    ['3a', *(f'3b{n}' for n in range(1, 4))],
    ['4a', *(f'4b{n}' for n in range(1, 23))],
  ]
  x = _resnet(image, stages, epsilon=1e-5, has_bias=False)
  return tf.keras.Model(image, x, name='tiny_faces')


def position_map(size: int) -> tf.keras.Model:
  """Returns the encoder of PRN (Feng et al., ECCV 2018).

  Ten residual units down to [N, size / 32, size / 32, 512].
  """
  image = layers.Input((size, size, 3), name='image')
  x = _slim(image, 'Conv', 16, 4)
  for number in range(10):
    scope = f'resBlock_{number}' if number else 'resBlock'
    channels = 32 * 2 ** (number // 2)
    x = _position_unit(x, scope, channels, 1 if number % 2 else 2)
  return tf.keras.Model(image, x, name='position_map')


def _slim(x, scope: str, *shape: int):
  return _normed(x, (scope, f'{scope}.BatchNorm'), *shape, epsilon=1e-3)


def _position_unit(x, scope: str, channels: int, stride: int):
  shortcut = x
  if stride != 1:
    shortcut = _conv(
      x, f'{scope}.shortcut', channels, 1, stride, use_bias=False
    )
  x = _slim(x, f'{scope}.Conv', channels // 2, 1)
  x = _slim(x, f'{scope}.Conv_1', channels // 2, 4, stride)
  x = _conv(x, f'{scope}.Conv_2', channels, 1, use_bias=False)
  x = layers.Add(name=f'{scope}.add')([x, shortcut])
  x = layers.BatchNormalization(epsilon=1e-3, name=f'{scope}.BatchNorm')(x)
  return layers.ReLU(name=f'{scope}.relu')(x)


def segmentation(size: int) -> tf.keras.Model:
  """Returns the body of FCN-8s (Long et al., CVPR 2015): VGG16, convolutional.

  Up to `fc7`, from which classes are scored: with the 100 pixels that the
  release pads, [N, (size + 6) / 32, (size + 6) / 32, 4096], rounded up.
  """
  image = layers.Input((size, size, 3), name='image')
  x = layers.ZeroPadding2D(99, name='pad')(image)  # And 1 by the convolution.
  for block, (number, channels) in enumerate(
    ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
  ):
    for unit in range(1, number + 1):
      x = _conv(x, f'conv{block}_{unit}', channels, 3, activation='relu')
    x = layers.MaxPool2D(2, 2, 'same', name=f'pool{block}')(x)
  x = layers.Conv2D(4096, 7, activation='relu', name='fc6')(x)
  x = layers.Conv2D(4096, 1, activation='relu', name='fc7')(x)
  return tf.keras.Model(image, x, name='segmentation')
