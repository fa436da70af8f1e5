"""What readers of files share whose operations are converted one by one."""

import abc
from collections.abc import Hashable, Iterable, Mapping, Sequence
import contextlib
import importlib
import types
from typing import Any, Generic, TypeVar

import tensorflow as tf

from frozen_graphs import named_graph, tensors
from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.frozen import FrozenNetwork

Key = TypeVar('Key', bound=Hashable)


def require(package: str, of_format: str) -> types.ModuleType:
  """Returns a package that only one format needs.

  Raises:
    GraphError: If it is not installed.
  """
  try:
    return importlib.import_module(package)
  except ImportError as error:
    raise GraphError(
      f'Reading {of_format} files needs the package "{package}": pip install '
      f"'attribution-transfer[{package}]' (or '.[{package}]')."
    ) from error


def explained(what: str) -> contextlib.AbstractContextManager[None]:
  """Within it, an error tells that `what` cannot be converted, and why."""
  return explaining(
    f'{what} cannot be converted',
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    tf.errors.OpError,
  )


class Converter(abc.ABC, Generic[Key]):
  """Converts what the outputs of one file need.

  The file's tensors are known by keys. Of each operation, `inputs` and
  `outputs` are keys, and it comes after those that it needs.
  """

  def __init__(
    self,
    operations: Sequence[Any],
    kinds: Sequence[str],
    own_names: Sequence[str],
    operands: dict[Key, Any],
  ):
    """Initializes the graph.

    Args:
      operations: Of the file.
      kinds: What each of them is counted by.
      own_names: What the file calls them, '' where it gives no name.
      operands: What is known before anything is converted.
    """
    self._operations = operations
    self._named = named_graph.NamedGraph()
    self._names, self._aliases = named_graph.choose(kinds, own_names)
    self._operands = operands

  def convert(
    self,
    inputs: Mapping[Key, Sequence[int | None] | None],
    outputs: Sequence[Key],
    names: Sequence[str] | None,
    source: str,
  ) -> FrozenNetwork:
    """Returns the network.

    Args:
      inputs: Of the file, with their shapes; what can be images comes first.
      outputs: Of the file.
      names: What is wanted in place of the outputs, if not None.
      source: Format and origin.
    """
    wanted = outputs
    if names is not None:
      wanted = [key for name in names for key in self._find(name)]
    makers = {
      key: number
      for number, operation in enumerate(self._operations)
      for key in operation.outputs
    }
    needed = tensors.reachable(
      [makers[key] for key in wanted if key in makers],
      lambda number: [
        makers[key] for key in self._operations[number].inputs if key in makers
      ],
    )
    used = {key for n in needed for key in self._operations[n].inputs}
    for key in sorted(inputs, key=lambda key: len(inputs[key] or ()) != 4):
      if key in used.union(wanted) and key not in self._operands:
        self._operands[key] = self._input(key)
    for number in sorted(needed):
      self._add(number)
    for key in dict.fromkeys(wanted):
      with self._named.graph.as_default():
        self._named.output(*self._output(key))
    return FrozenNetwork(*self._named.finish(), source)

  def _missing(
    self, what: str, name: str, known: Iterable[str], outputs: Sequence[str]
  ) -> GraphError:
    """Returns the error that says that nothing is called so, and what is."""
    like = tensors.alike(name, filter(None, (*known, *self._names)))
    return GraphError(
      f'it has no {what} {name!r}.{tensors.closest(like)} It ends in '
      f'{", ".join(outputs[:5])}.'
    )

  def _named_operation(self, number: int):
    """Within it, nodes belong to an operation; see `NamedGraph.operation`."""
    return self._named.operation(self._names[number], self._aliases[number])

  @abc.abstractmethod
  def _find(self, name: str) -> Sequence[Key]:
    """Returns the tensors that a user means."""

  @abc.abstractmethod
  def _input(self, key: Key) -> Any:
    """Returns an input, which it adds to the graph."""

  @abc.abstractmethod
  def _add(self, number: int) -> None:
    """Adds an operation."""

  @abc.abstractmethod
  def _output(self, key: Key) -> tuple[str, tf.Tensor]:
    """Returns the name and tensor of an output."""
