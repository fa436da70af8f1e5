"""What the modules of the checkout import, read from their text."""

import ast
from collections.abc import Iterable, Iterator, Set
import dataclasses
import functools
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Distributions that are not named as the module that is imported from them.
DISTRIBUTIONS = {
  'PIL': 'pillow',
  'absl': 'absl-py',
  'cv2': 'opencv-python',
  'google': 'protobuf',
  'skimage': 'scikit-image',
  'sklearn': 'scikit-learn',
  'tensorflow_hub': 'tensorflow-hub',
  'tf_keras': 'tf-keras',
}


@dataclasses.dataclass(frozen=True)
class Module:
  """A Python file of a package.

  Attributes:
    path: Of the file.
    name: In imports, such as 'frozen_graphs.graph'.
    imports: The name of each module or package that it imports, in full for
      those of this repository, else the top-level name; none of Python's own.
    at_import: Those of them that are imported when the module itself is, and
      not first in a function.
    private: The imported modules below `tensorflow.python`.
  """

  path: pathlib.Path
  name: str
  imports: frozenset[str]
  at_import: frozenset[str]
  private: frozenset[str]

  @property
  def package(self) -> str:
    """The top-level package that it is in."""
    return top(self.name)

  def tree(self) -> ast.Module:
    return _parse(self.path)

  def is_command(self) -> bool:
    """Returns whether it has a main block: whether it can be run by -m."""
    return any(is_main_block(node) for node in self.tree().body)


def packages(root: pathlib.Path = ROOT) -> Iterator[str]:
  """Yields the name of each package of a checkout, and of those inside."""
  for init in sorted(root.glob('*/**/__init__.py')):
    parts = init.parent.relative_to(root).parts
    # What an installation leaves in `build` is no package.
    if (root / parts[0] / '__init__.py').exists():
      yield '.'.join(parts)


@functools.cache
def modules(root: pathlib.Path = ROOT) -> tuple[Module, ...]:
  """Returns every module of the packages, with what it imports."""
  files = {}
  for package in packages(root):
    for path in sorted(root.joinpath(*package.split('.')).glob('*.py')):
      is_package = path.name == '__init__.py'
      files[package if is_package else f'{package}.{path.stem}'] = path
  return tuple(
    _module(name, path, files.keys()) for name, path in files.items()
  )


def top(name: str) -> str:
  """Returns the top-level package of a module."""
  return name.split('.')[0]


def distribution(name: str) -> str:
  """Returns what to install for a top-level module that is imported."""
  return DISTRIBUTIONS.get(name, name)


def is_main_block(node: ast.stmt) -> bool:
  """Returns whether a statement is what `python -m` runs."""
  return (
    isinstance(node, ast.If)
    and ast.unparse(node.test) == "__name__ == '__main__'"
  )


def _parse(path: pathlib.Path) -> ast.Module:
  return ast.parse(path.read_text(encoding='utf-8'), str(path))


def _module(name: str, path: pathlib.Path, known: Set[str]) -> Module:
  above = name if path.name == '__init__.py' else name.rpartition('.')[0]
  tree = _parse(path)
  names = {
    node: set(_names(node, above, known))
    for node in ast.walk(tree)
    if isinstance(node, ast.Import | ast.ImportFrom)
  }
  deferred = {
    inner
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef)
    for inner in ast.walk(node)
  }

  def imports(nodes: Iterable[ast.AST]) -> frozenset[str]:
    imported = set().union(*(names[node] for node in nodes))
    found = {_longest_known(other, known) or top(other) for other in imported}
    return frozenset(found - {name} - sys.stdlib_module_names)

  return Module(
    path=path,
    name=name,
    imports=imports(names),
    at_import=imports(names.keys() - deferred),
    private=frozenset(
      other
      for other in set().union(*names.values())
      if other.startswith('tensorflow.python')
    ),
  )


def _names(
  node: ast.Import | ast.ImportFrom, package: str, known: Set[str]
) -> Iterator[str]:
  """Yields the full name of each module that a statement imports."""
  if isinstance(node, ast.Import):
    yield from (alias.name for alias in node.names)
    return
  base = node.module or ''
  if node.level:
    above = package.split('.')[: len(package.split('.')) - node.level + 1]
    base = '.'.join([*above, *base.split('.')]).rstrip('.')
  for alias in node.names:
    inner = f'{base}.{alias.name}'
    is_module = inner in known or base.startswith('tensorflow')
    yield inner if is_module else base


def _longest_known(name: str, known: Set[str]) -> str | None:
  parts = name.split('.')
  prefixes = ('.'.join(parts[:n]) for n in range(len(parts), 0, -1))
  return next((prefix for prefix in prefixes if prefix in known), None)
