"""What is common to measures that are functions with options.

Of labelled features (`measures`), of samples of the source (`source_data`), of
one network alone (`label_free`): each package has a register of its own, which
finds the functions in the package's modules by name.
"""

from collections.abc import Callable, Mapping
import dataclasses
import inspect
from typing import Any, Generic, TypeVar

import numpy as np

from toolkit_basics import options as options_lib
from toolkit_basics.registry import Registry

Function = Callable[..., float]
Add = Callable[[Function], Function]


@dataclasses.dataclass(frozen=True)
class Registered:
  """A function that scores, and what is known of it."""

  name: str  # As in `score`.
  # Takes its inputs in order, then its options by keyword.
  function: Function
  # Operations, of n samples with d features, C classes and Cs source classes.
  cost: str
  reference: str  # Where it was published.

  @property
  def options(self) -> dict[str, Any]:
    """Its options, and their defaults."""
    parameters = inspect.signature(self.function).parameters
    return {
      name: parameter.default
      for name, parameter in parameters.items()
      if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }

  def check(self, options: Mapping[str, Any]) -> None:
    """Raises ValueError if it does not know an option, or its kind is wrong."""
    if unknown := sorted(options.keys() - self.options.keys()):
      raise ValueError(
        f'{self.name} has no option {unknown[0]!r}; it has '
        f'{list(self.options)}.'
      )
    options_lib.check(self.function, options)

  def value(self, *inputs: Any, **options: Any) -> float:
    """Returns the score of its inputs.

    Raises:
      ValueError: If the inputs do not fit it, or the score is not finite.
    """
    value = float(self.function(*inputs, **options))
    if not np.isfinite(value):
      raise ValueError(
        f'{self.name} is {value} on these inputs: it is not defined, or '
        'overflows.'
      )
    return value

  def pick(
    self, given: Mapping[str, Any], needs: tuple[str, ...]
  ) -> tuple[Any, ...]:
    """Returns the inputs that it needs.

    Raises:
      ValueError: If one of them is None.
    """
    for need in needs:
      if given[need] is None:
        raise ValueError(f'{self.name} needs {need}, which is not given.')
    return tuple(given[need] for need in needs)


Entry = TypeVar('Entry', bound=Registered)


class Register(Generic[Entry]):
  """The functions of one kind, by name."""

  def __init__(self, kind: str, package: str, entry: type[Entry]):
    """Makes an empty register.

    Args:
      kind: Of the functions, in messages, such as 'measure'.
      package: Whose modules register functions when they are imported.
      entry: What is made of a function and the facts about it.
    """
    self._found: Registry[Entry] = Registry(kind, package)
    self._entry = entry
    self.info = self._found.get

  def add(self, name: str, **facts: Any) -> Add:
    """Returns a decorator that registers a function.

    Args:
      name: Of the measure.
      **facts: The other fields of its entry.
    """

    def register(function: Function) -> Function:
      self._found.register(name)(self._entry(name, function, **facts))
      return function

    return register

  def names(self) -> tuple[str, ...]:
    """Returns the names of all functions, sorted."""
    return tuple(sorted(self._found))
