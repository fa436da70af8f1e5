"""Networks in two parts: up to the last feature map, and behind it."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import tensorflow as tf

TEACHER_WIDTHS = (24, 24, 48, 48, 64, 64)
_GRID = 8  # Side of the last feature map of a built network.


@dataclasses.dataclass(frozen=True)
class Split:
  """A network whose feature maps are matched.

  Attributes:
    model: The whole network.
    body: From images to feature maps [B, h, w, C].
    head: From those to the outputs; it shares all weights.
  """

  model: tf.keras.Model
  body: tf.keras.Model
  head: tf.keras.Model

  @property
  def layer(self) -> str:
    """Name of the layer that makes the feature maps."""
    return self.body.layers[-1].name

  @property
  def linear_kernel(self) -> tf.Variable | None:
    """The kernel of a linear head on flattened features; None for others."""
    *others, last = self.head.layers
    allowed = (tf.keras.layers.InputLayer, tf.keras.layers.Flatten)
    if not isinstance(last, tf.keras.layers.Dense):
      return None
    if last.activation is not tf.keras.activations.linear:
      return None
    allowed = (*allowed, tf.keras.layers.Dropout)
    is_flat = any(isinstance(x, tf.keras.layers.Flatten) for x in others)
    plain = all(isinstance(each, allowed) for each in others)
    return last.kernel if plain and is_flat else None


def as_scores(outputs: tf.Tensor) -> tf.Tensor:
  """Returns outputs as [B, K]: those of a grid are averaged over it."""
  if outputs.shape.rank > 2:
    axes = tuple(range(1, outputs.shape.rank - 1))
    return tf.reduce_mean(outputs, axis=axes)
  return outputs


def split(model: tf.keras.Model, layer: str | None = None) -> Split:
  """Splits a network at a feature map.

  Args:
    model: Functional, with one input and one output.
    layer: Name of the layer that makes the feature maps; default: the last
      one whose maps have several positions and are all that the rest sees.

  Raises:
    ValueError: If there is no such layer, or the rest sees more than its maps.
  """
  if layer is not None:
    names = [each.name for each in model.layers]
    if layer not in names:
      raise ValueError(
        f'The network has no layer {layer!r}; its last ones are '
        f'{", ".join(names[-8:])}.'
      )
    found = _split_at(model, layer)
    if found is None:
      raise ValueError(
        f'The network cannot be split at `layer={layer}`: what is behind it '
        'also sees other layers, or it makes no feature maps.'
      )
    return found
  for each in reversed(model.layers[1:-1]):
    found = _split_at(model, each.name)
    if found is not None:
      return found
  raise ValueError(
    'The network has no layer behind which all depends on its feature maps; '
    'name one by `layer`.'
  )


def _split_at(model: tf.keras.Model, layer: str) -> Split | None:
  features = model.get_layer(layer).output
  is_map = isinstance(features, tf.keras.KerasTensor) and features.ndim == 4
  if not is_map or features.shape[1] == features.shape[2] == 1:
    return None
  if features is model.outputs[0]:
    return None
  try:
    head = tf.keras.Model(features, model.outputs[0])
  except ValueError:  # Something else leads to the output, too.
    return None
  body = tf.keras.Model(model.inputs[0], features)
  return Split(model, body, head)


def build(
  widths: Sequence[int],
  classes: int,
  side: int = 32,
  *,
  seed: int = 0,
  dropout_seed: int = 0,
) -> Split:
  """Returns a network of six convolutions, 3 x 3 with batch norm and ReLU.

  Poolings before the third and the fifth, and before the last ones where images
  are larger, make the last feature map 8 x 8; dropout and one linear layer on
  it give the logits.

  Args:
    widths: Filters of each convolution.
    classes: K.
    side: Of the images: 32, 64, 128 or 256.
    seed: Of the weights.
    dropout_seed: Of the dropout.

  Raises:
    ValueError: If the side is another.
  """
  layers = tf.keras.layers
  poolings = {
    32: (2, 4),
    64: (1, 2, 4),
    128: (1, 2, 3, 4),
    256: (1, 2, 3, 4, 5),
  }
  if side not in poolings:
    sides = ', '.join(map(str, poolings))
    raise ValueError(f'`image_size` is {side}; it must be one of {sides}.')
  tf.keras.utils.set_random_seed(seed)
  images = x = tf.keras.Input((side, side, 3), name='image')
  for number, width in enumerate(widths):
    if number in poolings[side]:
      x = layers.MaxPooling2D(name=f'pool{number}')(x)
    x = layers.Conv2D(
      width,
      3,
      padding='same',
      use_bias=False,
      kernel_initializer='he_normal',
      name=f'conv{number}',
    )(x)
    norm = layers.BatchNormalization(
      momentum=0.9, epsilon=1e-5, name=f'norm{number}'
    )
    x = layers.ReLU(name=f'relu{number}')(norm(x))
  x = layers.Dropout(0.5, seed=dropout_seed, name='dropout')(
    layers.Flatten(name='flat')(x)
  )
  logits = layers.Dense(classes, name='logits')(x)
  model = tf.keras.Model(images, logits)
  return split(model, f'relu{len(widths) - 1}')


def weights(model: tf.keras.Model) -> dict[str, np.ndarray]:
  """Returns all weights of a model by their number."""
  return {f'{i:03d}': v.numpy() for i, v in enumerate(model.weights)}


def with_weights(model: tf.keras.Model, kept: dict[str, np.ndarray]) -> None:
  """Gives a model the weights that `weights` returned of one like it."""
  for variable, name in zip(model.weights, sorted(kept), strict=True):
    variable.assign(kept[name])


def widths_of(kept: dict[str, np.ndarray]) -> tuple[int, ...]:
  """Returns the filters of each convolution, from what `weights` returned."""
  arrays = [kept[name] for name in sorted(kept)]
  return tuple(each.shape[-1] for each in arrays if each.ndim == 4)
