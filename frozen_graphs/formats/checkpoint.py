"""Loads a checkpoint of TensorFlow 1 with its meta graph, as data.

The meta graph is usually the one that a network was trained with: it reads
files, computes gradients and writes checkpoints. Only what the representation
is computed from is kept, and nothing is run.
"""

from collections.abc import Mapping
import os
import pathlib
import re

from google.protobuf.message import DecodeError
import tensorflow as tf

from frozen_graphs import (
  budget,
  control_flow,
  graph_ends,
  safety,
  tensors,
  variables,
)
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats import registry
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.tensors import Nodes

_META = '.meta'
_INDEX = '.index'
_SUFFIX = re.compile(r'\.(meta|index|data-\d+-of-\d+)$')
_MAX_BYTES = 2**31 - 1
# What stands for variables until they are frozen, and where images come from.
_STATE = frozenset({
  'IteratorGetNext', 'PlaceholderWithDefault', 'ReadVariableOp', 'VarHandleOp',
  'Variable', 'VariableV2',
})  # fmt: skip


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a checkpoint: its prefix, a file, its folder."""
  return _prefix(path) is not None


def _prefix(path: str | os.PathLike) -> str | None:
  path = pathlib.Path(path)
  if path.is_dir():
    if not (path / 'checkpoint').is_file():
      return None
    return tf.train.latest_checkpoint(str(path))
  text = _SUFFIX.sub('', str(path))
  known = os.path.isfile(text + _INDEX) or os.path.isfile(text + _META)
  return text if known else None


def load(
  source: str | os.PathLike,
  *,
  meta_graph: str | os.PathLike | None = None,
  input: str | None = None,
  representation: str | None = None,
  constants: Mapping[str, object] | None = None,
) -> FrozenNetwork:
  """Loads a checkpoint and its meta graph.

  Args:
    source: The prefix ('model.ckpt-100'), one of its files, or a folder, whose
      latest checkpoint is meant.
    meta_graph: The file of the graph; default: the prefix with '.meta'.
    input: A tensor at which to cut the graph: what fed the images in training
      is then not needed.
    representation: A tensor; default: all that a network may hold is kept.
    constants: Values of what would be fed, by the placeholders' names.

  Raises:
    GraphError: If a file is missing or damaged, or they do not belong together.
    OSError: If a file cannot be read.
  """
  prefix = _prefix(source)
  if prefix is None:
    raise GraphError(f'{source}: no checkpoint there (no {_INDEX} file).')
  meta_path = pathlib.Path(meta_graph or prefix + _META)
  if not meta_path.is_file():
    raise GraphError(
      f'{prefix}: the graph {meta_path} is missing. A checkpoint without it '
      'holds weights only: load them into the network in Python, and convert '
      'that, or save it as a SavedModel.'
    )
  with about(prefix):
    graph_def = control_flow.fold(_read(meta_path).graph_def, constants)
    stored = variables.stored_variables(graph_def)
    inputs = graph_ends.placeholders(graph_def.node)
    if input is not None:
      graph_def, name = graph_ends.cut_at(graph_def, input)
      inputs = (name,)
    nodes = {node.name: node for node in graph_def.node}
    if representation is None:
      outputs = _ends(nodes)
    else:
      outputs = [graph_ends.full_name(nodes, representation)]
    graph_def = variables.prune(graph_def, outputs)
    values = variables.reader(prefix, stored)
    graph_def = variables.freeze(graph_def, values)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.images_first(graph_def.node, inputs),
    outputs=tuple(outputs),
    source=f'TensorFlow 1 checkpoint {prefix}',
  )


def _read(path: pathlib.Path):
  content = budget.read(path, _MAX_BYTES)
  with explaining(f'{path.name} is damaged or cut off', DecodeError):
    meta_graph = tf.compat.v1.MetaGraphDef.FromString(content)
  if not meta_graph.graph_def.node:
    raise GraphError(f'{path.name} holds no graph.')
  return meta_graph


def _ends(named: Nodes) -> list[str]:
  """Returns where the part of a training graph ends that a network may hold.

  That are the tensors computed from something fed by allowed operations alone.
  """
  nodes = named.values()
  sources = graph_ends.FED | {'IteratorGetNext'}
  fed = {node.name for node in nodes if node.op in sources}
  allowed = set()
  for name in tensors.in_order(named):
    node = named[name]
    sources = tensors.producers(node)
    usable = node.op in safety.ALLOWED or node.op in _STATE
    if usable and (name in fed or all(s in allowed for s in sources)):
      allowed.add(name)
      if any(source in fed for source in sources):
        fed.add(name)
  part = [named[name] for name in named if name in allowed and name in fed]
  ends = graph_ends.unused(part)
  if not ends:
    raise GraphError(
      'nothing in the graph is computed from images that are fed; name the '
      'tensor of the images as input, and a representation.'
    )
  return list(ends)


registry.register(registry.Format('checkpoint', load, matches))
