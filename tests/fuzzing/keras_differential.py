"""Compares random small Keras networks with what Keras and TFLite compute.

  python -m tests.fuzzing.keras_differential --networks=20000

Each has two to six layers with random attributes, and goes in turn through a
.keras file of Keras 3, a .keras and an .h5 file of Keras 2 (tf-keras), and a
TensorFlow Lite file, which its own interpreter runs. One that Keras or the
converter refuses is not counted; one that this project refuses is no fault, for
it says so; another result is.
"""

from collections import Counter
from collections.abc import Callable
import contextlib
import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import toolkit_basics.cli as cli
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry
from tests import format_testing, tflite_testing
from tests.fuzzing import differential
from tests.fuzzing.mutations import one_of

FLAGS = cli.Flags()
_ASKED = differential.Asked(FLAGS)
_MAX_TRIES = 20  # Of layers that may follow.
WAYS = ('keras 3 .keras', 'keras 2 .keras', 'keras 2 .h5', 'tflite')
_ACTIVATIONS = (
  None, 'relu', 'tanh', 'sigmoid', 'elu', 'selu', 'softplus', 'softsign',
  'swish', 'gelu', 'relu6', 'hard_sigmoid', 'exponential', 'softmax', 'linear',
)  # fmt: skip


@dataclasses.dataclass
class _Maker:
  """Makes the layers of one network, of one of the two libraries."""

  rng: np.random.Generator
  keras: Any

  def one_of(self, *values: Any) -> Any:
    return one_of(self.rng, values)

  def number(self, low: int, high: int) -> int:
    return int(self.rng.integers(low, high + 1))

  @property
  def layers(self) -> Any:
    return self.keras.layers

  def activation(self) -> Any:
    name = self.one_of(*_ACTIVATIONS)
    return None if name == 'relu6' and self.keras is tf_keras else name

  def pair(self, most: int) -> Any:
    return self.one_of(
      self.number(1, most), (self.number(1, most), self.number(1, most))
    )


def _convolution(m: _Maker, channels: int) -> Any:
  padding = m.one_of('valid', 'same')
  strides, dilation = m.one_of((m.number(1, 3), 1), (1, m.number(1, 2)))
  options = {
    'padding': padding,
    'strides': strides,
    'dilation_rate': dilation,
    'use_bias': m.one_of(True, False),
    'activation': m.activation(),
  }
  kind = m.one_of('Conv2D', 'Conv2D', 'DepthwiseConv2D', 'SeparableConv2D')
  if kind == 'Conv2D':
    groups = m.one_of(1, 1, *(g for g in (2, channels) if channels % g == 0))
    width = groups * m.number(1, 4)
    return m.layers.Conv2D(width, m.pair(3), groups=groups, **options)
  options['depth_multiplier'] = m.number(1, 2)
  if kind == 'DepthwiseConv2D':
    return m.layers.DepthwiseConv2D(m.pair(3), **options)
  return m.layers.SeparableConv2D(m.number(1, 4), m.pair(3), **options)


def _transposed(m: _Maker, channels: int) -> Any:
  del channels
  return m.layers.Conv2DTranspose(
    m.number(1, 4),
    m.number(1, 4),
    strides=m.number(1, 3),
    padding=m.one_of('valid', 'same'),
    activation=m.activation(),
  )


def _pool(m: _Maker, channels: int) -> Any:
  del channels
  if m.rng.random() < 0.2:
    kind = m.one_of('GlobalAveragePooling2D', 'GlobalMaxPooling2D')
    return getattr(m.layers, kind)(keepdims=True)
  kind = m.one_of('MaxPooling2D', 'AveragePooling2D')
  return getattr(m.layers, kind)(
    m.pair(3),
    strides=m.one_of(None, m.number(1, 3)),
    padding=m.one_of('valid', 'same'),
  )


def _norm(m: _Maker, channels: int) -> Any:
  del channels
  epsilon = m.one_of(1e-3, 1e-5)
  switches = {k: m.one_of(True, False) for k in ('center', 'scale')}
  if m.rng.random() < 0.6:
    return m.layers.BatchNormalization(epsilon=epsilon, **switches)
  axis = m.one_of(-1, [1, 2, 3])
  return m.layers.LayerNormalization(axis=axis, epsilon=epsilon, **switches)


def _activation(m: _Maker, channels: int) -> Any:
  del channels
  kind = m.one_of('Activation', 'ReLU', 'LeakyReLU', 'ELU', 'PReLU', 'Softmax')
  if kind == 'Activation':
    return m.layers.Activation(m.activation() or 'relu')
  if kind == 'ReLU':
    return m.layers.ReLU(
      m.one_of(None, 1.0, 6.0), m.one_of(0.0, 0.1), m.one_of(0.0, 0.2)
    )
  if kind == 'PReLU':
    return m.layers.PReLU(shared_axes=m.one_of(None, [1, 2]))
  if kind == 'Softmax':
    return m.layers.Softmax(axis=m.one_of(-1, 1))
  return getattr(m.layers, kind)(m.one_of(0.05, 0.3, 1.0))


def _shape(m: _Maker, channels: int) -> Any:
  del channels
  kind = m.one_of('ZeroPadding2D', 'Cropping2D', 'UpSampling2D', 'Permute')
  if kind == 'Permute':
    return m.layers.Permute(m.one_of((2, 1, 3), (3, 1, 2), (1, 3, 2)))
  if kind == 'UpSampling2D':
    interpolation = m.one_of('nearest', 'bilinear')
    return m.layers.UpSampling2D(m.pair(2), interpolation=interpolation)
  sides = ((m.number(0, 2), m.number(0, 2)), (m.number(0, 1), m.number(0, 2)))
  return getattr(m.layers, kind)(m.one_of(m.number(0, 2), sides))


_LAYERS: tuple[Callable[[_Maker, int], Any], ...] = (
  _convolution, _convolution, _transposed, _pool, _norm, _activation, _shape,
)  # fmt: skip


def network(seed: int, number: int, keras: Any) -> Any:
  """Returns the model of a number, with random weights."""
  made = _Maker(np.random.default_rng([seed, number]), keras)
  sides = made.number(4, 9), made.number(4, 9), made.number(1, 4)
  inputs = x = keras.Input(sides, batch_size=1)
  earlier = []
  for _ in range(made.number(2, 6)):
    for _ in range(_MAX_TRIES):
      try:
        following = one_of(made.rng, _LAYERS)(made, x.shape[-1])(x)
      except (ValueError, TypeError):
        continue  # It does not fit.
      if min(following.shape[1:]) > 0 and np.prod(following.shape[1:]) < 5000:
        earlier.append(x)
        x = following
        break
    same = [e for e in earlier if e.shape == x.shape]
    if same and made.rng.random() < 0.5:
      kind = made.one_of('Add', 'Multiply', 'Maximum', 'Average', 'Concatenate')
      x = getattr(keras.layers, kind)()([x, same[-1]])
  if made.rng.random() < 0.3:
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(made.number(1, 5), activation=made.activation())(x)
  model = keras.Model(inputs, x)
  for weights in model.weights:
    low = 0.2 if 'variance' in weights.name else -1.0
    shape = tuple(weights.shape)
    weights.assign(made.rng.uniform(low, 1.0, shape).astype(np.float32))
  return model


def compare(seed: int, number: int, folder: pathlib.Path) -> tuple[str, str]:
  """Returns how a network compares, and why.

  Returns:
    'same', 'refused', 'illegal' (by Keras or the converter) or 'OTHER'.
  """
  way = WAYS[number % len(WAYS)]
  keras = tf_keras if 'keras 2' in way else tf.keras
  model = network(seed, number, keras)
  described = f'{way}: {" ".join(type(e).__name__ for e in model.layers[1:])}'
  rng = np.random.default_rng([seed, number, 1])
  images = rng.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
  path = folder / f'model{"." + way.split(".")[1] if "." in way else ".tflite"}'
  try:
    if way == 'tflite':
      with contextlib.redirect_stdout(io.StringIO()):
        content = tflite_testing.content(model)
      path.write_bytes(content)
      (expected,) = tflite_testing.interpret(content, images).values()
    else:
      model.save(path)
      expected = np.concatenate(
        [e.ravel() for e in format_testing.original(model, images)]
      )
  except Exception as error:
    return 'illegal', f'{described}: {str(error)[:150]}'
  try:
    found = registry.of(path).load(path)
    value, gradient = format_testing.run(found, images)
  except GraphError as error:
    return 'refused', f'{described}: {error}'
  except Exception as error:
    why = f'{described}: {type(error).__name__} {error}'
    return differential.OTHER, why
  actual = value
  if way != 'tflite':
    actual = np.concatenate([value.ravel(), gradient.ravel()])
  return differential.verdict(actual, expected, described)


def main() -> None:
  counts: Counter[tuple[str, str]] = Counter()
  shown = differential.OTHER, 'refused'
  for number, kind, _ in _ASKED.compared(compare, shown):
    counts[WAYS[number % len(WAYS)], kind] += 1
    tf.keras.backend.clear_session()
    tf_keras.backend.clear_session()
  for (way, kind), count in sorted(counts.items()):
    print(f'{way}: {count} {kind}')
  differential.check(sum(counts[way, differential.OTHER] for way in WAYS))


if __name__ == '__main__':
  cli.run(main, FLAGS)
