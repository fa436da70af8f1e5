"""What readers of files share whose operations are converted one by one."""

import abc
from collections.abc import (
  Callable,
  Collection,
  Hashable,
  Iterable,
  Mapping,
  Sequence,
)
import contextlib
import importlib
import types
from typing import Any, Generic, TypeVar

import tensorflow as tf

from frozen_graphs import named_graph, tensors
from frozen_graphs.errors import GraphError, OpenSizeError, explaining
from frozen_graphs.frozen import FrozenNetwork

Key = TypeVar('Key', bound=Hashable)


def require(
  package: str, of_format: str, extra: str | None = None
) -> types.ModuleType:
  """Returns a package that only one format needs.

  Args:
    package: Its name.
    of_format: What it is needed for.
    extra: Of this project, which installs it; default: that of its name.

  Raises:
    GraphError: If it is not installed.
  """
  try:
    return importlib.import_module(package)
  except ImportError as error:
    extra = extra or package
    raise GraphError(
      f'Reading {of_format} files needs the package "{package}": pip install '
      f"'attribution-transfer[{extra}]' (or '.[{extra}]')."
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


def as_far_as_needed(
  convert: Callable[[Sequence[str] | None, bool], FrozenNetwork],
  outputs: Sequence[str] | None,
  representation: str | None,
  partial: bool,
) -> FrozenNetwork:
  """Returns a network; what lies behind a representation may be unknown.

  Args:
    convert: Of names of what is wanted, None for the file's outputs; and
      whether what cannot be converted is left out.
    outputs: What is wanted, if not None.
    representation: The tensor of interest, if it is known.
    partial: Whether what cannot be converted is left out.
  """
  try:
    return convert(outputs, False)
  except OpenSizeError:
    raise
  except GraphError as error:
    if outputs is not None:
      raise
    try:
      if representation is not None:
        return convert([tensors.split(representation)[0]], False)
      if partial:
        return convert(None, True)
    except GraphError:
      pass  # What is wrong with the whole file tells more.
    raise error


class Converter(abc.ABC, Generic[Key]):
  """Converts what the outputs of one file need.

  The file's tensors are known by keys. Of each operation, `inputs` and
  `outputs` are keys, and it comes after those that it needs.
  """

  _COMPUTED: type = object  # Of operands that depend on what is fed.

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
    partial: bool = False,
  ) -> FrozenNetwork:
    """Returns the network.

    Args:
      inputs: Of the file, with their shapes; what can be images comes first.
      outputs: Of the file.
      names: What is wanted in place of the outputs, if not None.
      source: Format and origin.
      partial: Leave out what cannot be converted, and what needs it.

    Raises:
      GraphError: If something cannot be converted, or nothing at all.
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
    left_out = self._add_all(sorted(needed), partial)
    if left_out:
      wanted = self._ends(needed)
      if not wanted:
        raise GraphError(left_out[0])
    for key in dict.fromkeys(wanted):
      with self._named.graph.as_default():
        self._named.output(*self._output(key))
    return FrozenNetwork(*self._named.finish(), source, left_out=left_out)

  def _add_all(self, numbers: Sequence[int], partial: bool) -> tuple[str, ...]:
    """Adds operations; returns why some were left out, if they may be."""
    missing: set[Key] = set()
    reasons = []
    for number in numbers:
      operation = self._operations[number]
      if missing.isdisjoint(operation.inputs):
        try:
          self._add(number)
          continue
        except GraphError as error:
          if not partial or isinstance(error, OpenSizeError):
            raise
          reasons.append(str(error))
      missing.update(operation.outputs)
    return tuple(reasons)

  def _ends(self, numbers: Collection[int]) -> list[Key]:
    """Returns what was converted, and is taken by nothing that was."""
    made = [
      key
      for number in sorted(numbers)
      for key in self._operations[number].outputs
      if isinstance(self._operands.get(key), self._COMPUTED)
    ]
    taken = {
      key
      for number in numbers
      for key in self._operations[number].inputs
      if any(
        self._operands.get(out) is not None
        for out in self._operations[number].outputs
      )
    }
    return [key for key in made if key not in taken]

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
