"""Loads a SavedModel as data: nothing that it holds is run.

`tf.saved_model.load` runs what a SavedModel says is needed to restore and
initialise it. Here its graph is read, the variables' values are read from its
checkpoint, and what only saves or restores is left out.
"""

from collections.abc import Mapping, Sequence
import os
import pathlib

from google.protobuf import text_format
from google.protobuf.message import DecodeError

# The message's only home; not one of TensorFlow's private Python modules.
from tensorflow.core.protobuf import saved_model_pb2

from frozen_graphs import (
  budget,
  control_flow,
  graph_ends,
  variables,
)
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats import registry
from frozen_graphs.frozen import FrozenNetwork

_FILES = ('saved_model.pb', 'saved_model.pbtxt')
_SERVE = 'serve'
_DEFAULTS = ('serving_default', 'default')
_MAX_BYTES = 2**31 - 1

HUB_FILE = 'tfhub_module.pb'  # Marks a module of TensorFlow Hub, format 1.


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a SavedModel's folder or its saved_model.pb."""
  path = pathlib.Path(path)
  if path.name in _FILES:
    path = path.parent
  is_one = any((path / name).is_file() for name in _FILES)
  return is_one and not (path / HUB_FILE).is_file()


def load(
  source: str | os.PathLike,
  *,
  signature: str | None = None,
  tags: Sequence[str] | None = None,
  input: str | None = None,
  representation: str | None = None,
  constants: Mapping[str, object] | None = None,
) -> FrozenNetwork:
  """Loads one signature of a SavedModel.

  Args:
    source: The folder, or the saved_model.pb in it.
    signature: Its name; default: 'serving_default' or 'default', or the only
      one.
    tags: Of the graph, if there are several; default: 'serve', or no tags.
    input: A tensor at which to cut the graph; default: the signature's inputs.
    representation: A tensor of the graph; default: the signature's outputs.
    constants: Values of what would be fed, by the placeholders' names.

  Returns:
    The network. Its tensors have the names that they have once functions are
    inlined, such as 'StatefulPartitionedCall/model/conv/Relu:0'.

  Raises:
    GraphError: If it is damaged, or has no such signature.
    OSError: If a file cannot be read.
  """
  folder = pathlib.Path(source)
  if folder.name in _FILES:
    folder = folder.parent
  with about(folder):
    meta_graph = _meta_graph(_read(folder), tags)
    chosen = _signature(meta_graph, signature)
    graph_def = control_flow.fold(meta_graph.graph_def, constants)
    return _frozen(folder, graph_def, chosen, input, representation)


def _read(folder: pathlib.Path):
  """Returns the SavedModel message of a folder."""
  path = next((folder / n for n in _FILES if (folder / n).is_file()), None)
  if path is None:
    raise GraphError(f'there is no {_FILES[0]}, so it is no SavedModel.')
  content = budget.read(path, _MAX_BYTES)
  message = saved_model_pb2.SavedModel()
  with explaining(
    f'{path.name} is damaged or cut off',
    DecodeError,
    text_format.ParseError,
    UnicodeDecodeError,
  ):
    if path.suffix == '.pbtxt':
      return text_format.Parse(content.decode('utf-8'), message)
    return message.FromString(content)


def _meta_graph(saved_model, tags: Sequence[str] | None):
  """Returns the graph of the given tags, or the one for inference."""
  graphs = {frozenset(g.meta_info_def.tags): g for g in saved_model.meta_graphs}
  if tags is not None:
    choices = [frozenset(tags)]
  else:
    choices = [frozenset({_SERVE}), frozenset()]
    choices += graphs if len(graphs) == 1 else []
  for choice in choices:
    if choice in graphs:
      return graphs[choice]
  known = [sorted(each) for each in graphs]
  wanted = '' if tags is None else f' with the tags {sorted(tags)}'
  raise GraphError(f'there is no graph{wanted}; pass tags out of {known}.')


def _signature(meta_graph, name: str | None):
  signatures = {
    key: value
    for key, value in meta_graph.signature_def.items()
    if value.outputs and value.inputs
  }
  choices = [name] if name is not None else [*_DEFAULTS]
  if name is None and len(signatures) == 1:
    choices += signatures
  for choice in choices:
    if choice in signatures:
      return signatures[choice]
  if not signatures:
    raise GraphError(
      'it has no signature, so nothing says where images go in; save it '
      'again with tf.saved_model.save(model, folder, signatures=...).'
    )
  wanted = f'no signature {name!r}' if name else 'several signatures'
  raise GraphError(f'{wanted}; pass one of {sorted(signatures)}.')


def _frozen(folder, graph_def, signature, source, target) -> FrozenNetwork:
  inputs = _tensor_names(signature.inputs)
  outputs = _tensor_names(signature.outputs)
  stored = variables.stored_variables(graph_def)
  graph_def = variables.prune(graph_def, outputs)
  if source is not None:
    graph_def, name = graph_ends.cut_at(graph_def, source)
    inputs = [name]
  if target is not None:
    nodes = {node.name: node for node in graph_def.node}
    outputs = [graph_ends.full_name(nodes, target)]
    graph_def = variables.prune(graph_def, outputs)
  prefix = folder / 'variables' / 'variables'
  has_variables = prefix.with_suffix('.index').is_file()
  values = variables.reader(str(prefix) if has_variables else None, stored)
  graph_def = variables.freeze(graph_def, values)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.images_first(graph_def.node, inputs),
    outputs=tuple(outputs),
    source=f'SavedModel {folder}',
  )


def _tensor_names(infos) -> list[str]:
  """Returns the tensors of a signature, in the order of their keys."""
  names = [infos[key].name for key in sorted(infos)]
  if not all(names):
    raise GraphError(
      'the signature has sparse or composite tensors, which are no images.'
    )
  return list(dict.fromkeys(names))


registry.register(registry.Format('saved_model', load, matches))
