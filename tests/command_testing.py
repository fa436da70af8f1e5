"""Runs commands in this process, as TensorFlow takes seconds to start."""

from collections.abc import Iterable
import contextlib
import importlib
import io
import pathlib
import pkgutil
from unittest import mock

from absl import logging

from toolkit_basics import cli

ROOT = pathlib.Path(__file__).parents[1]
_PACKAGES = ('benchmarks', 'experiments', 'taskonomy_models')


def names() -> tuple[str, ...]:
  """Returns the modules that are commands: those with a main block."""
  return tuple(
    f'{package}.{module.name}'
    for package in _PACKAGES
    for module in pkgutil.iter_modules([str(ROOT / package)])
    if not module.ispkg
    and '__main__' in (ROOT / package / f'{module.name}.py').read_text()
  )


def run(
  name: str, *commands: Iterable[object], **options
) -> list[tuple[int, str, str]]:
  """Runs a command with each list of arguments, one after the other.

  Args:
    name: Of the command's module.
    *commands: Lists of arguments.
    **options: Of `cli.run`.

  Returns:
    Exit code, standard output and standard error of each; without log lines.
  """
  module = importlib.import_module(name)
  verbosity = logging.get_verbosity()
  results = []
  for command in commands:
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      try:
        cli.run(module.main, module.FLAGS, list(map(str, command)), **options)
      except SystemExit as end:
        code = end.code or 0
      finally:
        logging.set_verbosity(verbosity)
    results.append((code, out.getvalue(), err.getvalue()))
  return results


def run_or_look(
  name: str, work: object, function: str, *commands: Iterable[object]
) -> list[tuple[int, str, str]]:
  """Runs commands of which some must not compute anything.

  Args:
    name: Of the command's module.
    work: Module or class that has what computes.
    function: Its name; it is None where the first argument of a command is
      'look', and as it is where that is 'compute'.
    *commands: Lists of arguments, without that first one.
  """
  results = []
  for kind, *arguments in commands:
    computes = getattr(work, function) if kind == 'compute' else None
    with mock.patch.object(work, function, computes):
      results += run(name, arguments)
  return results
