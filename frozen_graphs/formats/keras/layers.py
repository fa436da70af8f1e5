"""The registry of Keras layers that are rebuilt as plain operations.

A layer is a function of its inputs, its configuration as Keras stores it, and
its weights; nothing of it is a variable. What is not known raises GraphError,
by the layer's name. The layers themselves are in `keras_layer_types`.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError


@dataclasses.dataclass
class Layer:
  """One layer of a configuration.

  Attributes:
    name: As the configuration names it.
    kind: Its class name.
    config: Its options.
    weights: By the last part of their names, such as 'kernel'.
    used: Names of the weights that were asked for.
  """

  name: str
  kind: str
  config: Mapping[str, Any]
  weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  used: set[str] = dataclasses.field(default_factory=set)

  def weight(self, name: str) -> tf.Tensor:
    """Returns a weight as a constant."""
    if name not in self.weights:
      raise GraphError(
        f'{self} needs the weight {name!r}; it has {sorted(self.weights)}.'
      )
    self.used.add(name)
    return tf.constant(self.weights[name], name=name)

  def has(self, option: str, default: bool = True) -> bool:
    """Returns whether an option is on."""
    return bool(self.config.get(option, default))

  def pair(self, option: str) -> tuple[int, int]:
    """Returns an option of one number for each side, given as one or two."""
    value = self.config.get(option, 1)
    sides = tuple(value) if isinstance(value, list | tuple) else (value,) * 2
    if len(sides) != 2 or any(type(s) is not int or s < 0 for s in sides):
      raise self.unknown(option)
    return sides

  def require(self, option: str, *choices: Any) -> Any:
    """Returns an option that may have these values, the first by default."""
    value = self.config.get(option, choices[0])
    if value not in choices:
      raise self.unknown(option)
    return value

  def unknown(self, option: str) -> GraphError:
    return GraphError(
      f'{self} has {option}={self.config.get(option)!r}, which is not known.'
    )

  def __str__(self) -> str:
    return f'The layer {self.name!r} ({self.kind})'


# Of one tensor, or of the list of tensors that the layer merges.
Function = Callable[[Layer, Any], tf.Tensor]
_LAYERS: dict[str, Function] = {}
_MERGING: set[str] = set()


def register_layer(
  *kinds: str, merges: bool = False
) -> Callable[[Function], Function]:
  """Returns a decorator that makes a class of layers known.

  Args:
    *kinds: The class names that the function is for.
    merges: Whether it takes a list of tensors; else it takes one.
  """

  def register(function: Function) -> Function:
    for kind in kinds:
      if kind in _LAYERS:
        raise ValueError(f'The layer {kind!r} is registered already.')
      _LAYERS[kind] = function
      if merges:
        _MERGING.add(kind)
    return function

  return register


def kinds() -> tuple[str, ...]:
  """Returns the class names of the layers that are known, sorted."""
  return tuple(sorted(_LAYERS))


def apply(layer: Layer, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
  """Returns what a layer makes of its inputs, in the current graph.

  Raises:
    GraphError: If the layer, an option or an activation is not known, a weight
      is missing, or is one that the layer does not use.
  """
  if layer.kind not in _LAYERS:
    raise GraphError(
      f'{layer} is of an unknown class; known are {", ".join(kinds())}. Add '
      'it with frozen_graphs.formats.keras.layers.register_layer.'
    )
  if layer.kind not in _MERGING and len(inputs) != 1:
    raise GraphError(f'{layer} takes one input, but is given {len(inputs)}.')
  if layer.config.get('data_format', 'channels_last') != 'channels_last':
    raise layer.unknown('data_format')
  data = list(inputs) if layer.kind in _MERGING else inputs[0]
  try:
    result = _LAYERS[layer.kind](layer, data)
  except GraphError:
    raise
  # A configuration from a stranger can be wrong in any way.
  except (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
  ) as error:
    reason = ' '.join(str(error).split())
    raise GraphError(
      f'{layer} cannot be built on {[str(x.shape) for x in inputs]}: {reason}'
    ) from error
  if unused := sorted(set(layer.weights) - layer.used):
    raise GraphError(
      f'{layer} has the weights {unused}, which it should not have with its '
      'options; model.json and shards do not belong together.'
    )
  return result
