"""Writes the BUILD files from the modules and their imports, or checks them.

`python -m tests.build_files` lists what differs; with `--write` the files are
written anew. Each module is one target with its own name: a `py_test` if it
ends in `_test.py`, a `py_binary` if it has a main block, else a `py_library`;
a package itself (`__init__.py`) is a target with the folder's name that carries
the package's data files. A target depends on exactly what its module imports,
and on its package if that has data. A package that imports whatever modules it
has (by `pkgutil`) depends on all of them.
"""

import argparse
import ast
import collections
from collections.abc import Iterator
import dataclasses
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
}

# Tests that read the checkout itself depend on this, and never come from a
# cache: Bazel does not know all that they read.
_READS_CHECKOUT = '//tests:build_files'


@dataclasses.dataclass(frozen=True)
class Target:
  """A rule of a BUILD file.

  Attributes:
    kind: 'py_library', 'py_binary' or 'py_test'.
    name: The module's name, or the folder's for a package.
    srcs: One Python file.
    deps: Labels, in buildifier's order.
    data: Patterns of data files.
    tags: Bazel's tags.
  """

  kind: str
  name: str
  srcs: tuple[str, ...]
  deps: tuple[str, ...] = ()
  data: tuple[str, ...] = ()
  tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Module:
  """A Python file of a package.

  Attributes:
    path: Of the file.
    name: In imports, such as 'frozen_graphs.graph'.
    package: The name of the package that it is in; its own for `__init__`.
    imports: The name of each module or package that it imports, in full for
      those of this repository, else the top-level name.
    private: The imported modules below `tensorflow.python`.
    has_main: Whether it is an entry point.
  """

  path: pathlib.Path
  name: str
  package: str
  imports: frozenset[str]
  private: frozenset[str]
  has_main: bool

  @property
  def is_package(self) -> bool:
    return self.name == self.package


def packages(root: pathlib.Path = ROOT) -> Iterator[str]:
  """Yields the name of each package of a checkout, and of those inside."""
  for init in sorted(root.glob('*/__init__.py')):
    yield from _subpackages(init.parent, init.parent.name)


def _subpackages(folder: pathlib.Path, name: str) -> Iterator[str]:
  yield name
  for init in sorted(folder.glob('*/__init__.py')):
    yield from _subpackages(init.parent, f'{name}.{init.parent.name}')


def modules(root: pathlib.Path = ROOT) -> tuple[Module, ...]:
  """Returns every module of the packages, with what it imports."""
  files = {}
  for package in packages(root):
    for path in sorted(root.joinpath(*package.split('.')).glob('*.py')):
      is_package = path.name == '__init__.py'
      name = package if is_package else f'{package}.{path.stem}'
      files[name] = package, path
  return tuple(
    _module(name, package, path, frozenset(files))
    for name, (package, path) in files.items()
  )


def _module(
  name: str, package: str, path: pathlib.Path, known: frozenset[str]
) -> Module:
  tree = ast.parse(path.read_text(encoding='utf-8'), str(path))
  imported = set(_imported(tree, package, known))
  if name == package and 'pkgutil' in imported:
    imported |= {m for m in known if m.rpartition('.')[0] == package}
  internal = {_longest_known(other, known) for other in imported} - {None, name}
  external = {
    other.split('.')[0]
    for other in imported
    if _longest_known(other, known) is None
  }
  return Module(
    path=path,
    name=name,
    package=package,
    imports=frozenset(internal | external - sys.stdlib_module_names),
    private=frozenset(
      other for other in imported if other.startswith('tensorflow.python')
    ),
    has_main=any(_is_main_block(node) for node in tree.body),
  )


def _imported(
  tree: ast.Module, package: str, known: frozenset[str]
) -> Iterator[str]:
  """Yields the full name of each module that is imported, wherever it is."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      base = node.module or ''
      if node.level:
        above = package.split('.')[: len(package.split('.')) - node.level + 1]
        base = '.'.join([*above, *base.split('.')]).rstrip('.')
      for alias in node.names:
        inner = f'{base}.{alias.name}'
        is_module = inner in known or base.startswith('tensorflow')
        yield inner if is_module else base


def _longest_known(name: str, known: frozenset[str]) -> str | None:
  parts = name.split('.')
  prefixes = ('.'.join(parts[:n]) for n in range(len(parts), 0, -1))
  return next((prefix for prefix in prefixes if prefix in known), None)


def _is_main_block(node: ast.stmt) -> bool:
  return (
    isinstance(node, ast.If)
    and ast.unparse(node.test) == "__name__ == '__main__'"
  )


def targets(root: pathlib.Path = ROOT) -> dict[str, tuple[Target, ...]]:
  """Returns the targets that each package must have, sorted by their names."""
  found = modules(root)
  all_packages = frozenset(module.package for module in found)
  data = {name: _data(root, name) for name in all_packages}
  result = collections.defaultdict(list)
  for module in found:
    result[module.package].append(_target(module, all_packages, data))
  return {
    package: tuple(sorted(rules, key=lambda rule: rule.name))
    for package, rules in result.items()
  }


def _data(root: pathlib.Path, package: str) -> tuple[str, ...]:
  """Returns patterns of the data files of a package."""
  folder = root.joinpath(*package.split('.'))
  patterns = set()
  for path in folder.iterdir():
    if path.name.startswith(('.', '__')) or path.name == 'BUILD':
      continue
    if path.is_dir():
      if not any(path.rglob('*.py')) and any(path.iterdir()):
        patterns.add(f'{path.name}/**')
    elif path.suffix not in ('.py', '.pyc'):
      patterns.add(f'*{path.suffix}' if path.suffix else path.name)
  return tuple(sorted(patterns))


def _target(
  module: Module,
  all_packages: frozenset[str],
  data: dict[str, tuple[str, ...]],
) -> Target:
  dependencies = set(module.imports)
  if not module.is_package and data[module.package]:
    dependencies.add(module.package)
  deps = {_label(name, module, all_packages) for name in dependencies}
  kind = 'py_library'
  if module.path.name.endswith('_test.py'):
    kind = 'py_test'
  elif module.has_main:
    kind = 'py_binary'
  reads_checkout = 'tests.build_files' in module.imports
  return Target(
    kind=kind,
    name=module.name.split('.')[-1],
    srcs=(module.path.name,),
    deps=tuple(sorted(deps, key=_label_order)),
    data=data[module.package] if module.is_package else (),
    tags=('external',) if kind == 'py_test' and reads_checkout else (),
  )


def _label(name: str, module: Module, all_packages: frozenset[str]) -> str:
  if name in all_packages:
    if name == module.package:
      return ':' + name.split('.')[-1]
    return '//' + name.replace('.', '/')
  package, _, target = name.rpartition('.')
  if package == module.package:
    return f':{target}'
  if package in all_packages:
    return f'//{package.replace(".", "/")}:{target}'
  return '@pip//' + distribution(name).replace('-', '_')


def _label_order(label: str) -> tuple[int, str]:
  return (':', '/', '@').index(label[0]), label.replace(':', '!')


def distribution(name: str) -> str:
  """Returns what to install for a top-level module that is imported."""
  return DISTRIBUTIONS.get(name, name)


# BUILD files.


def render(package: str, rules: tuple[Target, ...]) -> str:
  """Returns the text of a package's BUILD file, as buildifier formats it."""
  kinds = ', '.join(f'"{kind}"' for kind in sorted({r.kind for r in rules}))
  parts = [
    f'"""Targets of {package}, written by `python -m tests.build_files`."""',
    f'load("@rules_python//python:defs.bzl", {kinds})',
    'package(default_visibility = ["//visibility:public"])',
    *(_render_target(rule) for rule in rules),
  ]
  return '\n\n'.join(parts) + '\n'


def _render_target(rule: Target) -> str:
  lines = [f'{rule.kind}(', f'    name = "{rule.name}",']
  for attribute in ('srcs', 'data', 'tags', 'deps'):
    values = getattr(rule, attribute)
    if values:
      listed = _render_list(values)
      value = f'glob({listed})' if attribute == 'data' else listed
      lines.append(f'    {attribute} = {value},')
  return '\n'.join([*lines, ')'])


def _render_list(values: tuple[str, ...]) -> str:
  if len(values) == 1:
    return f'["{values[0]}"]'
  return '\n'.join(['[', *(f'        "{v}",' for v in values), '    ]'])


def parse(text: str) -> tuple[Target, ...]:
  """Returns the Python targets of a BUILD file.

  Raises:
    ValueError: If a target has an attribute that this module does not know, or
      is not written out in full.
  """
  rules = []
  for node in ast.parse(text).body:
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
      continue
    if not call.func.id.startswith('py_'):
      continue
    attributes = {}
    for keyword in call.keywords:
      value = keyword.value
      if isinstance(value, ast.Call) and ast.unparse(value.func) == 'glob':
        (value,) = value.args
      value = ast.literal_eval(value)
      attributes[keyword.arg] = tuple(value) if type(value) is list else value
    try:
      rules.append(Target(kind=call.func.id, **attributes))
    except TypeError as error:
      raise ValueError(f'{ast.unparse(call)}: {error}') from error
  return tuple(rules)


def differences(root: pathlib.Path = ROOT) -> list[str]:
  """Returns a line for each target that is missing, wrong or too much."""
  lines = []
  for package, expected in targets(root).items():
    path = root.joinpath(*package.split('.'), 'BUILD')
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    if text == render(package, expected):
      continue
    wanted = {rule.name: rule for rule in expected}
    written = {rule.name: rule for rule in parse(text)}
    wrong = [
      f'{path.relative_to(root)}: {name} is {written.get(name)}, but by its '
      f'module and imports it must be {wanted.get(name)}'
      for name in sorted(wanted.keys() | written.keys())
      if wanted.get(name) != written.get(name)
    ]
    lines += wrong or [f'{path.relative_to(root)}: not as it is written here']
  return lines


def write(root: pathlib.Path = ROOT) -> None:
  """Writes the BUILD file of every package."""
  for package, rules in targets(root).items():
    path = root.joinpath(*package.split('.'), 'BUILD')
    path.write_text(render(package, rules), encoding='utf-8')


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--write', action='store_true', help='write the files')
  if parser.parse_args().write:
    write()
  lines = differences()
  for line in lines:
    print(line)
  return 1 if lines else 0


if __name__ == '__main__':
  sys.exit(main())
