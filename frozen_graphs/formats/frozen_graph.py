"""Loads a frozen graph: a GraphDef whose weights are constants."""

import os
import pathlib

from frozen_graphs import graph, graph_ends
from frozen_graphs.frozen import FrozenNetwork

_SUFFIXES = ('.pb', '.pbtxt', '.prototxt')


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` looks like a frozen graph."""
  path = pathlib.Path(path)
  return path.suffix in _SUFFIXES and path.stem != 'saved_model'


def load(source: str | os.PathLike) -> FrozenNetwork:
  """Loads a frozen graph, binary (.pb) or as text (.pbtxt).

  Raises:
    GraphError: If it is none.
    OSError: If the file cannot be read.
  """
  graph_def = graph.load_graph_def(source)
  return FrozenNetwork(
    graph_def=graph_def,
    inputs=graph_ends.placeholders(graph_def.node),
    outputs=_outputs(graph_def),
    source=f'frozen graph {os.fspath(source)}',
  )


def _outputs(graph_def) -> tuple[str, ...]:
  library = {f.signature.name for f in graph_def.library.function}
  return graph_ends.unused(n for n in graph_def.node if n.op not in library)
