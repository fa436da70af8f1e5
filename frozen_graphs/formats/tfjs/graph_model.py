"""Loads a graph model of TensorFlow.js: a GraphDef in JSON and its weights.

The converter of TensorFlow.js (`tensorflowjs_converter`) stores a frozen graph
whose constants are emptied into shards, with operations fused, and with types
that JavaScript does not have replaced in the shards only.
"""

from collections.abc import Iterable, Iterator, Mapping
import os

from google.protobuf import json_format
import numpy as np
import tensorflow as tf

from frozen_graphs import graph, tensors, unfusing
from frozen_graphs.errors import GraphError, about
from frozen_graphs.formats.tfjs import files as tfjs_files
from frozen_graphs.formats.tfjs import weights as tfjs_weights
from frozen_graphs.frozen import FrozenNetwork

GraphDef = tf.compat.v1.GraphDef
NodeDef = tf.compat.v1.NodeDef


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a graph model's model.json, or its folder."""
  return tfjs_files.kind(path) == tfjs_files.GRAPH_MODEL


def load(source: str | os.PathLike) -> FrozenNetwork:
  """Loads a graph model of TensorFlow.js.

  Args:
    source: A model.json, which may have another name, or the folder of one;
      the shards lie beside it.

  Returns:
    The network, with fused operations split. Functions and control flow are
    left as they are.

  Raises:
    GraphError: If a file is damaged, missing or too large, or the graph holds a
      fused operation that is not known.
    OSError: If a file cannot be read.
  """
  model = tfjs_files.read(source, tfjs_files.GRAPH_MODEL)
  try:
    # Some tools add fields to nodes, which the runtime does not read either.
    graph_def = json_format.ParseDict(
      model.topology, GraphDef(), ignore_unknown_fields=True
    )
  except json_format.ParseError as error:
    raise GraphError(
      f'{model.path}: "modelTopology" is not a GraphDef in JSON: {error}'
    ) from error
  weights = tfjs_weights.decode(model)
  with about(model.path):
    _fill_constants(graph_def, weights)
    nodes = unfusing.unfuse(graph_def.node)
    graph.check_complete(nodes)
  del graph_def.node[:]
  graph_def.node.extend(nodes)
  signature = _signature(model)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=_inputs(nodes, signature),
    outputs=_outputs(nodes, signature),
    source=f'TensorFlow.js graph model {model.path}',
  )


def _constants(graph_def: GraphDef) -> Iterator[NodeDef]:
  """Yields the constants of the graph and of its functions."""
  for nodes in (
    graph_def.node,
    *(function.node_def for function in graph_def.library.function),
  ):
    yield from (node for node in nodes if node.op == 'Const')


def _fill_constants(
  graph_def: GraphDef, weights: Mapping[str, np.ndarray]
) -> None:
  """Puts the weights back into the constants.

  A constant keeps the type that its node states: TensorFlow.js stores float64
  as float32 and int64 as int32, but the nodes around still ask for the former.
  """
  for node in _constants(graph_def):
    if node.name not in weights:
      if _is_empty(node.attr['value'].tensor):
        raise GraphError(
          f'The constant {node.name!r} has no value, and the manifest has no '
          'weight of that name.'
        )
      continue
    try:
      _fill(node, weights[node.name])
    except (LookupError, TypeError, ValueError) as error:
      raise GraphError(f'The constant {node.name!r}: {error}') from error


def _fill(node: NodeDef, value: np.ndarray) -> None:
  """Puts `value` into a constant; a ValueError or so tells what is wrong."""
  stored = node.attr['value'].tensor
  shape = tf.TensorShape(stored.tensor_shape)
  if shape.rank is not None and tuple(shape) != value.shape:
    raise ValueError(
      f'it has the shape {tuple(shape)}, but its weight has {value.shape}.'
    )
  kind = tf.as_dtype(node.attr['dtype'].type or stored.dtype)
  if (kind == tf.string) != (value.dtype == object):
    raise ValueError(
      f'it is of type {kind.name}, but its weight of type {value.dtype}.'
    )
  value = value.astype(kind.as_numpy_dtype)
  stored.CopyFrom(tf.make_tensor_proto(value, kind, value.shape))
  node.attr['dtype'].type = kind.as_datatype_enum


def _is_empty(tensor) -> bool:
  """Returns whether a TensorProto lacks the elements that its shape needs."""
  fields = {field.name for field, _ in tensor.ListFields()}
  has_values = fields - {'dtype', 'tensor_shape', 'version_number'}
  elements = tf.TensorShape(tensor.tensor_shape).num_elements()
  return elements != 0 and not has_values


def _signature(model: tfjs_files.Model) -> Mapping:
  """Returns the description of inputs and outputs, empty if there is none."""
  metadata = model.content.get('userDefinedMetadata')
  for holder in (model.content, metadata):
    signature = holder.get('signature') if isinstance(holder, dict) else None
    if isinstance(signature, dict):
      return signature
  return {}


def _named(signature: Mapping, key: str, nodes: Iterable[NodeDef]) -> list[str]:
  """Returns the tensors of a signature that the graph has."""
  entries = signature.get(key)
  known = {node.name for node in nodes}
  names = []
  for entry in entries.values() if isinstance(entries, dict) else ():
    match entry:
      case {'name': str(name)} if tensors.split(name)[0] in known:
        names.append('{}:{}'.format(*tensors.split(name)))
  return names


def _inputs(nodes: Iterable[NodeDef], signature: Mapping) -> tuple[str, ...]:
  """Returns the tensors that can be fed, those that can be images first."""
  placeholders = {n.name: n for n in nodes if n.op == 'Placeholder'}
  named = _named(signature, 'inputs', nodes)
  names = [name for name in named if tensors.split(name)[0] in placeholders]
  names += [f'{name}:0' for name in placeholders]

  def is_no_image(name: str) -> bool:
    shape = placeholders[tensors.split(name)[0]].attr['shape'].shape
    return shape.unknown_rank or len(shape.dim) != 4

  return tuple(sorted(dict.fromkeys(names), key=is_no_image))


def _outputs(nodes: Iterable[NodeDef], signature: Mapping) -> tuple[str, ...]:
  """Returns the outputs named by the signature, or what no node uses."""
  names = _named(signature, 'outputs', nodes)
  if names:
    return tuple(dict.fromkeys(names))
  used = {tensors.split(name)[0] for node in nodes for name in node.input}
  return tuple(
    f'{node.name}:0'
    for node in nodes
    if node.name not in used and node.op not in ('Const', 'NoOp', 'Placeholder')
  )
