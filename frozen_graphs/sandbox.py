"""Tries a stranger's network in a process of its own before it is loaded here.

What the checks miss ends that process, and here in one line. It is given what
is to be loaded by path, loads it, cuts it to input and representation, and
computes one image and its gradient, as this process will afterwards.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import itertools
import os
import pathlib
from typing import Any, TypeVar

import numpy as np

from frozen_graphs import child, functions
from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.inspection import inputs
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes

T = TypeVar('T')
VARIABLE = 'ATTRIBUTION_TRANSFER_TRUST'
# How far files are trusted whose digest nobody has stated.
TRUST = ('sandbox', 'checks', 'code')

_MEMORY, _MEMORY_FOR_EACH = 4 * 2**30, 8
_SECONDS, _SECONDS_FOR_EACH = 120.0, 1 / 2**20
_MAX_FILES = 10_000  # Of a folder, that are counted.
_MAX_OUTPUTS = 4  # That are tried, if no representation is chosen.
_SIDE, _CHANNELS = 64, 3  # Where a network leaves them open.


def check(
  source: str | os.PathLike,
  load: Callable[..., Network],
  options: Mapping[str, Any],
  limits: child.Limits | None = None,
) -> None:
  """Raises UnsafeGraphError if a network brings down who uses it.

  That it cannot be loaded, or not be run, is not reported: who loads it
  afterwards will see that, and in its own words.

  Args:
    source: A path, or a handle.
    load: `frozen_graphs.load`.
    options: Of it.
    limits: Of the process; default: 4 GiB and two minutes, and more for large
      files.
  """
  limits = limits or limits_for(source)
  arguments = load, os.fspath(source), dict(options)
  _checked(child.run(_try, *arguments, limits=limits), source)


def within(
  function: Callable[..., T], source: str | os.PathLike, *arguments: Any
) -> T:
  """Returns what a function finds in a network, in a process of its own.

  So that it need not be tried before: the process that it could bring down is
  not this one.

  Args:
    function: Of a module, which is given the source and the arguments, and
      returns what JSON can hold.
    source: A path, or a handle.
    *arguments: What can be pickled.

  Raises:
    UnsafeGraphError: If it takes too much memory or time, or brings down the
      process.
    ValueError: What the function raises; or OSError.
  """
  called = function, os.fspath(source), *arguments
  ending = child.run(_answered, *called, limits=limits_for(source))
  kind, answer = _checked(ending, source)
  if kind == 'answer':
    return answer
  raise (OSError if kind == 'OSError' else GraphError)(answer)


def _answered(function: Callable, *arguments: Any) -> tuple[str, Any]:
  try:
    return 'answer', function(*arguments)
  except (ValueError, OSError) as error:
    if child.is_of_memory(error):
      raise
    kind = 'OSError' if isinstance(error, OSError) else 'ValueError'
    return kind, str(error)


def _checked(ending: child.Ending, source: str | os.PathLike) -> Any:
  if ending.fault:
    raise UnsafeGraphError(
      f'{os.fspath(source)}: a trial of it in a process of its own '
      f'{ending.fault}; it is refused. If you know where it is from, go '
      f"without the trial: `trust='checks'`, or {VARIABLE}=checks in the "
      'environment.'
    )
  return ending.value


def trust_of(given: str | None) -> str:
  """Returns how far a file is to be trusted: as said, else by default.

  Raises:
    ValueError: If that is none of `TRUST`.
  """
  chosen = given or os.environ.get(VARIABLE) or TRUST[0]
  if chosen not in TRUST:
    raise ValueError(f'`trust` must be one of {TRUST}, not {chosen!r}.')
  return chosen


def limits_for(source: str | os.PathLike) -> child.Limits:
  """Returns what loading and trying a network may take, by its size."""
  size = _size(source)
  return child.Limits(
    memory=_MEMORY + _MEMORY_FOR_EACH * size,
    seconds=_SECONDS + _SECONDS_FOR_EACH * size,
  )


def _size(source: str | os.PathLike) -> int:
  """Returns the bytes of a file with what lies beside it, or of a folder."""
  path = pathlib.Path(source)
  folder = path if path.is_dir() else path.parent
  files = path.is_dir() and folder.rglob('*') or folder.glob('*')
  if not folder.is_dir():
    return 0
  size = 0
  for each in itertools.islice(files, _MAX_FILES):
    belongs = path.is_dir() or each.name.startswith(path.stem)
    if belongs and each.is_file():
      size += each.stat().st_size
  return size


def _try(
  load: Callable[..., Network], source: str, options: Mapping[str, Any]
) -> None:
  """Loads a network and runs it on one image, forwards and backwards."""
  with load(source, **{**options, 'trust': 'checks'}) as network:
    chosen = options.get('representation')
    for end in [chosen] if chosen else network.outputs[:_MAX_OUTPUTS]:
      with _unless_of_memory():
        _run(network.at(end))
    if not chosen:  # As inspection does, to find one.
      nodes = {n.name: n for n in functions.inline_functions(network.graph_def)}
      for candidate in inputs.candidates(nodes)[:1]:
        with _unless_of_memory():
          inputs.trace(nodes, candidate)


@contextlib.contextmanager
def _unless_of_memory() -> Iterator[None]:
  """Lets nothing out but a lack of memory."""
  try:
    yield
  except GraphError as error:
    if child.is_of_memory(error):
      raise


def _run(network: Network) -> None:
  open_sides = (_SIDE, _SIDE, _CHANNELS)
  sides = [
    side or open_side
    for side, open_side in zip(network.input_shape, open_sides, strict=True)
  ]
  dtype = network.subgraph.input_type.as_numpy_dtype
  noise = np.random.default_rng(0).uniform(size=(1, *sides)).astype(dtype)
  with Passes(network.subgraph, rules=(None,), batch_size=1) as passes:
    passes.run(noise)
