"""Loads a Keras model: an object in memory, or a .keras or .h5 file.

The model is traced in inference mode with its weights as constants. What each
layer returns can be named as a representation. A model is of Keras 3
(tf.keras) or of Keras 2 (tf_keras), which is imported only if it is needed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
import contextlib
import functools
import operator
import os
import pathlib
import sys
from typing import Any

import tensorflow as tf

from frozen_graphs import (
  control_flow,
  graph_ends,
  named_graph,
  tensors,
  variables,
)
from frozen_graphs.errors import GraphError, brief, open_size
from frozen_graphs.formats.keras import files as keras_files
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.tensors import NodeDef

# Layers' results, in the order of their computation: name and tensor.
_Taps = list[tuple[str, tf.Tensor]]


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a file of Keras."""
  path = pathlib.Path(path)
  return path.suffix.lower() in keras_files.SUFFIXES and path.exists()


def accepts(source: object) -> bool:
  """Returns whether an object is a model of Keras 3 or of Keras 2."""
  return isinstance(source, _classes('Model'))


def _classes(name: str) -> tuple[type, ...]:
  """Returns a class of Keras 3, and that of Keras 2 if an object can be one."""
  libraries = [tf.keras]
  if 'tf_keras' in sys.modules:
    libraries.append(sys.modules['tf_keras'])
  return tuple(operator.attrgetter(name)(keras) for keras in libraries)


def load(
  source: Any, *, image_size: tuple[int, int] | None = None
) -> FrozenNetwork:
  """Loads a Keras model.

  Args:
    source: A tf.keras.Model, a tf_keras.Model, or the path of a file of one.
    image_size: (height, width), where the model leaves that open and a layer
      needs it.

  Returns:
    The network. An input has the name of its input layer. What the layer `name`
    returns is the tensor `name_out:0`; where it is used once more,
    `name_out_1:0` and so on; in a model that is a layer of another,
    `model/name_out:0`. Characters that TensorFlow does not allow become `_`;
    where layers would then be called alike, each has a longer name.

  Raises:
    GraphError: If the model cannot be loaded or traced; OpenSizeError if that
      may be for want of a size.
    OSError: If the file cannot be read.
  """
  origin = 'object'
  if not accepts(source):
    origin = os.fspath(source)
    source = keras_files.load_model(source)
  return freeze(source, f'Keras model {origin} ({source.name})', image_size)


def freeze(
  model: Any, source: str, image_size: tuple[int, int] | None = None
) -> FrozenNetwork:
  """Returns the network of a Keras model; see `load`."""
  specifications = tf.nest.map_structure(
    functools.partial(_sized, image_size), _inputs(model)
  )
  taps: _Taps = []
  results = []

  @tf.function(autograph=False)
  def function(fed):
    for tensor in tf.nest.flatten(model(fed, training=False)):
      known = tf.is_symbolic_tensor(tensor)
      results.append(tensor if known else tf.identity(tensor))
    return results

  try:
    with _recording(model, taps):
      traced = function.get_concrete_function(specifications)
  except Exception as error:  # A layer's own code may raise anything.
    reason = (
      f'The Keras model {model.name!r} cannot be traced for inference: '
      f'{brief(error, 200)}'
    )
    if any(map(_is_open, tf.nest.flatten(specifications))):
      reason = f'{reason} This may be for the size of the images'
      raise open_size(reason) from error
    raise GraphError(reason) from error
  count = len(tf.nest.flatten(specifications))
  inputs = [tensor.name for tensor in traced.inputs[:count]]
  named, outputs = _named(taps, results, traced.graph)
  graph_def = _frozen(traced, named)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.images_first(graph_def.node, inputs),
    outputs=outputs,
    source=source,
  )


def _named(
  taps: _Taps, results: Sequence[tf.Tensor], graph: tf.Graph
) -> tuple[list[NodeDef], tuple[str, ...]]:
  """Returns nodes that name what layers return, and the outputs' names."""
  taken = {op.name for op in graph.get_operations()}
  uses, nodes, names = Counter(), [], {}
  taps = [(f'{path}_out', tensor) for path, tensor in taps]
  tapped = {id(tensor) for _, tensor in taps}
  taps += [
    (f'output_{number}', tensor)
    for number, tensor in enumerate(results)
    if id(tensor) not in tapped
  ]
  for base, tensor in taps:
    if tensor.graph is not graph:  # But in a loop's body.
      continue
    name = base
    while name in taken:
      uses[base] += 1
      name = f'{base}_{uses[base]}'
    taken.add(name)
    nodes.append(named_graph.identity(name, tensor))
    names[id(tensor)] = f'{name}:0'
  return nodes, tuple(names[id(tensor)] for tensor in results)


def _frozen(traced, more: Sequence[NodeDef]) -> tf.compat.v1.GraphDef:
  """Returns a function's graph and more; what it captured becomes constants."""
  graph_def = traced.graph.as_graph_def()
  nodes = {node.name: node for node in graph_def.node}
  graph_def.node.extend(more)
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
      kind = tf.as_dtype(values[name].dtype)
      fed = tensors.placeholder(name, kind, values[name].shape)
      nodes[name].CopyFrom(fed)
      nodes[name].op = 'VarHandleOp'
    elif nodes[name].op == 'Placeholder':  # Small ones are constants already.
      constants[name] = tensor.numpy()
  graph_def = control_flow.fold(graph_def, constants)
  for node in graph_def.node:
    node.attr.pop('_gradient_op_type', None)  # Known to this process alone.
  return variables.freeze(graph_def, lambda node: values[node.name])


def _inputs(model: Any):
  """Returns what the model is called with, as tf.TensorSpec."""
  if getattr(model, 'inputs', None):
    names = {
      id(layer.output): layer.name
      for layer in model.layers
      if isinstance(layer, _classes('layers.InputLayer'))
    }
    is_chain = isinstance(model, _classes('Sequential'))
    return tf.nest.map_structure(
      lambda t: tf.TensorSpec(
        t.shape, t.dtype, tensors.allowed(names.get(id(t), t.name))
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


def _is_open(specification: tf.TensorSpec) -> bool:
  """Returns whether the height and width of images, and no more, are open."""
  shape = specification.shape
  return shape.rank == 4 and shape[1:].as_list().count(None) == 2


def _sized(
  image_size: tuple[int, int] | None, specification: tf.TensorSpec
) -> tf.TensorSpec:
  """Returns what a model is called with, of images of a size where it is open.

  That is of those that have channels last, or first.
  """
  if image_size is None or not _is_open(specification):
    return specification
  sides = iter(image_size)
  first, *others = specification.shape
  shape = [first, *(next(sides) if n is None else n for n in others)]
  return tf.TensorSpec(shape, specification.dtype, specification.name)


@contextlib.contextmanager
def _recording(model: Any, taps: _Taps) -> Iterator[None]:
  """Within it, what the layers of a model return is added to `taps`."""
  found = _by_name(model)
  own = {}
  try:
    for path, layer in found.items():
      own[path] = layer.__dict__.get('call')
      layer.call = _recorded(layer.call, path, taps)
    with _legally_named([model, *found.values()]):
      yield
  finally:
    for path, call in own.items():
      if call is None:
        del found[path].call
      else:
        found[path].call = call


def _by_name(model: Any) -> dict[str, Any]:
  """Returns each layer by its path, in characters that TensorFlow allows.

  Where that is one for several layers, each has a longer one.
  """
  found: dict[str, list[Any]] = {}
  for path, layer in layers(model):
    found.setdefault(tensors.allowed(path), []).append(layer)
  named, taken = {}, set(found)
  for path, same in found.items():
    for layer in same:
      name = path if len(same) == 1 else tensors.unused_name(path, taken)
      taken.add(name)
      named[name] = layer
  return named


@contextlib.contextmanager
def _legally_named(parts: Sequence[Any]) -> Iterator[None]:
  """Within it, parts of Keras 3 have names that TensorFlow allows as scopes."""
  own = [(each, each.name) for each in parts if 'name' in vars(each)]
  try:
    for each, name in own:
      each.name = tensors.allowed(name)
    yield
  finally:
    for each, name in own:
      each.name = name


def layers(model: Any) -> Iterator[tuple[str, Any]]:
  """Yields paths and layers of a model and of models in it, each layer once."""
  seen = {id(model)}
  stack = [('', model)]
  while stack:
    prefix, model = stack.pop()
    for layer in model.layers:
      if id(layer) not in seen:
        seen.add(id(layer))
        yield f'{prefix}{layer.name}', layer
        if accepts(layer):
          stack.append((f'{prefix}{layer.name}/', layer))


def _recorded(call, path: str, taps: _Taps):
  @functools.wraps(call)
  def recorded(*args, **kwargs):
    result = call(*args, **kwargs)
    flat = tf.nest.flatten(result)
    taps.extend((path, t) for t in flat if tf.is_symbolic_tensor(t))
    return result

  return recorded
