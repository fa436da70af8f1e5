"""Trains networks: a teacher, or a student whose attributions are matched."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math

import numpy as np
import tensorflow as tf

from attribution_preservation import losses
from attribution_preservation.matching import Matching, Naive
from attribution_preservation.networks import Split

# From labels, the teacher's outputs and the student's to a loss.
Objective = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
_KNOWN_BATCH = 100


def by_labels(labels, teacher, outputs):
  """The task's own loss; what pruned networks are tuned by."""
  del teacher
  return tf.reduce_mean(losses.multi_label(labels, outputs))


def by_distillation(labels, teacher, outputs):
  """What small networks learn from, see `losses.distillation`."""
  return losses.distillation(labels, teacher, outputs)


def by_imitation(labels, teacher, outputs):
  """How far the outputs are from the teacher's, where there are no labels.

  The squared error over the variance of the teacher's outputs in the batch.
  """
  del labels
  spread = tf.math.reduce_variance(teacher, axis=0)
  error = tf.reduce_mean(tf.square(outputs - teacher))
  return error / (tf.reduce_mean(spread) + 1e-8)


@dataclasses.dataclass(frozen=True)
class LabelledData:
  """What networks learn from.

  Attributes:
    images: As the networks take them, float32 [n, H, W, C].
    labels: 0 or 1, float32 [n, K]; zeros where there are none.
  """

  images: np.ndarray
  labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Schedule:
  """How long and how fast a network learns, by Adam.

  Attributes:
    epochs: Over all images.
    learning_rate: At first.
    cosine: Whether it falls to 0 along a cosine; else it stays.
    batch_size: Images a step.
    weight_decay: Times the squared weights, in the loss.
  """

  epochs: int
  learning_rate: float
  cosine: bool = False
  batch_size: int = 64
  weight_decay: float = 1e-4

  def rate(self, step: int, steps: int) -> float:
    """Returns the learning rate of a step, counted from 0."""
    share = 0.5 * (1 + math.cos(math.pi * step / steps)) if self.cosine else 1
    return self.learning_rate * share


@dataclasses.dataclass(frozen=True)
class Seeds:
  """Of the order of images, and of what a matching draws for each batch.

  The weights' and the dropout's are those of `networks.build`.
  """

  batches: int = 0
  channels: int = 0


def known_of(
  teacher: Split, data: LabelledData, matching: Matching
) -> dict[str, np.ndarray]:
  """Returns what is known of the teacher: arrays of all images, by name.

  `outputs`, and what the matching needs.
  """

  @tf.function(autograph=False, reduce_retracing=True)
  def compute(images, labels):
    found = matching.known(teacher, images, labels)
    return {'outputs': teacher.model(images, training=False), **found}

  parts = []
  for start in range(0, len(data.images), _KNOWN_BATCH):
    rows = slice(start, start + _KNOWN_BATCH)
    batch = tf.constant(data.images[rows]), tf.constant(data.labels[rows])
    found = compute(*batch)
    parts.append({name: values.numpy() for name, values in found.items()})
  return {
    name: np.concatenate([part[name] for part in parts]) for name in parts[0]
  }


class _Learner:
  """One network in training; its step is traced once."""

  def __init__(self, student, objective, matching, beta, schedule, masks):
    self._student, self._objective = student, objective
    self._matching, self._beta = matching, beta
    self._decay = schedule.weight_decay
    self._variables = student.model.trainable_variables
    self._optimizer = tf.keras.optimizers.Adam(schedule.learning_rate)
    self._optimizer.build(self._variables)
    self._masks = [
      (variable, tf.constant(mask, variable.dtype)) for variable, mask in masks
    ]
    self.step = tf.function(self._step, autograph=False, reduce_retracing=True)

  def _step(self, images, labels, known, rate, seed):
    self._optimizer.learning_rate.assign(rate)
    with tf.GradientTape() as tape:
      outputs, term = self._matching.forward(
        self._student, images, labels, known, seed
      )
      loss = self._objective(labels, known['outputs'], outputs)
      total = loss + self._beta * term
    gradients = tape.gradient(total, self._variables)
    decayed = [
      gradient + self._decay * variable
      for gradient, variable in zip(gradients, self._variables, strict=True)
    ]
    self._optimizer.apply(decayed, self._variables)
    for variable, mask in self._masks:
      variable.assign(variable * mask)
    return loss, term


def fit(
  student: Split,
  data: LabelledData,
  known: Mapping[str, np.ndarray],
  objective: Objective,
  schedule: Schedule,
  *,
  matching: Matching | None = None,
  beta: float | None = None,
  seeds: Seeds = Seeds(),
  masks: Sequence[tuple[tf.Variable, np.ndarray]] = (),
  after_epoch: Callable[[int], None] = lambda epoch: None,
) -> tuple[float, float]:
  """Trains a network, in place.

  Longer than a screen for its arguments; what it does is short.

  Args:
    student: The network.
    data: To learn from.
    known: Of the teacher, see `known_of`; of a teacher itself only `outputs`,
      which then do not matter.
    objective: Its own loss.
    schedule: How long.
    matching: How its attributions are held to the teacher's; default: not.
    beta: The factor of that; default: the matching's own.
    seeds: Equal seeds give equal networks, on one thread.
    masks: Kernels and which of their weights may differ from zero.
    after_epoch: Called with the number of each epoch, from 1.

  Returns:
    The means of the last epoch's loss and of the matching's term.

  Raises:
    FloatingPointError: If the loss is no longer finite.
  """
  matching = matching or Naive()
  beta = matching.beta if beta is None else beta
  for variable, mask in masks:
    variable.assign(variable * tf.constant(mask, variable.dtype))
  learner = _Learner(student, objective, matching, beta, schedule, masks)
  rng = np.random.default_rng(seeds.batches)
  number = len(data.images)
  size = min(schedule.batch_size, number)
  per_epoch = number // size
  step, steps = 0, per_epoch * schedule.epochs
  recent: list[np.ndarray] = []

  def learn(rows: np.ndarray, step: int):
    return learner.step(
      tf.constant(data.images[rows]),
      tf.constant(data.labels[rows]),
      {name: tf.constant(values[rows]) for name, values in known.items()},
      tf.constant(schedule.rate(step, steps), tf.float32),
      tf.constant([seeds.channels, step], tf.int32),
    )

  for epoch in range(1, schedule.epochs + 1):
    order, recent = rng.permutation(number), []
    for start in range(0, per_epoch * size, size):
      recent.append(learn(np.sort(order[start : start + size]), step))
      step += 1
    if not np.isfinite(np.float32(recent[-1])).all():
      raise FloatingPointError(
        f'The loss is no longer finite in epoch {epoch}; train with a lower '
        'learning rate, or a smaller `beta`.'
      )
    after_epoch(epoch)
  loss, term = np.mean(np.asarray(recent, np.float64), axis=0)
  return float(loss), float(term)
