"""Defaults, public numbers, and what registries state, as they are known.

  python -m tests.known_defaults

writes those of this version to tests/data/known_defaults.json, once a change is
meant to change one: whoever relied on it gets other results.
"""

from collections.abc import Iterator
import importlib
import inspect
import json
import pathlib
import pkgutil
import re
from typing import Any

from absl.testing import absltest

import toolkit_basics.cli as cli
from toolkit_basics import files

FLAGS = cli.Flags()
PATH = pathlib.Path(__file__).parent / 'data' / 'known_defaults.json'
PACKAGES = ('transferability', 'attribution')
_REGISTRIES = ('label_free', 'measures', 'similarity', 'source_data')
_WORDS = frozenset({'cost', 'name', 'reference'})  # They decide nothing.
_PLACE = re.compile(r' at 0x[0-9a-f]+')
_PLAIN = (str, bool, int, float, tuple, type(None))


def modules(package: str) -> list[str]:
  """Returns the names of a package's modules, itself not among them."""
  found = importlib.import_module(package)
  walked = pkgutil.walk_packages(found.__path__, f'{package}.')
  return sorted(module.name for module in walked)


def found(package: str) -> dict[str, str]:
  """Returns defaults, public numbers and what registries state, by place."""
  result = {}
  for name in modules(package):
    module, short = importlib.import_module(name), name.partition('.')[2]
    for place, function in _functions(module):
      for argument, default in _defaults(function):
        result[f'{short}.{place}({argument})'] = default
    for constant, value in sorted(vars(module).items()):
      if constant.isupper() and constant[0] != '_' and _is_of_numbers(value):
        result[f'{short}.{constant}'] = repr(value)
  if package == 'transferability':
    for name in _REGISTRIES:
      result |= _stated(name)
  return result


def _is_of_numbers(value: Any) -> bool:
  if isinstance(value, dict):
    value = tuple(value.values())
  if isinstance(value, tuple):
    return bool(value) and all(map(_is_of_numbers, value))
  return isinstance(value, int | float)


def _functions(module: Any) -> Iterator[tuple[str, Any]]:
  """Yields public functions, classes and their methods that a module makes."""
  for name, value in sorted(vars(module).items()):
    if name.startswith('_') or getattr(value, '__module__', '') != (
      module.__name__
    ):
      continue
    if callable(value):
      yield name, value
    if inspect.isclass(value):
      for method, function in sorted(vars(value).items()):
        if inspect.isfunction(function) and not method.startswith('_'):
          yield f'{name}.{method}', function


def _defaults(function: Any) -> Iterator[tuple[str, str]]:
  try:
    parameters = inspect.signature(function).parameters
  except (TypeError, ValueError):  # Of a class that has none.
    return
  for name, parameter in parameters.items():
    default = parameter.default
    if default is not inspect.Parameter.empty and 'factory' not in str(default):
      yield name, _PLACE.sub('', repr(default))


def _stated(registry: str) -> dict[str, str]:
  library = importlib.import_module(f'transferability.{registry}')
  result = {}
  for name in library.names():
    entry = library.info(name)
    for field in sorted(dir(entry)):
      value = getattr(entry, field)
      is_word = field in _WORDS or field.startswith('_')
      if not is_word and isinstance(value, _PLAIN):
        result[f'{registry} {name}: {field}'] = repr(value)
  return result


class KnownDefaultsCase(absltest.TestCase):
  """Defaults of a package are what they were; tests say of which."""

  def check_modules(self, package: str, names: str) -> None:
    """The modules are those that the tests look at, so that none is lost."""
    expected = [f'{package}.{name}' for name in names.split()]
    self.assertEqual(modules(package), expected)

  def check(self, package: str) -> None:
    self.assertEqual(found(package), files.read_json(PATH)[package])


def main() -> None:
  content = {package: found(package) for package in PACKAGES}
  files.write_atomically(PATH, (json.dumps(content, indent=1) + '\n').encode())


if __name__ == '__main__':
  cli.run(main, FLAGS)
