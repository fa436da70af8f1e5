"""Fetches the released Taskonomy encoders into a folder.

A file that is there is not fetched again, if its sha256 is the published one;
so a download that was interrupted goes on with the file it stopped at.
"""

from collections.abc import Callable, Collection, Iterable
import os

from absl import logging
import pooch

from taskonomy_models.task_bank import release as task_bank
from taskonomy_models.task_bank.release import File

_SECONDS = 30.0  # That a server may be silent.


def files(release: str, only: Collection[str] = ()) -> tuple[File, ...]:
  """Returns the files of a release, of these tasks or of all."""
  found: list[File] = []
  for name, encoder in task_bank.encoders().items():
    if not only or name in only:
      found += encoder.files(release)
  return tuple(found)


def fetch(
  wanted: Collection[File],
  folder: str | os.PathLike,
  progress: Callable[..., Iterable] = lambda items, **_: items,
) -> None:
  """Fetches files that are not there yet.

  Args:
    wanted: The files.
    folder: Where they are put.
    progress: Wraps the files, as `progress.track` does.

  Raises:
    ConnectionError: If a file cannot be had from any of its addresses. The
      message lists all files that are still missing, from where they can be
      fetched, and where to put them by hand.
  """
  pooch.get_logger().setLevel('WARNING')
  wanted = list(wanted)
  for number, file in enumerate(progress(wanted, description='Downloads')):
    reasons = []
    known_hash = file.sha256 and f'sha256:{file.sha256}'
    for url in file.urls:
      try:
        pooch.retrieve(
          url,
          known_hash=known_hash,
          fname=file.path,
          path=folder,
          downloader=pooch.HTTPDownloader(timeout=_SECONDS),
        )
        break
      except (OSError, ValueError) as error:
        reasons.append(f'{url}: {type(error).__name__}')
        logging.info('%s: %s', url, ' '.join(str(error).split()))
    else:
      raise ConnectionError(_by_hand(wanted[number:], folder, reasons))


def _by_hand(
  missing: Collection[File], folder: str | os.PathLike, reasons: list[str]
) -> str:
  addresses = ', '.join(file.urls[0] for file in missing)
  return (
    f'Could not be fetched ({"; ".join(reasons)}). {len(missing)} files are '
    f'missing. Run the same command where the network is, or fetch them by '
    f'hand into {folder} (checkpoints each into a folder named for its task) '
    f'and pass `source={folder}`: {addresses}'
  )
