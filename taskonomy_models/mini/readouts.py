"""Trains small readouts from frozen encoders: the transfers of the oracle.

All sources of a target whose representations have one shape are trained at once
by batched matrix products, from the same initial weights and on the same
batches, which is fast and keeps the comparison fair. Those of another shape
have first layers of another size; their hidden layers are as wide, and their
batches are the same.
"""

from collections.abc import Callable
import dataclasses

import numpy as np
import tensorflow as tf

from taskonomy_models.mini import training as mini_training
from taskonomy_models.mini.tasks import MiniTask

_HIDDEN_DENSE = 48
_HIDDEN_VECTOR = 64


@dataclasses.dataclass(frozen=True)
class ReadoutRecipe:
  """How readouts are trained.

  Attributes:
    steps: Of Adam, the rate falling to 0 along a cosine.
    batch_size: Pictures a step.
    learning_rate: At the first step.
    dropout: Before each layer of a readout that is not dense.
    checkpoints: How often, evenly, the readout is scored on held-out
      pictures; the best is kept, for each source on its own.
    seed: Of weights and batches.
  """

  steps: int = 300
  batch_size: int = 32
  learning_rate: float = 3e-3
  dropout: float = 0.5
  checkpoints: int = 5
  seed: int = 0


def _patches(representations: tf.Tensor) -> tf.Tensor:
  """3 x 3 neighbourhoods: [S, B, H, W, C] to [S, B * H * W, 9 * C]."""
  sources, batch, height, width, channels = representations.shape
  flat = tf.reshape(representations, (-1, height, width, channels))
  patches = tf.image.extract_patches(
    flat, (1, 3, 3, 1), (1, 1, 1, 1), (1, 1, 1, 1), 'SAME'
  )
  return tf.reshape(patches, (sources, batch * height * width, 9 * channels))


class Readouts:
  """One readout a source, for one target; trained together."""

  def __init__(
    self,
    task: MiniTask,
    representations: np.ndarray,
    labels: np.ndarray,
    recipe: ReadoutRecipe,
  ):
    """Builds the readouts.

    Args:
      task: The target.
      representations: Of the training pictures by each source, float
        [S, N, H, W, C]; they are standardised channel by channel. Channels
        that do not vary here have no part: there is no unit to measure in what
        they do on other pictures.
      labels: The target's, [N, ...].
      recipe: How to train.
    """
    self._task, self._recipe = task, recipe
    self._representations, self._labels = representations, labels
    axes = (1, 2, 3)
    self._mean = representations.mean(axis=axes, keepdims=True)
    varies = np.ptp(representations, axis=axes, keepdims=True) > 0
    deviation = representations.std(axis=axes, keepdims=True)
    self._scale = varies / (deviation + 1e-6)
    self._loss = mini_training.loss_function(task, labels)
    sources, _, height, width, channels = representations.shape
    # Side of the block of label pixels that one unit position predicts.
    self._cell = labels.shape[1] // height if task.dense else 0
    if task.dense:
      sizes = [9 * channels, _HIDDEN_DENSE, _HIDDEN_DENSE]
      sizes.append(self._cell**2 * task.outputs)
    else:
      sizes = [height * width * channels, _HIDDEN_VECTOR, task.outputs]
    rng = np.random.default_rng(recipe.seed)
    self._kernels, self._biases = [], []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
      kernel = rng.normal(0, np.sqrt(2 / fan_in), (1, fan_in, fan_out))
      kernel = np.repeat(kernel, sources, axis=0).astype(np.float32)
      self._kernels.append(tf.Variable(kernel))
      self._biases.append(tf.Variable(tf.zeros((sources, 1, fan_out))))
    self._variables = [*self._kernels, *self._biases]
    self._step = tf.function(self._train_step, autograph=False)
    self._score = tf.function(self._losses, autograph=False)

  def _outputs(self, inputs: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    """[S, B, H, W, C] to [S * B, ...]; `seed` turns dropout on."""
    sources, batch, height, width, _ = inputs.shape
    dense = self._task.dense
    x = _patches(inputs) if dense else tf.reshape(inputs, (sources, batch, -1))
    layers = list(zip(self._kernels, self._biases, strict=True))
    for number, (kernel, bias) in enumerate(layers):
      if seed is not None and not dense:
        keep = 1 - self._recipe.dropout
        drawn = tf.random.stateless_uniform(x.shape[1:], seed + number)
        x = x * tf.cast(drawn < keep, tf.float32) / keep
      x = x @ kernel + bias
      if number < len(layers) - 1:
        x = tf.nn.relu(x)
    if not dense:
      return tf.reshape(x, (sources * batch, -1))
    return tf.nn.depth_to_space(
      tf.reshape(x, (sources * batch, height, width, -1)), self._cell
    )

  def _losses(self, inputs, labels, seed=None):
    """Returns the loss of each source on each picture, [S, B]."""
    sources, batch = inputs.shape[:2]
    repeated = tf.repeat(labels[None], sources, axis=0)
    repeated = tf.reshape(repeated, (sources * batch, *labels.shape[1:]))
    losses = self._loss(repeated, self._outputs(inputs, seed))
    return tf.reshape(losses, (sources, batch))

  def _train_step(self, inputs, labels, rate, seed, optimizer):
    optimizer.learning_rate.assign(rate)
    with tf.GradientTape() as tape:
      # A sum over sources: no source's gradient depends on another.
      loss = tf.reduce_sum(
        tf.reduce_mean(self._losses(inputs, labels, seed), axis=1)
      )
    optimizer.apply(tape.gradient(loss, self._variables), self._variables)

  def _inputs(self, representations: np.ndarray) -> tf.Tensor:
    scaled = (representations - self._mean) * self._scale
    return tf.constant(scaled.astype(np.float32))

  def score(
    self, representations: np.ndarray, labels: np.ndarray
  ) -> np.ndarray:
    """Returns the loss of each source on each picture, float [S, N]."""
    losses = []
    for rows in mini_training.slices(len(labels)):
      inputs = self._inputs(representations[:, rows])
      losses.append(self._score(inputs, tf.constant(labels[rows])))
    return np.concatenate(losses, axis=1)

  def predict(self, representations: np.ndarray) -> np.ndarray:
    """Returns the outputs of each source's readout, float32 [S, N, ...].

    Logits, or regressed labels in their own unit.

    Args:
      representations: [S, N, H, W, C].
    """
    sources, number = representations.shape[:2]
    parts = []
    for rows in mini_training.slices(number):
      outputs = self._outputs(self._inputs(representations[:, rows]), None)
      parts.append(tf.reshape(outputs, (sources, -1, *outputs.shape[1:])))
    outputs = np.concatenate(parts, axis=1)
    if self._task.classes:
      return outputs
    mean, deviation = mini_training.standardisation(self._task, self._labels)
    return outputs * deviation + mean

  def frozen(self, source: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what builds a source's readout, its weights as constants.

    From a representation [N, H, W, C] of any number of pictures come
    probabilities of classes, or labels in their own unit: [N, ...].
    """
    layers = [
      (kernel.numpy()[source], bias.numpy()[source, 0])
      for kernel, bias in zip(self._kernels, self._biases, strict=True)
    ]
    task = self._task

    def build(representation: tf.Tensor) -> tf.Tensor:
      x = (representation - self._mean[source]) * self._scale[source]
      if not task.dense:
        x = tf.reshape(x, (-1, 1, 1, int(np.prod(x.shape[1:]))))
      for number, (kernel, bias) in enumerate(layers):
        x = x if number == 0 else tf.nn.relu(x)
        side = 3 if task.dense and number == 0 else 1
        kernel = kernel.reshape(side, side, -1, len(bias))
        x = tf.nn.conv2d(x, kernel, 1, 'SAME') + bias
      if task.dense:
        x = tf.nn.depth_to_space(x, self._cell)
      else:
        x = tf.reshape(x, (-1, task.outputs))
      if task.classes:
        return tf.nn.softmax(x)
      mean, deviation = mini_training.standardisation(task, self._labels)
      return x * deviation + mean

    return build

  def train(self, held_out: np.ndarray, held_out_labels: np.ndarray) -> None:
    """Trains, then goes back to each source's best checkpoint.

    Args:
      held_out: Representations that choose the checkpoint, [S, n, H, W, C].
      held_out_labels: [n, ...].
    """
    recipe = self._recipe
    optimizer = tf.keras.optimizers.Adam(recipe.learning_rate)
    optimizer.build(self._variables)
    rng = np.random.default_rng([recipe.seed, 1])
    best = np.full(len(self._representations), np.inf)
    kept = [variable.numpy() for variable in self._variables]
    every = max(recipe.steps // recipe.checkpoints, 1)
    number = len(self._labels)
    drawn = mini_training.batches(rng, number, min(recipe.batch_size, number))
    for step in range(recipe.steps):
      rows = next(drawn)
      rate = recipe.learning_rate * mini_training.cosine(step, recipe.steps)
      self._step(
        self._inputs(self._representations[:, rows]),
        tf.constant(self._labels[rows]),
        tf.constant(rate, tf.float32),
        tf.constant([recipe.seed, 100 * step], tf.int32),
        optimizer,
      )
      if step % every == every - 1:
        losses = self.score(held_out, held_out_labels).mean(axis=1)
        better = losses < best
        best = np.where(better, losses, best)
        for old, variable in zip(kept, self._variables, strict=True):
          old[better] = variable.numpy()[better]
    for old, variable in zip(kept, self._variables, strict=True):
      variable.assign(old)
