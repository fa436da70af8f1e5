"""Loads a layers model of TensorFlow.js: a Keras 2 model in JSON and shards.

The network is rebuilt from its configuration with plain operations and its
weights as constants. Keras 3 itself is not asked to: it refuses or misreads
several things that Keras 2 wrote (`groups` of DepthwiseConv2D, lists as `axis`,
the meaning of hard_sigmoid), and its models would have to be frozen again.
"""

from collections.abc import Mapping, Sequence
import os
import re
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import (
  layer_types,  # noqa: F401 (registers the layers)
)
from frozen_graphs.formats.keras import layers as keras_layers
from frozen_graphs.formats.keras.config import (
  MODELS,
  Entry,
  Key,
  described_model,
  entries,
  member,
  references,
)
from frozen_graphs.formats.keras.layers import Layer
from frozen_graphs.formats.tfjs import files as tfjs_files
from frozen_graphs.formats.tfjs import weights as tfjs_weights
from frozen_graphs.frozen import FrozenNetwork

_MAX_DEPTH = 16
_NOT_IN_NAMES = re.compile(r'[^A-Za-z0-9_./-]')

NodeDef = tf.compat.v1.NodeDef


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a layers model's model.json, or its folder."""
  return tfjs_files.kind(path) == tfjs_files.LAYERS_MODEL


def load(source: str | os.PathLike) -> FrozenNetwork:
  """Loads a layers model of TensorFlow.js.

  Args:
    source: A model.json, which may have another name, or the folder of one;
      the shards lie beside it.

  Returns:
    The network. An input has the name of its input layer. What the layer `name`
    returns is the tensor `name_out:0`; where it is used once more,
    `name_out_1:0` and so on; in a model that is a layer of another,
    `model/name_out:0`. Characters that TensorFlow does not allow become `_`.

  Raises:
    GraphError: If a file is damaged, missing or too large, or a layer or one of
      its options is not known.
    OSError: If a file cannot be read.
  """
  model = tfjs_files.read(source, tfjs_files.LAYERS_MODEL)
  values = tfjs_weights.decode(model)
  try:
    builder = _Builder(_Weights(values))
    return builder.freeze(
      *described_model(model.topology),
      source=f'TensorFlow.js layers model {model.path}',
    )
  except GraphError as error:
    raise GraphError(f'{model.path}: {error}') from error


class _Weights:
  """The weights of the layers, by the layers' names."""

  def __init__(self, values: Mapping[str, np.ndarray]):
    self._layers: dict[str, dict[str, np.ndarray]] = {}
    for name, value in values.items():
      layer, _, last = name.rpartition('/')
      self._layers.setdefault(layer, {})[last] = value
    self._unused = set(self._layers)

  def of(self, layer: str) -> Mapping[str, np.ndarray]:
    """Returns the weights of a layer by the last part of their names.

    Keras 2 may write the scopes in which a layer was made before its name.
    """
    found = [
      name
      for name in self._layers
      if name == layer or name.endswith(f'/{layer}')
    ]
    if layer in found:
      found = [layer]
    if len(found) > 1:
      raise GraphError(
        f'The weights of {found[0]!r} and {found[1]!r} may both be those of '
        f'the layer {layer!r}.'
      )
    self._unused.difference_update(found)
    return self._layers[found[0]] if found else {}

  def check_all_used(self) -> None:
    if self._unused:
      raise GraphError(
        f'The weights of {sorted(self._unused)[:5]} belong to no layer; '
        'model.json and shards do not belong together.'
      )


class _Builder:
  """Builds the graph of a model, and notes what its tensors are called."""

  def __init__(self, weights: _Weights):
    self._weights = weights
    self._inputs: list[str] = []
    self._names: dict[str, tf.Tensor] = {}

  def freeze(self, kind: str, config: Any, source: str) -> FrozenNetwork:
    """Returns the network of a model's configuration."""
    with tf.Graph().as_default() as graph:
      outputs = self._model(kind, config, None, scope='', depth=0)
    self._weights.check_all_used()
    graph_def = graph.as_graph_def()
    taken = {node.name for node in graph_def.node}
    for name, tensor in self._names.items():
      if name in taken:
        raise GraphError(
          f"The name {name!r} of a layer's output is that of another node; "
          'rename the layer.'
        )
      node = NodeDef(op='Identity', name=name, input=[tensor.name])
      node.attr['T'].type = tensor.dtype.as_datatype_enum
      graph_def.node.append(node)
    named = {tensor.name: f'{name}:0' for name, tensor in self._names.items()}
    return FrozenNetwork(
      graph_def=graph_def,
      inputs=tuple(self._inputs),
      outputs=tuple(named.get(tensor.name, tensor.name) for tensor in outputs),
      source=source,
    )

  def _model(
    self,
    kind: str,
    config: Any,
    given: Sequence[tf.Tensor] | None,
    scope: str,
    depth: int,
  ) -> list[tf.Tensor]:
    """Returns the outputs of a model.

    Args:
      kind: One of MODELS.
      config: Of the model.
      given: What its inputs are; None makes placeholders.
      scope: Before the names of its layers.
      depth: How many models it is in.
    """
    if depth > _MAX_DEPTH:
      raise GraphError(f'Models are nested more than {_MAX_DEPTH} deep.')
    if kind == 'Sequential':
      return self._sequential(config, given, scope, depth)
    return self._functional(config, given, scope, depth)

  def _sequential(self, config, given, scope, depth) -> list[tf.Tensor]:
    layers = config if isinstance(config, list) else member(config, 'layers')
    tensors = given
    for entry in entries(layers):
      if entry.kind == 'InputLayer':
        tensors = tensors or [self._placeholder(entry, scope + entry.name)]
        continue
      if tensors is None and entry.kind not in MODELS:
        tensors = [self._placeholder(entry, f'{scope}{entry.name}_input')]
      tensors = self._call(entry, 0, tensors, scope, depth)
    if not tensors:
      raise GraphError('A Sequential model has no layers.')
    return tensors

  def _functional(self, config, given, scope, depth) -> list[tf.Tensor]:
    layers = list(entries(member(config, 'layers')))
    inputs = [name for name, *_ in references(member(config, 'input_layers'))]
    tensors = self._feed(layers, inputs, given, scope)
    waiting = [
      (entry, index, references(node))
      for entry in layers
      for index, node in enumerate(entry.inbound)
    ]
    while waiting:
      later = []
      for entry, index, needed in waiting:
        if not all(key in tensors for key in needed):
          later.append((entry, index, needed))
          continue
        given = [tensors[key] for key in needed]
        results = self._call(entry, index, given, scope, depth)
        for number, tensor in enumerate(results):
          tensors[entry.name, index, number] = tensor
      if len(later) == len(waiting):
        raise GraphError(_stuck(later, tensors))
      waiting = later
    outputs = references(member(config, 'output_layers'))
    if missing := [key for key in outputs if key not in tensors]:
      raise GraphError(
        f'The output {missing[0][0]!r} is no layer of the model.'
      )
    return [tensors[key] for key in outputs]

  def _feed(
    self,
    layers: Sequence[Entry],
    inputs: Sequence[str],
    given: Sequence[tf.Tensor] | None,
    scope: str,
  ) -> dict[Key, tf.Tensor]:
    """Returns what the input layers stand for: `given`, or placeholders."""
    if given is not None and len(given) != len(inputs):
      raise GraphError(
        f'The model {scope!r} has {len(inputs)} inputs, but is given '
        f'{len(given)}.'
      )
    fed = dict(zip(inputs, given or (), strict=False))
    return {
      (entry.name, 0, 0): fed[entry.name]
      if entry.name in fed
      else self._placeholder(entry, scope + entry.name)
      for entry in layers
      if entry.kind == 'InputLayer'
    }

  def _call(
    self,
    entry: Entry,
    index: int,
    inputs: Sequence[tf.Tensor] | None,
    scope: str,
    depth: int,
  ) -> list[tf.Tensor]:
    """Returns the outputs of a layer, used for the `index`-th time."""
    again = f'_{index}' if index else ''
    if entry.kind in MODELS:
      inner = f'{scope}{entry.name}{again}/'
      outputs = self._model(entry.kind, entry.config, inputs, inner, depth + 1)
    else:
      layer = Layer(
        entry.name, entry.kind, entry.config, self._weights.of(entry.name)
      )
      with tf.name_scope(_node_name(scope + entry.name)):
        outputs = [keras_layers.apply(layer, inputs)]
    if len(outputs) == 1:
      name = _node_name(f'{scope}{entry.name}_out{again}')
      if name in self._names:
        raise GraphError(
          f'Two layers are named {entry.name!r}, apart from characters that '
          'TensorFlow does not allow.'
        )
      self._names[name] = outputs[0]
    return outputs

  def _placeholder(self, entry: Entry, name: str) -> tf.Tensor:
    shape = entry.config.get('batch_input_shape')
    if not isinstance(shape, list) or len(shape) < 2:
      raise GraphError(
        f'The layer {entry.name!r} states no "batch_input_shape" for its '
        f'input: {shape!r}.'
      )
    try:
      tensor = tf.compat.v1.placeholder(
        entry.config.get('dtype') or 'float32', shape, _node_name(name)
      )
    except (TypeError, ValueError) as error:
      raise GraphError(f'The input {entry.name!r}: {error}') from error
    self._inputs.append(tensor.name)
    return tensor


def _stuck(waiting: Sequence, tensors: Mapping) -> str:
  entry, _, needed = waiting[0]
  missing = next(key for key in needed if key not in tensors)
  return (
    f'The layer {entry.name!r} needs {missing[0]!r}, which is no layer before '
    'it; the file is damaged or the layers form a cycle.'
  )


def _node_name(name: str) -> str:
  """Returns a name that TensorFlow allows."""
  allowed = _NOT_IN_NAMES.sub('_', name)
  return allowed if allowed[0].isalnum() else f'layer{allowed}'


@keras_layers.register_layer('MultiplyBeta')
def _multiply_beta(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  """Scales a residual (ESRGAN of UpscalerJS, whose runtime knows 0.2 only)."""
  return x * float(layer.config.get('beta', 0.2))


@keras_layers.register_layer(*(f'PixelShuffle{n}x' for n in (2, 3, 4, 8)))
def _pixel_shuffle(layer: Layer, x: tf.Tensor) -> tf.Tensor:
  """Moves channels into space (ESRGAN of UpscalerJS)."""
  scale = int(layer.kind.removeprefix('PixelShuffle').removesuffix('x'))
  layer.require('scale', scale)
  return tf.nn.depth_to_space(x, scale)
