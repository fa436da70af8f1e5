"""Loads a Keras model: an object in memory, or a .keras or .h5 file.

The model is traced in inference mode with its weights as constants. What each
layer returns can be named as a representation.
"""

from collections.abc import Iterator, Mapping
import contextlib
import functools
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from frozen_graphs import control_flow, graph_ends, variables
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import files as keras_files
from frozen_graphs.frozen import FrozenNetwork

_NOT_IN_NAMES = re.compile(r'[^A-Za-z0-9_./-]')
NodeDef = tf.compat.v1.NodeDef

# Layers' results, in the order of their computation: name and tensor.
_Taps = list[tuple[str, tf.Tensor]]


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a file of Keras."""
  path = pathlib.Path(path)
  return path.suffix in keras_files.SUFFIXES and path.exists()


def accepts(source: object) -> bool:
  """Returns whether `source` is a model in memory."""
  return isinstance(source, tf.keras.Model)


def load(source: tf.keras.Model | str | os.PathLike) -> FrozenNetwork:
  """Loads a Keras model.

  Args:
    source: A model, or a file of one.

  Returns:
    The network. An input has the name of its input layer. What the layer `name`
    returns is the tensor `name_out:0`; where it is used once more,
    `name_out_1:0` and so on; in a model that is a layer of another,
    `model/name_out:0`. Characters that TensorFlow does not allow become `_`.

  Raises:
    GraphError: If the model cannot be loaded or traced.
    OSError: If the file cannot be read.
  """
  origin = 'object'
  if not isinstance(source, tf.keras.Model):
    origin = os.fspath(source)
    source = keras_files.load_model(source)
  graph_def, inputs, outputs = _trace(source)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.images_first(graph_def.node, inputs),
    outputs=outputs,
    source=f'Keras model {origin} ({source.name})',
  )


def _trace(
  model: tf.keras.Model,
) -> tuple[tf.compat.v1.GraphDef, list[str], tuple[str, ...]]:
  """Returns the graph of a model, and the names of its inputs and outputs."""
  specifications = _inputs(model)
  taps: _Taps = []
  outputs = []

  @tf.function(autograph=False)
  def function(fed):
    results = tf.nest.flatten(model(fed, training=False))
    named = _name(taps)
    outputs.extend(
      named.get(id(tensor)) or tf.identity(tensor, name=f'output_{number}').name
      for number, tensor in enumerate(results)
    )

  try:
    with _recording(model, taps):
      traced = function.get_concrete_function(specifications)
  except Exception as error:  # A layer's own code may raise anything.
    reason = ' '.join(str(error).split())
    raise GraphError(
      f'The Keras model {model.name!r} cannot be traced for inference: {reason}'
    ) from error
  count = len(tf.nest.flatten(specifications))
  inputs = [tensor.name for tensor in traced.inputs[:count]]
  return _frozen(traced), inputs, tuple(outputs)


def _frozen(traced) -> tf.compat.v1.GraphDef:
  """Returns a concrete function's graph; what it captured becomes constants."""
  graph_def = traced.graph.as_graph_def()
  nodes = {node.name: node for node in graph_def.node}
  captured = traced.captured_inputs
  inputs = traced.inputs[len(traced.inputs) - len(captured) :]
  by_handle = {id(v.handle): v for v in traced.variables}
  values, constants = {}, {}
  for inner, tensor in zip(inputs, captured, strict=True):
    name = inner.op.name
    if tensor.dtype == tf.resource:
      if id(tensor) not in by_handle:
        raise GraphError(
          f'The model uses the resource {name!r}, which is no variable (but a '
          'lookup table, for example); it cannot be frozen.'
        )
      values[name] = by_handle[id(tensor)].numpy()
      _become_variable(nodes[name], values[name])
    elif nodes[name].op == 'Placeholder':  # Small ones are constants already.
      constants[name] = tensor.numpy()
  graph_def = control_flow.fold(graph_def, constants)
  for node in graph_def.node:
    node.attr.pop('_gradient_op_type', None)  # Known to this process alone.
  return variables.freeze(graph_def, lambda node: values[node.name])


def _become_variable(node: NodeDef, value: np.ndarray) -> None:
  node.CopyFrom(NodeDef(name=node.name, op='VarHandleOp'))
  kind = tf.as_dtype(value.dtype)
  node.attr['dtype'].type = kind.as_datatype_enum
  node.attr['shape'].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())


def _inputs(model: tf.keras.Model):
  """Returns what the model is called with, as tf.TensorSpec."""
  if getattr(model, 'inputs', None):
    names = {
      id(layer.output): layer.name
      for layer in model.layers
      if isinstance(layer, tf.keras.layers.InputLayer)
    }
    is_chain = isinstance(model, tf.keras.Sequential)
    return tf.nest.map_structure(
      lambda t: tf.TensorSpec(
        t.shape, t.dtype, _allowed(names.get(id(t), t.name))
      ),
      model.inputs[0] if is_chain else model.input,
    )
  shape = model.get_build_config() if model.built else None
  shape = (shape or {}).get('input_shape')
  if not shape or not all(n is None or isinstance(n, int) for n in shape):
    raise GraphError(
      f'The Keras model {model.name!r} does not know the shape of its input; '
      'call it once on a picture, or build it with (None, height, width, '
      'channels).'
    )
  return tf.TensorSpec((None, *shape[1:]), tf.float32, 'input')


@contextlib.contextmanager
def _recording(model: tf.keras.Model, taps: _Taps) -> Iterator[None]:
  """Within it, what the layers of a model return is added to `taps`."""
  layers = dict(_layers(model, ''))
  own = {}
  try:
    for path, layer in layers.items():
      own[path] = layer.__dict__.get('call')
      layer.call = _recorded(layer.call, path, taps)
    yield
  finally:
    for path, call in own.items():
      if call is None:
        del layers[path].call
      else:
        layers[path].call = call


def _layers(
  model: tf.keras.Model, prefix: str
) -> Iterator[tuple[str, tf.keras.layers.Layer]]:
  """Yields paths and layers, each layer once."""
  seen = {id(model)}
  stack = [(prefix, model)]
  while stack:
    prefix, model = stack.pop()
    for layer in model.layers:
      if id(layer) not in seen:
        seen.add(id(layer))
        yield f'{prefix}{layer.name}', layer
        if isinstance(layer, tf.keras.Model):
          stack.append((f'{prefix}{layer.name}/', layer))


def _recorded(call, path: str, taps: _Taps):
  @functools.wraps(call)
  def recorded(*args, **kwargs):
    result = call(*args, **kwargs)
    tensors = [t for t in tf.nest.flatten(result) if isinstance(t, tf.Tensor)]
    taps.extend((path, tensor) for tensor in tensors)
    return result

  return recorded


def _name(taps: _Taps) -> Mapping[int, str]:
  """Names what layers return; returns the names by the tensors' ids."""
  names = {}
  for path, tensor in taps:
    if (
      tensor.graph is tf.compat.v1.get_default_graph()
    ):  # Not in a loop's body.
      tap = tf.identity(tensor, name=f'{_allowed(path)}_out')
      names[id(tensor)] = tap.name
  return names


def _allowed(name: str) -> str:
  name = _NOT_IN_NAMES.sub('_', name)
  return name if re.match(r'[A-Za-z0-9.]', name) else f'x{name}'
