"""Settings as JSON, and in what two of them differ."""

from collections.abc import Mapping
import json
from typing import Any


def normalised(value: Mapping[str, Any], what: str) -> dict[str, Any]:
  """Returns settings as JSON gives them back: tuples become lists.

  Raises:
    ValueError: If they cannot be stored as JSON; NaN and infinity cannot.
  """
  try:
    return json.loads(json.dumps(dict(value), allow_nan=False))
  except (TypeError, ValueError) as error:
    raise ValueError(f'Cannot store {what} as JSON: {error}.') from error


def to_bytes(value: Mapping[str, Any]) -> bytes:
  """Returns the one JSON text of a value: equal values, equal bytes."""
  return (json.dumps(value, indent=1, sort_keys=True) + '\n').encode()


def difference(found: Any, wanted: Any, where: str = '') -> str:
  """Returns where two JSON values first differ.

  Returns:
    For example 'epsilon is 0.1, not 0.0001', or '' if the values are equal.
  """
  if isinstance(found, dict) and isinstance(wanted, dict):
    prefix = f'{where}.' if where else ''
    for key in sorted(found.keys() | wanted.keys()):
      name = f'{prefix}{key}'
      if key not in found or key not in wanted:
        side = 'missing' if key not in found else 'there, but not expected'
        return f'{name} is {side}'
      if text := difference(found[key], wanted[key], name):
        return text
    return ''
  if isinstance(found, list) and isinstance(wanted, list):
    for i, (a, b) in enumerate(zip(found, wanted, strict=False)):
      if text := difference(a, b, f'{where}[{i}]'):
        return text
    if len(found) != len(wanted):
      return f'{where} has {len(found)} entries, not {len(wanted)}'
    return ''
  same = found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
  return '' if same else f'{where} is {found!r}, not {wanted!r}'
