"""Writes requirements_lock.txt: versions, and digests of their files.

  python -m tests.lock

asks pip what it would install on this machine, with this Python. Versions that
the file has already stay, unless the setup no longer allows them; delete it to
get the newest.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import toolkit_basics.cli as cli
from tests.module_graph import ROOT
from toolkit_basics import files

FLAGS = cli.Flags()
_PATH = ROOT / 'requirements_lock.txt'
_HEADER = """\
# The versions that the project was tested with on Python 3.11 and Linux (x86),
# with the digests of their files, for Bazel and for
#   pip install --require-hashes -r requirements_lock.txt
# Written by: python -m tests.lock
"""


def _name(text: str) -> str:
  return re.sub(r'[-_.]+', '-', text).lower()


def locked(report: dict) -> str:
  """Returns the lines of what a report of pip says it would install."""
  found = {}
  for entry in report['install']:
    metadata = entry['metadata']
    hashes = entry['download_info'].get('archive_info', {}).get('hashes', {})
    if 'sha256' in hashes:  # The project itself has none.
      pin = f'{_name(metadata["name"])}=={metadata["version"]}'
      found[pin] = f'{pin} \\\n    --hash=sha256:{hashes["sha256"]}\n'
  return ''.join(found[pin] for pin in sorted(found))


def main() -> None:
  with tempfile.TemporaryDirectory() as folder:
    limits, report = pathlib.Path(folder, 'c.txt'), pathlib.Path(folder, 'r')
    known = _PATH.read_text() if _PATH.exists() else ''
    limits.write_text('\n'.join(re.findall(r'^[\w.-]+==[\w.]+', known, re.M)))
    command = [sys.executable, '-m', 'pip', 'install', '--dry-run', '--quiet']
    command += ['--ignore-installed', '-c', str(limits)]
    command += ['--report', str(report), '.[test]']
    subprocess.run(command, cwd=ROOT, check=True)
    text = locked(json.loads(report.read_text()))
  files.write_atomically(_PATH, (_HEADER + text).encode())
  print(f'{text.count("==")} packages: {_PATH}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
