"""Makes a smaller Keras model: fewer filters, or the same layout, narrower.

Channels flow from a convolution through what treats each of them alone (norms,
activations, poolings, depthwise convolutions) to the next convolution or dense
layer. Tensors that are added to each other share their channels. A convolution
whose channels nobody else makes, and that are no output, can lose filters.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from attribution_preservation import pruning

_layers = tf.keras.layers
_CHANNELWISE = (
  _layers.Activation,
  _layers.AveragePooling2D,
  _layers.BatchNormalization,
  _layers.Cropping2D,
  _layers.Dropout,
  _layers.ELU,
  _layers.GlobalAveragePooling2D,
  _layers.GlobalMaxPooling2D,
  _layers.LeakyReLU,
  _layers.MaxPooling2D,
  _layers.ReLU,
  _layers.SpatialDropout2D,
  _layers.UpSampling2D,
  _layers.ZeroPadding2D,
)
# Activations of a channel that depend on the others.
_MIXING = (
  tf.keras.activations.log_softmax,
  tf.keras.activations.softmax,
  tf.keras.activations.sparsemax,
)
_JOINING = (
  _layers.Add,
  _layers.Average,
  _layers.Maximum,
  _layers.Minimum,
  _layers.Multiply,
  _layers.Subtract,
)


def is_convolution(layer: tf.keras.Layer) -> bool:
  """Whether a layer is a plain two-dimensional convolution."""
  return (
    type(layer) is _layers.Conv2D
    and layer.groups == 1
    and layer.data_format == 'channels_last'
  )


@dataclasses.dataclass
class _Channels:
  """The channels that tensors share.

  Attributes:
    makers: Convolutions whose filters they are.
    fixed: Whether their number cannot be changed.
    parent: Where they were joined with others; None if they were not.
  """

  makers: list[str] = dataclasses.field(default_factory=list)
  fixed: bool = False
  parent: '_Channels | None' = None

  def root(self) -> '_Channels':
    found = self
    while found.parent is not None:
      found = found.parent
    return found


class Channels:
  """Which channels flow into and out of each layer of a model."""

  def __init__(self, model: tf.keras.Model):
    """Follows the channels through a functional model."""
    self._of_tensor: dict[int, _Channels] = {}
    self._inputs: dict[str, _Channels] = {}
    self._outputs: dict[str, _Channels] = {}
    # A layer that other models share has nodes of theirs, too.
    nodes = {id(n) for d in model._nodes_by_depth.values() for n in d}
    for layer in model.layers:
      own = [node for node in layer._inbound_nodes if id(node) in nodes]
      made = self._through(layer, own)
      self._outputs[layer.name] = made
      for node in own:
        for tensor in node.outputs:
          self._of_tensor[id(tensor)] = made
    for tensor in model.outputs:
      self._of_tensor[id(tensor)].root().fixed = True

  def _through(self, layer: tf.keras.Layer, nodes: Sequence) -> _Channels:
    if isinstance(layer, _layers.InputLayer):
      return _Channels(fixed=True)
    inputs = [tensor for node in nodes for tensor in node.input_tensors]
    entering = [self._of_tensor[id(tensor)] for tensor in inputs]
    if len(nodes) != 1:  # It is used several times.
      return _barrier(entering)
    if len(entering) == 1:
      self._inputs[layer.name] = entering[0]
    if is_convolution(layer):
      return _Channels([layer.name])
    if isinstance(layer, _layers.Dense) and inputs[0].ndim == 2:
      return _Channels(fixed=True)
    if not _keeps_channels(layer, inputs[0]):
      return _barrier(entering)
    if isinstance(layer, _CHANNELWISE):
      return entering[0]
    if isinstance(layer, _layers.DepthwiseConv2D):
      if layer.depth_multiplier == 1:
        return entering[0]
    if isinstance(layer, _layers.Flatten):
      return entering[0]
    if isinstance(layer, _JOINING):
      return _joined(entering)
    return _barrier(entering)

  def prunable(self) -> list[str]:
    """Returns the convolutions that can lose filters, in order."""
    return [
      name
      for name, made in self._outputs.items()
      if not made.root().fixed and made.root().makers == [name]
    ]

  def narrowable(self) -> list[str]:
    """Returns the convolutions whose number of filters can be another."""
    return [
      name
      for name, made in self._outputs.items()
      if not made.root().fixed and name in made.root().makers
    ]

  def entering(self, layer: str, kept: Mapping[str, np.ndarray]):
    """Returns which channels of a layer's input stay; None for all."""
    return self._kept(self._inputs.get(layer), kept)

  def leaving(self, layer: str, kept: Mapping[str, np.ndarray]):
    """Returns which channels of a layer's output stay; None for all."""
    return self._kept(self._outputs[layer], kept)

  def number_entering(self, layer: str, model: tf.keras.Model) -> int:
    """Returns how many channels flow into a layer; 0 if that is not known."""
    channels = self._inputs.get(layer)
    makers = channels.root().makers if channels is not None else []
    return model.get_layer(makers[0]).filters if makers else 0

  def _kept(self, channels: _Channels | None, kept):
    makers = channels.root().makers if channels is not None else []
    return kept.get(makers[0]) if len(makers) == 1 else None


def _keeps_channels(layer: tf.keras.Layer, before) -> bool:
  """Whether a layer that could do otherwise treats each channel alone."""
  if getattr(layer, 'data_format', None) == 'channels_first':
    return False
  if isinstance(layer, _layers.BatchNormalization):
    return layer.axis in (-1, before.ndim - 1)
  if isinstance(layer, _layers.Activation):
    return layer.activation not in _MIXING
  return True


def _barrier(groups: Sequence[_Channels]) -> _Channels:
  """Fixes groups that flow into what is not known; returns what comes out."""
  for group in groups:
    group.root().fixed = True
  return _Channels(fixed=True)


def _joined(groups: Sequence[_Channels]) -> _Channels:
  """Makes several groups one."""
  first, *others = (group.root() for group in groups)
  for other in others:
    if other is not first:
      first.makers += other.makers
      first.fixed |= other.fixed
      other.parent = first
  return first


def prune_filters(
  model: tf.keras.Model,
  rate: float,
  layers: Collection[str] | None = None,
) -> tf.keras.Model:
  """Returns a model without the filters of the smallest L1 norms.

  Args:
    model: Functional; it stays as it is.
    rate: Share of the filters of each layer that go, in [0, 1).
    layers: Which convolutions lose filters; default: all that can.

  Raises:
    ValueError: If the rate is not in [0, 1), or a layer cannot lose filters.
  """
  pruning.check_rate(rate)
  channels = Channels(model)
  able = channels.prunable()
  if not able:
    raise ValueError(
      'No convolution of the network can lose filters: all of them are added '
      'to others, or are outputs. Use `setting=unstructured`.'
    )
  if unable := sorted(set(layers or ()) - set(able)):
    raise ValueError(
      f'{unable[0]!r} cannot lose filters; these can: {", ".join(able)}.'
    )
  kept = {
    name: pruning.filters_to_keep(model.get_layer(name).kernel.numpy(), rate)
    for name in (able if layers is None else layers)
  }
  smaller = _with_filters(model, {n: len(own) for n, own in kept.items()})
  for layer in model.layers:
    if isinstance(layer, _layers.InputLayer):
      continue  # It has no weights, and its clone another name.
    entering = channels.entering(layer.name, kept)
    leaving = channels.leaving(layer.name, kept)
    before = channels.number_entering(layer.name, model)
    cut = [
      _cut(layer, value, entering, leaving, before)
      for value in layer.get_weights()
    ]
    smaller.get_layer(layer.name).set_weights(cut)
  return smaller


def narrowed(
  model: tf.keras.Model, share: float, seed: int = 0
) -> tf.keras.Model:
  """Returns a model of the same layout with fewer filters, newly initialised.

  All convolutions have int(share * filters), but those whose filters are
  outputs or whose number other layers rely on.

  Args:
    model: Functional.
    share: In (0, 1].
    seed: Of the new weights.

  Raises:
    ValueError: If no convolution can have fewer filters.
  """
  names = Channels(model).narrowable()
  if not names:
    raise ValueError(
      'No convolution of the network can have fewer filters: other layers '
      'rely on their number.'
    )
  filters = {
    name: max(1, int(share * model.get_layer(name).filters)) for name in names
  }
  tf.keras.utils.set_random_seed(seed)
  return _with_filters(model, filters)


def copied(model: tf.keras.Model) -> tf.keras.Model:
  """Returns a model with weights of its own, which are equal."""
  copy = _with_filters(model, {})
  copy.set_weights(model.get_weights())
  return copy


def _with_filters(
  model: tf.keras.Model, filters: Mapping[str, int]
) -> tf.keras.Model:
  """Returns a new model whose layers have other numbers of filters."""

  def clone(layer):
    config = layer.get_config()
    if layer.name in filters:
      config['filters'] = filters[layer.name]
    return type(layer).from_config(config)

  found = tf.keras.models.clone_model(model, clone_function=clone)
  for layer in found._flatten_layers():  # The setter of a model stays outside.
    layer.trainable = True  # Also what was frozen: it learns without a part.
  return tf.keras.Model(found.inputs[0], found.outputs[0], name=model.name)


def _cut(
  layer, value: np.ndarray, entering, leaving, before: int
) -> np.ndarray:
  """Returns a weight with the channels that stay."""
  if is_convolution(layer):
    if value.ndim == 4 and entering is not None:
      value = value[:, :, entering]
    return value if leaving is None else value[..., leaving]
  if isinstance(layer, _layers.Dense):
    if value.ndim == 2 and entering is not None:
      # The channels of each position of a flattened map are side by side.
      rows = value.reshape(-1, before, value.shape[-1])
      value = rows[:, entering].reshape(-1, value.shape[-1])
    return value
  if entering is None:
    return value
  if isinstance(layer, _layers.DepthwiseConv2D) and value.ndim == 4:
    return value[:, :, entering]
  # Of a flattened map each channel has a value at each position.
  return value.reshape(-1, before)[:, entering].reshape(-1)


def kernels(model: tf.keras.Model) -> list[tf.Variable]:
  """Returns the kernels of all convolutions, whose weights can be zeroed."""
  return [layer.kernel for layer in model.layers if is_convolution(layer)]
