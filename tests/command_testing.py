"""Runs entry points several times in one process, for tests of commands."""

import json
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).parents[1]
# TensorFlow takes seconds to import, and flags can be defined only once.
_DRIVER = """
import contextlib, importlib, io, json, sys
from absl.testing import flagsaver
from toolkit_basics import cli
entry_point = importlib.import_module(sys.argv[1])
results = []
for arguments in json.load(sys.stdin):
  out, err = io.StringIO(), io.StringIO()
  with (
      flagsaver.flagsaver(),
      contextlib.redirect_stdout(out),
      contextlib.redirect_stderr(err),
  ):
    sys.argv = ['command', *arguments]
    code = 0
    try:
      cli.run(entry_point.main)
    except SystemExit as end:
      code = end.code or 0
  results.append([code, out.getvalue(), err.getvalue()])
json.dump(results, sys.stdout)
"""


def run(module: str, *commands: list) -> list[tuple[int, str, str]]:
  """Runs an entry point with each list of arguments, one after the other.

  Returns:
    Exit code, standard output and standard error of each.
  """
  result = subprocess.run(
    [sys.executable, '-c', _DRIVER, module],
    input=json.dumps([list(map(str, command)) for command in commands]),
    capture_output=True,
    text=True,
    check=True,
    cwd=_ROOT,
  )
  return [tuple(each) for each in json.loads(result.stdout.splitlines()[-1])]
