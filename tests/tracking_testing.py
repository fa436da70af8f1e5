"""Stand-ins for `toolkit_basics.progress.track`."""

from collections.abc import Callable, Iterable, Iterator


class Killed(Exception):
  """What ends a run that `killed_after` follows."""


def silent(items: Iterable, **unused) -> Iterable:
  """Shows nothing."""
  del unused
  return items


def killed_after(number: int) -> Callable[..., Iterator]:
  """Returns a stand-in that ends a run after some steps, if there are more."""

  def track(items: Iterable, **unused) -> Iterator:
    del unused
    items = list(items)
    yield from items[:number]
    if items[number:]:
      raise Killed

  return track
