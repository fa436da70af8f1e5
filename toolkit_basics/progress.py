"""Progress of long work, with the time that is left."""

from collections.abc import Iterable, Iterator
import sys
import time

from absl import logging
import tqdm

SECONDS_BETWEEN_LINES = 60.0


def _duration(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02d}:{seconds:02d}'


def _log_lines(iterable, total: int | None, description: str) -> Iterator:
  """Yields the items; logs one line a minute, none for short work."""
  started = last = time.monotonic()
  for done, item in enumerate(iterable, start=1):
    yield item
    now = time.monotonic()
    if now - last < SECONDS_BETWEEN_LINES:
      continue
    last, elapsed = now, now - started
    if total:
      left = elapsed / done * (total - done)
      logging.info(
        '%s: %d of %d, %s left', description, done, total, _duration(left)
      )
    else:
      logging.info('%s: %d after %s', description, done, _duration(elapsed))


def track(
  iterable: Iterable, *, total: int | None = None, description: str = ''
) -> Iterator:
  """Yields the items of an iterable and shows how far it is.

  A bar on a terminal; otherwise a log line a minute.

  Args:
    iterable: What to go through.
    total: Number of items, if the iterable does not know its length.
    description: What is being done.
  """
  if total is None and hasattr(iterable, '__len__'):
    total = len(iterable)
  if sys.stderr.isatty():
    yield from tqdm.tqdm(
      iterable, total=total, desc=description, dynamic_ncols=True
    )
  else:
    yield from _log_lines(iterable, total, description)
