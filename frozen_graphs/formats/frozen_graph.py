"""Loads a frozen graph: a GraphDef whose weights are constants."""

import os
import pathlib

import tensorflow as tf

from frozen_graphs import graph, graph_ends
from frozen_graphs.formats import registry
from frozen_graphs.frozen import FrozenNetwork

_SUFFIXES = ('.pb', '.pbtxt', '.prototxt')
# SavedModels have functions and variables, models of TensorFlow.js 0.x are
# without their weights.
_OTHERS = ('saved_model', 'tensorflowjs_model')


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` looks like a frozen graph."""
  path = pathlib.Path(path)
  is_one = path.suffix.lower() in _SUFFIXES and path.stem not in _OTHERS
  return is_one and path.exists()


def load(
  source: str | os.PathLike | tf.compat.v1.GraphDef,
) -> FrozenNetwork:
  """Loads a frozen graph, in memory, binary (.pb) or as text (.pbtxt).

  Raises:
    GraphError: If it is none.
    OSError: If the file cannot be read.
  """
  if isinstance(source, tf.compat.v1.GraphDef):
    graph_def, digest, size = source, '', 0
    origin = 'frozen graph in memory'
  else:
    graph_def, digest = graph.read(source)
    size, origin = os.path.getsize(source), f'frozen graph {os.fspath(source)}'
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.placeholders(graph_def.node),
    outputs=_outputs(graph_def),
    source=origin,
    digest=digest,
    size=size,
  )


def _outputs(graph_def) -> tuple[str, ...]:
  library = {f.signature.name for f in graph_def.library.function}
  return graph_ends.unused(n for n in graph_def.node if n.op not in library)


registry.register(
  registry.Format(
    'frozen_graph',
    load,
    matches,
    accepts=lambda source: isinstance(source, tf.compat.v1.GraphDef),
  )
)
