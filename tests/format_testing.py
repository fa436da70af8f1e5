"""Compares frozen networks with the originals, for tests of the formats."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from frozen_graphs import graph, session
from frozen_graphs.frozen import FrozenNetwork

TOLERANCE = 1e-5


def _weights(shape: tuple[int, ...]) -> np.ndarray:
  return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def run(
  network: FrozenNetwork,
  images: np.ndarray,
  output: str | None = None,
  input: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what a frozen network computes, and a gradient.

  Args:
    network: The network.
    images: [N, H, W, C].
    output: A tensor; default: the first output.
    input: A tensor; default: the first input.

  Returns:
    The output, and the gradient of a random combination of its elements.
  """
  subgraph = graph.extract(
    network.graph_def,
    input or network.inputs[0],
    output or network.outputs[0],
  )
  with tf.Graph().as_default() as imported:
    fed, value = session.import_graph(subgraph)
    config = session.config()
    with tf.compat.v1.Session(graph=imported, config=config) as running:
      shape = running.run(value, {fed: images}).shape
      (gradient,) = tf.gradients(tf.reduce_sum(value * _weights(shape)), fed)
      return running.run((value, gradient), {fed: images})


def original(
  function: Callable, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what `run` does, of a function that TensorFlow can call."""
  x = tf.constant(images)
  weights = _weights(tuple(function(x).shape))  # A graph may not know sizes.

  # As a graph, in which TensorFlow leaves out the gradients of weights: its
  # eager one of some transposed convolutions writes past its memory.
  @tf.function
  def computed(x):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(x)
      value = tf.cast(function(x), tf.float32)
      target = tf.reduce_sum(value * weights)
    return value, tape.gradient(target, x)

  value, gradient = computed(x)
  return value.numpy(), gradient.numpy()


def assert_same(actual, expected, tolerance: float = TOLERANCE) -> None:
  """Raises AssertionError unless values and gradients are the same."""
  for what, a, e in zip(('value', 'gradient'), actual, expected, strict=True):
    scale = max(1e-6, float(np.abs(e).max()))
    assert np.abs(e).max() > 0, f'the {what} of the original is zero'
    np.testing.assert_allclose(a, e, 0, tolerance * scale, err_msg=what)


def randomised(model, seed: int = 0):
  """Returns the model with all weights drawn anew; variances are positive.

  Args:
    model: A tf.keras.Model or a tf_keras.Model; it is changed.
    seed: Of the weights.
  """
  rng = np.random.default_rng(seed)
  for variable in model.weights:
    if tf.as_dtype(variable.dtype).is_floating:
      value = rng.normal(0, 0.4, tuple(variable.shape))
      name = getattr(variable, 'path', variable.name)
      if 'variance' in name or 'gamma' in name:
        value = 0.5 + np.abs(value)
      variable.assign(value.astype(np.float32))
  return model


def images(count: int = 3, size: int = 16, channels: int = 3) -> np.ndarray:
  """Returns noise, float32 [count, size, size, channels] in [0, 1]."""
  rng = np.random.default_rng(3)
  return rng.random((count, size, size, channels), np.float32)


def damaged(content: bytes, seed: int) -> bytes:
  """Returns the content of a file with some bytes changed."""
  rng = np.random.default_rng(seed)
  result = bytearray(content)
  for place in rng.integers(0, len(content), rng.integers(1, 4)):
    result[place] = rng.integers(256)
  return bytes(result)
