"""Loads a graph model of TensorFlow.js: a GraphDef in JSON and its weights.

The converter of TensorFlow.js (`tensorflowjs_converter`) stores a frozen graph
whose constants are emptied into shards, with operations fused, and with types
that JavaScript does not have replaced in the shards only.
"""

from collections.abc import Iterable, Mapping
import itertools
import os

from google.protobuf import json_format
import numpy as np
import tensorflow as tf

from frozen_graphs import graph, graph_ends, tensors, unfusing
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats.tfjs import files as tfjs_files
from frozen_graphs.formats.tfjs import weights as tfjs_weights
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.tensors import NodeDef

GraphDef = tf.compat.v1.GraphDef


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
  message = f'{model.path}: "modelTopology" is not a GraphDef in JSON'
  with explaining(message, json_format.ParseError):
    # Some tools add fields to nodes, which the runtime does not read either.
    graph_def = json_format.ParseDict(
      model.topology, GraphDef(), ignore_unknown_fields=True
    )
  weights = tfjs_weights.decode(model)
  with about(model.path):
    _fill_constants(graph_def, weights)
    nodes = unfusing.unfuse(graph_def.node)
    graph.check_complete(nodes)
  del graph_def.node[:]
  graph_def.node.extend(nodes)
  signature = _signature(model)
  fed = graph_ends.placeholders(nodes)
  named = [n for n in _named(signature, 'inputs', nodes) if n in fed]
  images = graph_ends.placeholders(nodes, only_images=True)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=tuple(
      sorted(dict.fromkeys([*named, *fed]), key=lambda n: n not in images)
    ),
    outputs=_outputs(nodes, signature),
    source=f'TensorFlow.js graph model {model.path}',
  )


def _fill_constants(
  graph_def: GraphDef, weights: Mapping[str, np.ndarray]
) -> None:
  """Puts the weights back into the constants of the graph and its functions.

  A constant keeps the type that its node states: TensorFlow.js stores float64
  as float32 and int64 as int32, but the nodes around still ask for the former.
  """
  functions = (f.node_def for f in graph_def.library.function)
  for node in itertools.chain(graph_def.node, *functions):
    if node.op != 'Const':
      continue
    if node.name in weights:
      message = f'The constant {node.name!r}'
      with explaining(message, LookupError, TypeError, ValueError):
        _fill(node, weights[node.name])
    elif _is_empty(node.attr['value'].tensor):
      raise GraphError(
        f'The constant {node.name!r} has no value, and the manifest has no '
        'weight of that name.'
      )


def _fill(node: NodeDef, value: np.ndarray) -> None:
  stored = node.attr['value'].tensor
  shape = tf.TensorShape(stored.tensor_shape)
  if shape.rank is not None and tuple(shape) != value.shape:
    raise ValueError(
      f'it has the shape {tuple(shape)}, but its weight has {value.shape}'
    )
  kind = tf.as_dtype(node.attr['dtype'].type or stored.dtype)
  if (kind == tf.string) != (value.dtype == object):
    raise ValueError(
      f'it is of type {kind.name}, but its weight of type {value.dtype}'
    )
  value = value.astype(kind.as_numpy_dtype)
  node.CopyFrom(tensors.constant(node.name, value, kind))


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
        names.append(tensors.name_of(tensors.split(name)))
  return names


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
