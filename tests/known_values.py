"""Values of functions on small random inputs, as they are known.

  python -m tests.known_values

writes those of this version to tests/data/known_values.json, once a change is
meant to change one. That they are right, tests of each module say; these say
that no number, sign or order in a formula changes unnoticed.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import importlib
import json
import pathlib
from typing import Any

from absl.testing import absltest
import numpy as np

import toolkit_basics.cli as cli
from toolkit_basics import files

FLAGS = cli.Flags()
PATH = pathlib.Path(__file__).parent / 'data' / 'known_values.json'
_CASES = ('tests.transferability.known_values_test',)
_MOST = 4  # Numbers that are written one by one.
_NAN, _INFINITE = 7.25, 1e3  # What stands for them in sums.


def summary(value: Any) -> list[float]:
  """Returns all numbers of a result, or how many there are and two sums.

  The second sum has a weight for each place, so that an exchange changes it.
  """
  flat = np.array(list(_numbers(value)), np.float64)
  flat = np.nan_to_num(flat, nan=_NAN, posinf=_INFINITE, neginf=-_INFINITE)
  if len(flat) <= _MOST:
    return flat.tolist()
  weights = np.cos(np.arange(len(flat)))
  return [float(len(flat)), float(flat.sum()), float(weights @ flat)]


def _numbers(value: Any) -> Iterator[float]:
  """Yields all numbers of a result, texts as their bytes, None as NaN."""
  match value:
    case None:
      yield np.nan
    case str():
      yield from map(float, value.encode())
    case bool() | int() | float() | np.generic():
      yield float(value)
    case np.ndarray():
      yield from value.ravel().astype(np.float64)
    case Mapping():
      for each in value.items():
        yield from _numbers(each)
    case _ if dataclasses.is_dataclass(value):
      for field in dataclasses.fields(value):
        yield from _numbers(getattr(value, field.name))
    case _:
      for each in value:
        yield from _numbers(each)


class KnownValuesCase(absltest.TestCase):
  """Values are what they were; tests say of which functions."""

  def check(self, cases: Mapping[str, Callable[[], Any]]) -> None:
    known = files.read_json(PATH)
    self.assertContainsSubset(
      cases, known, 'See `python -m tests.known_values`.'
    )
    for name, case in cases.items():
      np.testing.assert_allclose(
        summary(case()), known[name], 1e-5, 1e-6, err_msg=name
      )


def main() -> None:
  content = {
    name: summary(case())
    for module in _CASES
    for cases in importlib.import_module(module).CASES
    for name, case in cases.items()
  }
  rows = [f' {json.dumps(n)}: {json.dumps(v)}' for n, v in content.items()]
  text = '{\n' + ',\n'.join(rows) + '\n}\n'
  files.write_atomically(PATH, text.encode())


if __name__ == '__main__':
  cli.run(main, FLAGS)
