"""Reads a network from a file of any format that is known."""

from collections.abc import Callable, Iterator
import importlib
import os
import pkgutil

from frozen_graphs import formats, graph
from frozen_graphs.errors import GraphError
from frozen_graphs.frozen import FrozenNetwork


def load(path: str | os.PathLike) -> FrozenNetwork:
  """Returns the network in a frozen graph or in a file of another format.

  Args:
    path: A GraphDef, binary or textual, or a file or folder that a module of
      `frozen_graphs.formats` recognises.

  Raises:
    GraphError: If it cannot be read as what it seems to be.
    OSError: If there is no such file.
  """
  if not os.path.exists(path):
    raise FileNotFoundError(f'There is no file {path}.')
  for load_format in _loaders(path):
    return load_format(path)
  if os.path.isdir(path):
    raise GraphError(
      f'{path} is a folder, but of no format that is known; pass a frozen '
      f'graph (.pb) or a model of: {", ".join(_format_names())}.'
    )
  graph_def = graph.load_graph_def(path)
  return FrozenNetwork(graph_def, (), (), f'frozen graph {path}')


def _format_names() -> list[str]:
  """Returns the names of the modules that may have `matches` and `load`."""
  names = [module.name for module in pkgutil.iter_modules(formats.__path__)]
  return sorted(name for name in names if name.endswith('_model')) + sorted(
    name for name in names if name in ('checkpoint', 'hub_module')
  )


def _loaders(path: str | os.PathLike) -> Iterator[Callable]:
  """Yields `load` of the formats that recognise a path; imports as it goes."""
  for name in _format_names():
    try:
      module = importlib.import_module(f'{formats.__name__}.{name}')
    except ImportError:
      continue  # It needs a package that is not installed.
    if hasattr(module, 'matches') and module.matches(path):
      yield module.load
