"""Compresses any Keras model, by its own outputs on pictures without labels.

The student learns to answer as its teacher does, and, if attributions are to be
kept, a matching holds its maps to the teacher's.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from attribution_preservation import (
  matching,
  networks,
  pruning,
  surgery,
  training,
)
from attribution_preservation.networks import Split
from attribution_preservation.training import LabelledData, Schedule, Seeds

SETTINGS = ('structured', 'unstructured', 'distillation')


@dataclasses.dataclass(frozen=True)
class Order:
  """How a model is compressed.

  Attributes:
    setting: One of SETTINGS: without the weakest filters, without the smallest
      weights, or a narrower model that learns from nothing.
    ratio: What goes: of the filters of each layer, of all weights of
      convolutions, or of all widths.
    epochs: Of learning; of each round, if there are several.
    learning_rate: Of Adam; it falls to 0 along a cosine.
    batch_size: Images a step.
    rounds: In which weights go; only for `unstructured`.
    seed: Of the order of images, and of new weights.
  """

  setting: str = 'structured'
  ratio: float = 0.5
  epochs: int = 10
  learning_rate: float = 1e-3
  batch_size: int = 32
  rounds: int = 3
  seed: int = 0

  def __post_init__(self):
    if self.setting not in SETTINGS:
      raise ValueError(
        f'`setting` is {self.setting!r}, but must be one of {SETTINGS}.'
      )
    pruning.check_rate(self.ratio)
    for name in ('epochs', 'batch_size', 'rounds'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'`{name}` is {getattr(self, name)}, but must be at least 1.'
        )
    if not 0 < self.learning_rate < np.inf:
      raise ValueError(
        f'`learning_rate` is {self.learning_rate}, but must be positive.'
      )


def methods() -> tuple[str, ...]:
  """Returns the ways of matching that pictures without labels allow."""
  return tuple(
    name
    for name in matching.names()
    # Its rows, at the input, would take gigabytes for large pictures.
    if not matching.create(name).needs_labels and name != 'subspace_input'
  )


def started(teacher: Split, order: Order) -> Split:
  """Returns a student that has not learned anything yet.

  Raises:
    ValueError: If the model cannot be compressed so.
  """
  if order.setting == 'structured':
    model = surgery.prune_filters(teacher.model, order.ratio)
  elif order.setting == 'distillation':
    model = surgery.narrowed(teacher.model, 1 - order.ratio, order.seed)
  else:
    model = surgery.copied(teacher.model)
    if not surgery.kernels(model):
      raise ValueError('The network has no convolution whose weights can go.')
  return networks.split(model, teacher.layer)


def compress(
  teacher: Split,
  images: np.ndarray,
  order: Order,
  method: str,
  beta: float | None = None,
) -> Split:
  """Returns a compressed network; the teacher stays as it is.

  Args:
    teacher: The network.
    images: As it takes them, float32 [n, H, W, C].
    order: How it is compressed.
    method: One of `methods`.
    beta: The factor of the matching; default: its own.

  Raises:
    ValueError: If the network cannot be compressed so, there are no images, or
      the method needs labels.
    FloatingPointError: If the loss is no longer finite.
  """
  way = matching.create(method)
  if way.needs_labels:
    raise ValueError(f'`method` is {method!r}, which needs labels.')
  if not len(images):
    raise ValueError('There are no images to learn from.')
  student = started(teacher, order)
  data = LabelledData(images, np.zeros((len(images), 1), np.float32))
  known = training.known_of(teacher, data, way)
  schedule = Schedule(
    order.epochs,
    order.learning_rate,
    cosine=True,
    batch_size=order.batch_size,
    weight_decay=0.0,
  )
  rounds = order.rounds if order.setting == 'unstructured' else 1
  for number in range(1, rounds + 1):
    masks = []
    if order.setting == 'unstructured':
      share = 1 - (1 - order.ratio) ** (1 / rounds)
      kernels = surgery.kernels(student.model)
      kept = pruning.weights_to_keep(
        [kernel.numpy() for kernel in kernels], pruning.sparsity(number, share)
      )
      masks = list(zip(kernels, kept, strict=True))
    training.fit(
      student,
      data,
      known,
      training.by_imitation,
      schedule,
      matching=way,
      beta=beta,
      seeds=Seeds(order.seed + number, order.seed + number),
      masks=masks,
    )
  return student


def with_logits(model: tf.keras.Model) -> tuple[tf.keras.Model, bool]:
  """Returns a model without the softmax at its end, and whether it had one."""
  softmax = tf.keras.activations.softmax
  last = model.layers[-1]
  nothing_else = tf.keras.layers.Activation, tf.keras.layers.Softmax
  if getattr(last, 'activation', None) is softmax or isinstance(
    last, tf.keras.layers.Softmax
  ):
    if not isinstance(last, nothing_else):  # A layer that ends in it.

      def clone(layer):
        config = layer.get_config()
        if layer.name == last.name:
          config['activation'] = 'linear'
        return type(layer).from_config(config)

      found = tf.keras.models.clone_model(model, clone_function=clone)
      found.set_weights(model.get_weights())
      return tf.keras.Model(found.inputs[0], found.outputs[0]), True
    return tf.keras.Model(model.inputs[0], last.input), True
  return tf.keras.Model(model.inputs[0], model.outputs[0]), False


def with_softmax(model: tf.keras.Model) -> tf.keras.Model:
  """Returns a model of logits as one of probabilities."""
  outputs = tf.keras.layers.Softmax(name='softmax')(model.outputs[0])
  return tf.keras.Model(model.inputs[0], outputs)


def scored(model: tf.keras.Model) -> tf.keras.Model:
  """Returns a model whose outputs are scores [B, K]: means over a grid."""
  outputs = model.outputs[0]
  if outputs.ndim == 2:
    return model
  pooled = tf.keras.layers.GlobalAveragePooling2D(name='scores')(outputs)
  return tf.keras.Model(model.inputs[0], pooled)


def size(model: tf.keras.Model) -> tuple[int, int]:
  """Returns how many weights a model has, and how many differ from zero.

  Those that are learned, whether or not they were frozen; not the statistics of
  norms.
  """
  values = [
    variable.numpy() for variable in surgery.copied(model).trainable_variables
  ]
  total = sum(value.size for value in values)
  return total, int(sum(np.count_nonzero(value) for value in values))
