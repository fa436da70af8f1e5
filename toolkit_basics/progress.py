"""Progress of long work, with the time that is left."""

from collections.abc import Iterable, Iterator, Sized
import sys
import time

from absl import logging
import tqdm

SECONDS_BETWEEN_LINES = 60.0


def _duration(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02d}:{seconds:02d}'


class Bar:
  """Shows how far work is whose steps are not the items of one loop.

  A bar on a terminal; otherwise a log line a minute, none for short work.

    with Bar(len(images), 'Reading') as bar:
      ...
      bar.advance(5)
  """

  def __init__(self, total: int | None = None, description: str = ''):
    """Starts at nothing done of `total` steps, if it is known how many."""
    self._total, self._description = total, description
    self._done, self._started = 0, time.monotonic()
    self._last = self._started
    hidden = not sys.stderr.isatty()
    # A thread that watches bars would keep this process from being copied.
    tqdm.tqdm.monitor_interval = 0
    self._tqdm = tqdm.tqdm(
      total=total, desc=description, dynamic_ncols=True, disable=hidden
    )

  def __enter__(self) -> 'Bar':
    return self

  def __exit__(self, *error) -> None:
    self._tqdm.close()

  def advance(self, steps: int = 1) -> None:
    """Says that so many more steps are done."""
    self._done += steps
    self._tqdm.update(steps)
    now = time.monotonic()
    if self._tqdm.disable and now - self._last >= SECONDS_BETWEEN_LINES:
      self._last = now
      self._log(now - self._started)

  def _log(self, elapsed: float) -> None:
    done, total = self._done, self._total
    if not total:
      gone = _duration(elapsed)
      logging.info('%s: %d after %s', self._description, done, gone)
    elif done:
      left = _duration(elapsed / done * (total - done))
      logging.info(
        '%s: %d of %d, %s left', self._description, done, total, left
      )


def track(
  iterable: Iterable, *, total: int | None = None, description: str = ''
) -> Iterator:
  """Yields the items of an iterable, and shows as `Bar` how far it is.

  Args:
    iterable: What to go through, to its end: an item is done when the next one
      is asked for.
    total: Number of items, if the iterable does not know its length.
    description: What is being done.
  """
  if total is None and isinstance(iterable, Sized):
    total = len(iterable)
  with Bar(total, description) as bar:
    for item in iterable:
      yield item
      bar.advance()
