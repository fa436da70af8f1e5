"""Trains one encoder and decoder of the mini bank.

The recipe matters to attribution more than the method does: the gradients of
plainly trained networks are nearly orthogonal to each other. Two ordinary
choices make them comparable, one random initialisation shared by all tasks,
and noise on every training picture.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import math
import time

import numpy as np
import tensorflow as tf

from taskonomy_models.mini import network as mini_network
from taskonomy_models.mini.architectures import registry
from taskonomy_models.mini.tasks import MiniTask

_EVALUATION_BATCH = 100


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How the networks of a bank are trained.

  Attributes:
    steps: Of Adam, the rate falling to 0 along a cosine.
    batch_size: Pictures a step.
    learning_rate: After `warm_up` steps.
    warm_up: Steps.
    noise: Each picture gets Gaussian noise of its own standard deviation,
      uniform in [0, noise], in the unit of the input; a task with a noise of
      its own keeps that.
    common_start: Whether all encoders of an architecture start from the same
      random weights.
    seed: Of weights, batches and noise.
    architecture: Of the encoders, a name of `architectures.registry`.
  """

  steps: int = 1500
  batch_size: int = 32
  learning_rate: float = 2e-3
  warm_up: int = 60
  noise: float = 0.5
  common_start: bool = True
  seed: int = 0
  architecture: str = registry.DEFAULT

  def __post_init__(self):
    registry.check(self.architecture)

  def rate(self, step: int) -> float:
    """Returns the learning rate of a step, counted from 0."""
    warm = min(1.0, (step + 1) / self.warm_up)
    return self.learning_rate * warm * cosine(step, self.steps)


def cosine(step: int, steps: int) -> float:
  """Falls from 1 to 0 over the steps of a training."""
  return 0.5 * (1 + math.cos(math.pi * step / steps))


def batches(
  rng: np.random.Generator, number: int, size: int
) -> Iterator[np.ndarray]:
  """Yields the rows of batches without an end, each round in a new order."""
  order = np.zeros(0, int)
  while True:
    if len(order) < size:
      order = rng.permutation(number)
    rows, order = np.split(order, [size])
    yield rows


def slices(number: int) -> Iterator[slice]:
  """Yields the rows that are evaluated at once."""
  for start in range(0, number, _EVALUATION_BATCH):
    yield slice(start, start + _EVALUATION_BATCH)


@dataclasses.dataclass(frozen=True)
class Data:
  """Pictures uint8 [N, S, S, 3] and one task's labels [N, ...]."""

  images: np.ndarray
  labels: np.ndarray


def standardisation(
  task: MiniTask, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation of each output over a training set."""
  values = np.asarray(labels, np.float32).reshape(-1, task.outputs)
  return values.mean(axis=0), values.std(axis=0) + 1e-6


def _central(side: int, channels: int) -> np.ndarray:
  """1 in the central square of half the side, 0 around it."""
  mask = np.zeros((side, side, channels), np.float32)
  mask[side // 4 : side - side // 4, side // 4 : side - side // 4] = 1
  return mask


def loss_function(
  task: MiniTask, labels: np.ndarray
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
  """Returns the loss of each picture, from labels and outputs.

  Cross-entropy in nats, or the squared error of labels standardised over the
  training set `labels`; a mean over pixels, in the central square if masked.
  """
  cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

  def per_picture(loss):
    return tf.reduce_mean(tf.reshape(loss, (tf.shape(loss)[0], -1)), axis=1)

  if task.classes:
    return lambda wanted, outputs: per_picture(
      cross_entropy(tf.cast(wanted, tf.int32), outputs)
    )
  mean, deviation = standardisation(task, labels)
  weight = np.ones(labels.shape[1:], np.float32)
  if task.masked:
    weight = _central(labels.shape[1], task.outputs)
  weight = weight / weight.mean()

  def squared_error(wanted, outputs):
    scaled = (tf.cast(wanted, tf.float32) - mean) / deviation
    return per_picture(weight * tf.square(outputs - scaled))

  return squared_error


def constant_outputs(task: MiniTask, labels: np.ndarray) -> np.ndarray:
  """Returns the best outputs that do not look at the picture, [outputs].

  The mean of the labels (0 once standardised), or the log of the classes'
  frequencies.
  """
  if not task.classes:
    return np.zeros(task.outputs, np.float32)
  classes = np.asarray(labels).astype(int).ravel()
  counts = np.bincount(classes, minlength=task.outputs)
  return np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)


class _Trainer:
  """One network in training; its step is traced once."""

  def __init__(self, task, recipe, training: Data, preprocess, seed: int):
    self._task, self._recipe, self._seed = task, recipe, seed
    self._preprocess = preprocess
    side = training.images.shape[1]
    channels = preprocess(training.images[:1]).shape[-1]
    build = registry.get(registry.assigned(recipe.architecture, task.name))
    self.encoder = build(channels, side)
    start = recipe.seed if recipe.common_start else seed
    mini_network.initialise(self.encoder, start)
    grid = self.encoder.output_shape[1:]
    self._decoder = mini_network.build_decoder(task, grid, side)
    self._loss = loss_function(task, training.labels)
    self._optimizer = tf.keras.optimizers.Adam(recipe.learning_rate)
    self._variables = [
      *self.encoder.trainable_variables,
      *self._decoder.trainable_variables,
    ]
    self._optimizer.build(self._variables)
    visible = 1 - _central(side, 1) if task.masked else 1.0
    self._visible = tf.constant(visible, tf.float32)
    self._traced = tf.function(self._step, autograph=False)

  def step(self, data: Data, step: int) -> tf.Tensor:
    """Learns from a batch; returns its loss."""
    return self._traced(
      tf.constant(self._preprocess(data.images)),
      tf.constant(data.labels),
      tf.constant(self._recipe.rate(step), tf.float32),
      tf.constant([self._seed, 2 * step], tf.int32),
    )

  def _noise(self, inputs, seed):
    shape = tf.shape(inputs)
    spread = (shape[0], 1, 1, 1)
    if self._task.noise:
      sigma = tf.fill(spread, self._task.noise)
    else:
      sigma = tf.random.stateless_uniform(spread, seed) * self._recipe.noise
    noise = tf.random.stateless_normal(shape, seed + 1) * sigma
    return inputs + noise * self._visible

  def _step(self, inputs, labels, rate, seed):
    if self._task.noise or self._recipe.noise:
      inputs = self._noise(inputs, seed)
    self._optimizer.learning_rate.assign(rate)
    with tf.GradientTape() as tape:
      outputs = self._decoder(self.encoder(inputs, training=True))
      loss = tf.reduce_mean(self._loss(labels, outputs))
    gradients = tape.gradient(loss, self._variables)
    self._optimizer.apply(gradients, self._variables)
    return loss

  def evaluate(self, data: Data) -> float:
    """Returns the mean loss of pictures; noise as the task defines it."""

    @tf.function(autograph=False, reduce_retracing=True)
    def forward(inputs):
      return self._decoder(self.encoder(inputs, training=False), training=False)

    rng = np.random.default_rng(self._seed)
    losses = []
    for rows in slices(len(data.images)):
      inputs = self._preprocess(data.images[rows])
      if self._task.noise:
        noise = rng.normal(0, self._task.noise, inputs.shape)
        inputs = inputs + noise.astype(np.float32)
      outputs = forward(tf.constant(inputs))
      losses.append(self._loss(tf.constant(data.labels[rows]), outputs).numpy())
    return float(np.concatenate(losses).mean())

  def constant_loss(self, constant: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean loss of outputs that are the same for all pictures."""
    shape = labels.shape
    if self._task.classes:
      shape = (*shape, self._task.outputs)
    outputs = tf.broadcast_to(constant, shape)
    return float(tf.reduce_mean(self._loss(tf.constant(labels), outputs)))


def train(
  task: MiniTask,
  recipe: Recipe,
  training: Data,
  test: Data,
  preprocess: Callable[[np.ndarray], np.ndarray],
  task_number: int = 0,
) -> tuple[tf.keras.Model, Mapping[str, float]]:
  """Trains a task's network from scratch.

  Args:
    task: What to learn.
    recipe: How.
    training: Training set.
    test: Scored once, at the end.
    preprocess: T, from uint8 pictures to float32 inputs [N, S, S, C].
    task_number: Makes the random numbers of this task its own.

  Returns:
    The encoder, and `test_loss`, `constant_loss` (of the best constant
    outputs on the same pictures), `train_loss` (over the last 50 steps) and
    `seconds`.

  Raises:
    FloatingPointError: If the loss is no longer finite.
  """
  started = time.monotonic()
  seed = recipe.seed * 1000 + task_number + 1
  tf.keras.utils.set_random_seed(seed)
  trainer = _Trainer(task, recipe, training, preprocess, seed)
  rng = np.random.default_rng(seed)
  drawn = batches(rng, len(training.images), recipe.batch_size)
  recent = []
  for step in range(recipe.steps):
    rows = np.sort(next(drawn))
    batch = Data(training.images[rows], training.labels[rows])
    value = trainer.step(batch, step)
    recent = [*recent[-49:], value]
    if step % 100 == 99 and not np.isfinite(value):
      raise FloatingPointError(
        f'{task.name}: the loss is {float(value)} at step {step}. '
        'Train with a lower learning rate.'
      )
  constant = constant_outputs(task, training.labels)
  return trainer.encoder, {
    'test_loss': trainer.evaluate(test),
    'constant_loss': trainer.constant_loss(constant, test.labels),
    'train_loss': float(np.mean(recent)),
    'seconds': time.monotonic() - started,
  }
