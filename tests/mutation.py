"""Changes the code in small ways, and counts the changes that no test finds.

  python -m tests.mutation --modules=transferability/affinity.py
  python -m tests.mutation --modules=transferability,attribution/methods.py \\
    --sample=30 --output=work/mutation

A change is a comparison, a sign or a number that is another one. Left alone is
what no caller can see whatever it says: annotations, the words of errors,
guards against the project's own slips (`strict` of zip, `check_finite`,
`frozen`), how much is computed at once, which seed is the default, and the -1
of `reshape`, for which NumPy takes any negative number. A module's tests are
those of the same name in the tree of tests, or all of its folder, or, of a
module at the top of a package, those of the package that name it; with --wide
a change that they do not find is shown to the other tests of the package that
name the module.
Each change runs in a copy of this process, into which TensorFlow is already
loaded: other tools need its start, eight seconds, for each. Nothing on disk is
changed. What survives is printed, and written to survivors.csv; a command that
was stopped goes on where it was.
"""

import ast
from collections.abc import Iterator, Sequence
import copy
import dataclasses
import functools
import importlib
import importlib.machinery
import os
import pathlib
import random
import re
import signal
import sys
import time

import toolkit_basics.cli as cli
from tests.module_graph import ROOT
from toolkit_basics import files, memo, progress

FLAGS = cli.Flags()
_MODULES = FLAGS.list('modules', 'Files and folders of Python.')
_SAMPLE = FLAGS.integer(
  'sample',
  'How many changes of a module are tried, drawn at random; 0 is all.',
  0,
)
_SEED = FLAGS.integer('seed', 'Of the draw.', 0)
_WIDE = FLAGS.bool(
  'wide',
  "Also ask the package's other tests that name the module about what is left.",
  False,
)
_WORKERS = FLAGS.integer('workers', 'Tests at the same time.', 2, lower_bound=1)
_OUTPUT = FLAGS.path('output', 'A folder that gets the table.', 'work/mutation')
FLAGS.require(_MODULES)

_PRELOADED = (
  *('tensorflow', 'keras', 'numpy', 'cv2', 'h5py', 'pytest', 'hypothesis'),
  *('scipy.stats', 'scipy.optimize', 'scipy.cluster.hierarchy', 'scipy.sparse'),
  *('sklearn.decomposition', 'sklearn.cross_decomposition', 'matplotlib'),
  'absl.testing.parameterized',
)
# Keywords that guard against slips of whoever calls, or say where to look.
_GUARDS = frozenset({'strict', 'check_finite', 'frozen', 'repr', 'stacklevel'})
# Module constants that say how much is computed, checked or read at once.
_AMOUNTS = re.compile(r'_(BLOCK|BLOCK_BYTES|MEMORY_BYTES|THREADS)$')
# Of all tests of a package this finds most in least time, and is asked first.
_QUICK = 'known_values_test.py'
_LEAST_SECONDS = 60.0  # Of patience with tests of a change.
_TIMES = 4.0  # As long as without it.
_SWAPS = {
  ast.Lt: ast.LtE,
  ast.LtE: ast.Lt,
  ast.Gt: ast.GtE,
  ast.GtE: ast.Gt,
  ast.Eq: ast.NotEq,
  ast.NotEq: ast.Eq,
  ast.In: ast.NotIn,
  ast.NotIn: ast.In,
  ast.Is: ast.IsNot,
  ast.IsNot: ast.Is,
  ast.Add: ast.Sub,
  ast.Sub: ast.Add,
  ast.Mult: ast.Div,
  ast.Div: ast.Mult,
  ast.FloorDiv: ast.Mult,
  ast.Mod: ast.Mult,
  ast.Pow: ast.Mult,
  ast.BitAnd: ast.BitOr,
  ast.BitOr: ast.BitAnd,
  ast.And: ast.Or,
  ast.Or: ast.And,
}


@dataclasses.dataclass(frozen=True)
class Mutant:
  """One change of a module.

  Attributes:
    path: Of the module, from the root.
    line: Of the change.
    change: In words of Python.
    source: Of the whole changed module.
  """

  path: str
  line: int
  change: str
  source: str


def mutants(path: str, source: str) -> Iterator[Mutant]:
  """Yields all changes of a module."""
  tree = ast.parse(source)
  unseen = _unseen(tree)
  for number, node in enumerate(ast.walk(tree)):
    if _is_changeable(node) and number not in unseen:
      twin = copy.deepcopy(tree)
      other = next(n for i, n in enumerate(ast.walk(twin)) if i == number)
      before = ast.unparse(node).splitlines()[0]
      changed = _change(other)
      for parent in ast.walk(twin):
        _replace(parent, other, changed)
      after = ast.unparse(ast.fix_missing_locations(changed)).splitlines()[0]
      text = f'{before} -> {after}'
      yield Mutant(path, node.lineno, text, ast.unparse(twin))


def _unseen(tree: ast.AST) -> set[int]:
  """Returns the numbers of nodes that no caller can see a change of."""
  inside: set[int] = set()
  for node in ast.walk(tree):
    for part in _unseen_parts(node):
      inside.update(map(id, ast.walk(part)))
  return {i for i, node in enumerate(ast.walk(tree)) if id(node) in inside}


def _unseen_parts(node: ast.AST) -> Iterator[ast.AST]:
  """Yields the parts of a node that only guard, describe or portion work."""
  for field in ('annotation', 'returns'):
    if part := getattr(node, field, None):
      yield part
  match node:
    case ast.Raise(exc=ast.Call(args=words)):
      yield from words
    case ast.Call(func=ast.Attribute(attr='reshape'), args=sides):
      yield from (s.operand for s in sides if isinstance(s, ast.UnaryOp))
    case ast.Call(keywords=keywords):
      yield from (k.value for k in keywords if k.arg in _GUARDS)
    case ast.Assign(targets=[ast.Name(id=name)], value=value):
      if _AMOUNTS.match(name):
        yield value
    case ast.arguments(args=args, kwonlyargs=named):
      defaults = [None] * (len(args) - len(node.defaults)) + node.defaults
      pairs = zip([*args, *named], [*defaults, *node.kw_defaults], strict=True)
      yield from (d for a, d in pairs if a.arg == 'seed' and d is not None)
    case ast.AnnAssign(target=ast.Name(id='seed'), value=ast.AST() as value):
      yield value


def _is_changeable(node: ast.AST) -> bool:
  match node:
    case ast.Compare(ops=[op]) | ast.BinOp(op=op) | ast.BoolOp(op=op):
      return type(op) in _SWAPS
    case ast.UnaryOp(op=ast.Not() | ast.USub()):
      return True
    case ast.Constant(value=bool() | int() | float()):
      return True
    case ast.If() | ast.IfExp():
      return isinstance(node.test, ast.Name | ast.Call | ast.Attribute)
  return False


def _change(node: ast.AST) -> ast.AST:
  """Returns a node of another meaning, at the same place."""
  match node:
    case ast.Compare(ops=[op]):
      node.ops = [_SWAPS[type(op)]()]
    case ast.BinOp(op=op) | ast.BoolOp(op=op):
      node.op = _SWAPS[type(op)]()
    case ast.UnaryOp(operand=operand):
      return operand
    case ast.Constant(value=bool() as value):
      node.value = not value
    case ast.Constant(value=int() as value):
      node.value = value + 1
    case ast.Constant(value=value):
      node.value = 2 * value or 1.0
    case ast.If() | ast.IfExp():
      node.test = ast.UnaryOp(ast.Not(), node.test)
  return node


def _replace(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
  for name, value in ast.iter_fields(parent):
    if value is old:
      setattr(parent, name, new)
    elif isinstance(value, list) and any(each is old for each in value):
      setattr(parent, name, [new if each is old else each for each in value])


def tests_of(path: str) -> list[str]:
  """Returns the tests that are asked first about a module, from the root."""
  own = pathlib.Path('tests', path).with_suffix('')
  if (ROOT / f'{own}_test.py').exists():
    return [f'{own}_test.py']
  is_on_top = len(own.parts) == 3
  return (is_on_top and _naming(path)) or [str(own.parent)]


def tests_naming(path: str) -> list[str]:
  """Returns the other tests of the package that name a module."""
  own = tests_of(path)
  return [
    name
    for name in _naming(path)
    if name not in own and str(pathlib.Path(name).parent) not in own
  ]


def _naming(path: str) -> list[str]:
  """Returns the tests of the package that name a module."""
  word = re.compile(rf'\b{pathlib.Path(path).stem}\b')
  folder = ROOT / 'tests' / pathlib.Path(path).parts[0]
  return [
    str(file.relative_to(ROOT))
    for file in sorted(folder.rglob('*_test.py'))
    if word.search(file.read_text(encoding='utf-8'))
  ]


class _Loader(importlib.machinery.SourceFileLoader):
  """Loads other code than the file has."""

  def __init__(self, name: str, path: str, source: str):
    super().__init__(name, path)
    self._source = source

  def get_code(self, fullname):
    return compile(self._source, self.path, 'exec', dont_inherit=True)


class _Finder:
  """Finds one module before all others do."""

  def __init__(self, mutant: Mutant):
    path = pathlib.Path(mutant.path).with_suffix('')
    parts = path.parent.parts if path.name == '__init__' else path.parts
    self._name, self._mutant = '.'.join(parts), mutant

  def find_spec(self, name, path=None, target=None):
    if name != self._name:
      return None
    file = str(ROOT / self._mutant.path)
    loader = _Loader(name, file, self._mutant.source)
    return importlib.util.spec_from_file_location(name, file, loader=loader)


def _start(mutant: Mutant | None, tests: Sequence[str]) -> int:
  """Starts tests in a copy of this process, and returns its number."""
  sys.stdout.flush()
  child = os.fork()
  if child:
    return child
  code = 99
  try:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
      os.dup2(nowhere, descriptor)
    sys.dont_write_bytecode = True
    if mutant:
      sys.meta_path.insert(0, _Finder(mutant))
    pytest = importlib.import_module('pytest')
    options = ('-x', '-q', '-n0', '-p', 'no:cacheprovider')
    code = int(pytest.main([*options, *tests]))
  finally:
    os._exit(code)  # Nothing of the parent's must run at the end.


def _end(child: int, deadline: float) -> int | None:
  """Returns the exit code of a copy, 98 if it hung, None while it works."""
  done, status = os.waitpid(child, os.WNOHANG)
  if done:
    return os.waitstatus_to_exitcode(status)
  if time.monotonic() < deadline:
    return None
  os.killpg(child, signal.SIGKILL)
  os.waitpid(child, 0)
  return 98


@functools.cache
def _passes(tests: tuple[str, ...]) -> float:
  """Returns how long tests take without a change, in seconds.

  Raises:
    ValueError: If they fail.
  """
  started, code = time.monotonic(), None
  child = _start(None, tests)
  while code is None:
    time.sleep(0.02)
    code = _end(child, started + 600)
  if code:
    raise ValueError(f'{" ".join(tests)} fails without any change ({code}).')
  return time.monotonic() - started


def survivors(
  tried: Sequence[tuple[Mutant, Sequence[str]]], workers: int
) -> list[Mutant]:
  """Returns the changes that none of their tests finds.

  Raises:
    ValueError: If tests fail without any change.
  """
  patience = {}
  for tests in dict.fromkeys(tuple(tests) for _, tests in tried):
    patience[tests] = max(_LEAST_SECONDS, _TIMES * _passes(tests))
  waiting, working, found = list(reversed(tried)), {}, []
  bar = iter(progress.track(range(len(tried)), description='Changes'))
  while waiting or working:
    while waiting and len(working) < workers:
      mutant, tests = waiting.pop()
      deadline = time.monotonic() + patience[tuple(tests)]
      working[_start(mutant, tests)] = mutant, deadline
    for child, (mutant, deadline) in list(working.items()):
      if (code := _end(child, deadline)) is not None:
        del working[child]
        next(bar, None)
        if code == 0:
          found.append(mutant)
    time.sleep(0.02)
  next(bar, None)
  return found


def _sources(names: Sequence[str]) -> list[str]:
  """Returns the files of Python that are named, or in folders that are.

  Raises:
    ValueError: If there is no such file.
  """
  found: list[str] = []
  for name in names:
    path = ROOT / name
    inside = sorted(path.rglob('*.py')) if path.is_dir() else [path]
    if not all(each.is_file() for each in inside) or not inside:
      raise ValueError(f'`modules` has {name}, which is no file of Python.')
    found += [str(each.relative_to(ROOT)) for each in inside]
  return list(dict.fromkeys(found))


def _digest(name: str) -> str:
  """Returns the digest of a test, or of all in a folder."""
  path = ROOT / name
  inside = sorted(path.rglob('*.py')) if path.is_dir() else [path]
  return files.sha256(b''.join(each.read_bytes() for each in inside))


def _of_module(path: str, workers: int) -> dict[str, list]:
  """Tries the changes of one module; returns their number and survivors."""
  source = (ROOT / path).read_text()
  known = list(mutants(path, source))
  if _SAMPLE.value:
    rng = random.Random(f'{_SEED.value} {path}')
    number = min(len(known), _SAMPLE.value)
    known = sorted(rng.sample(known, number), key=lambda m: m.line)
  left, others = known, tests_naming(path) if _WIDE.value else []
  quick = [name for name in others if name.endswith(_QUICK)]
  others = [name for name in others if name not in quick]
  for tests in (quick, tests_of(path), others):
    if left and tests:
      left = survivors([(m, tests) for m in left], workers)
  return {
    'tried': [len(known)],
    'left': [[m.line, m.change] for m in sorted(left, key=lambda m: m.line)],
  }


def main() -> None:
  paths = _sources(_MODULES.value)
  for name in _PRELOADED:
    importlib.import_module(name)
  output = pathlib.Path(_OUTPUT.value)
  kept = memo.Memo(output)
  rows: list[list] = []
  tried = 0
  for path in paths:
    tests = tests_of(path) + (tests_naming(path) if _WIDE.value else [])
    key = {
      'source': files.sha256((ROOT / path).read_bytes()),
      'tests': {name: _digest(name) for name in tests},
      'options': [_SAMPLE.value, _SEED.value, _WIDE.value],
    }
    name = path.replace('/', '.').removesuffix('.py')
    found = kept.recall(
      name, key, lambda path=path: _of_module(path, _WORKERS.value)
    )
    tried += found['tried'][0]
    rows += [[path, *each] for each in found['left']]
    print(f'{path}: {len(found["left"])} of {found["tried"][0]} left')
  for row in rows:
    print(f'{row[0]}:{row[1]}: {row[2]}')
  files.write_csv(
    output / 'survivors.csv', [['module', 'line', 'change'], *rows]
  )
  share = 1 - len(rows) / max(1, tried)
  print(f'{tried - len(rows)} of {tried} changes were found ({share:.1%}).')


if __name__ == '__main__':
  cli.run(main, FLAGS)
