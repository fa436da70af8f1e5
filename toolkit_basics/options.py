"""Options of functions and of dataclasses, held against their annotations."""

from collections.abc import Callable, Mapping
import functools
import math
import numbers
import types
import typing
from typing import Any

import numpy as np

_KINDS: dict[type, tuple[Any, str]] = {
  int: (numbers.Integral, 'a whole number'),
  float: (numbers.Real, 'a number'),
  bool: ((bool, np.bool_), 'True or False'),
  str: (str, 'a text'),
  types.NoneType: (types.NoneType, 'None'),
}


def check(owner: Callable, given: Mapping[str, Any]) -> None:
  """Raises ValueError for an option that is not of its kind.

  Those annotated with other than int, float, bool, str, None or a union of
  these are passed over; NaN is no number.

  Args:
    owner: A function, or a dataclass, with annotations.
    given: Options by name, which it has.
  """
  hints = _hints(owner)
  for name, value in given.items():
    kinds = typing.get_args(hints[name]) or (hints[name],)
    if set(kinds) <= _KINDS.keys() and not any(_is(value, k) for k in kinds):
      wanted = ' or '.join(_KINDS[kind][1] for kind in kinds)
      raise ValueError(f'{name} is {value!r:.60}, but must be {wanted}.')


@functools.cache
def _hints(owner: Callable) -> dict[str, Any]:
  return typing.get_type_hints(owner)


def _is(value: object, kind: type) -> bool:
  if not isinstance(value, _KINDS[kind][0]):
    return False
  if isinstance(value, bool):
    return kind is bool  # Though Python counts with it.
  return kind is not float or not math.isnan(typing.cast(float, value))
