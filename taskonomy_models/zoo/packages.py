"""Gets packages with the user's own npm and pip.

Nothing of a package is ever run: npm is told to ignore scripts, pip to take
wheels only, and a file counts only once its digest is the known one.
"""

from collections.abc import Iterable, Mapping, Sequence
import os
import pathlib
import shutil
import subprocess
import tempfile

from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo.networks import Package
from toolkit_basics import files

_SECONDS = 3600
_GIVE_UP_AFTER = 2  # Failures of a registry in a row.
_OPTIONS = {
  'npm': ('--silent', '--ignore-scripts'),
  'pip': (
    *('--quiet', '--only-binary=:all:', '--no-input'),
    '--disable-pip-version-check',
  ),
}


class PackageError(ValueError):
  """A package that cannot be had, or is not what it should be."""


def is_there(package: Package, folder: pathlib.Path) -> bool:
  """Returns whether a package's file is in a folder.

  Raises:
    PackageError: If a file of its name is, but another one.
  """
  path = folder / package.file
  if path.exists():
    _check_digest(package, path)
  return path.exists()


def _check_digest(
  package: Package, path: pathlib.Path, about: str = ''
) -> None:
  found = files.sha256(path)
  if found != package.sha256:
    raise PackageError(
      f'{about}{path} has the sha256 {found}, but {package.name} '
      f'{package.version} has {package.sha256}: it is damaged or another file. '
      'Remove it.'
    )


def obtain(package: Package, folder: pathlib.Path) -> pathlib.Path:
  """Returns the verified file of a package, fetched only if it is not there.

  Raises:
    PackageError: If it cannot be fetched, or is not the known file.
  """
  path = folder / package.file
  if is_there(package, folder):
    return path
  name, *verb, what = package.command
  program = shutil.which(name)
  if program is None:
    raise PackageError(f'{name} is not installed')
  folder.mkdir(parents=True, exist_ok=True)
  shown = f'"{" ".join(package.command)}"'
  with tempfile.TemporaryDirectory(prefix='.fetching-', dir=folder) as work:
    _run([program, *verb, *_OPTIONS[name], what], work)
    fetched = [p for p in pathlib.Path(work).iterdir() if p.is_file()]
    if len(fetched) != 1:
      names = sorted(p.name for p in fetched)
      raise PackageError(
        f'{shown} was expected to write one file, but wrote {names}'
      )
    about = f'what {shown} fetched is not the known file: '
    _check_digest(package, fetched[0], about)
    os.replace(fetched[0], path)
  return path


def _run(command: Sequence[str], folder: str) -> None:
  try:
    done = subprocess.run(
      command,
      cwd=folder,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      errors='replace',
      timeout=_SECONDS,
      check=False,
    )
  except (OSError, subprocess.TimeoutExpired) as error:
    raise PackageError(f'{command[0]} failed: {error}') from error
  if done.returncode:
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else 'it said nothing'
    raise PackageError(f'{command[0]} failed ({done.returncode}): {reason}')


def obtain_all(
  packages: Iterable[Package], folder: pathlib.Path
) -> tuple[dict[str, pathlib.Path], dict[str, str]]:
  """Obtains packages; one that fails does not keep the others back.

  A registry that fails twice in a row is not asked again.

  Args:
    packages: In the order in which they are fetched.
    folder: Where the files are, or go.

  Returns:
    Files by key, and for the others what went wrong.
  """
  found, failed = {}, {}
  in_a_row = dict.fromkeys(zoo.REGISTRIES, 0)
  for package in packages:
    registry = package.registry
    try:
      if in_a_row[registry] >= _GIVE_UP_AFTER and not is_there(package, folder):
        raise PackageError(f'not tried, as {registry} failed before')
      found[package.key] = obtain(package, folder)
      in_a_row[registry] = 0
    except PackageError as error:
      failed[package.key] = str(error)
      in_a_row[registry] += 1
  return found, failed


def by_hand(
  packages: Sequence[Package],
  failed: Mapping[str, str],
  folder: pathlib.Path,
) -> str:
  """Returns what to do about packages that could not be had."""
  missing = [package for package in packages if package.key in failed]
  commands = [
    f'  {" ".join(p.command)}  # {p.file}: {failed[p.key]}' for p in missing
  ]
  head = f'{len(missing)} packages are missing. Where npm and pip reach their '
  head += f'registries, run these commands, and put the files into {folder}:'
  return '\n'.join([head, *commands])
