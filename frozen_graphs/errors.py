"""The errors that a frozen graph of the user's own can cause."""

from collections.abc import Iterator
import contextlib


class GraphError(ValueError):
  """A frozen graph that cannot be used; the message says what to do."""


class UnsafeGraphError(GraphError):
  """A graph with an operation that a network never needs, such as ReadFile."""


class UnsupportedOpError(GraphError):
  """A graph with an operation for which the asked method has no rule."""


@contextlib.contextmanager
def about(what: object) -> Iterator[None]:
  """Begins the message of a ValueError with what it is about."""
  try:
    yield
  except ValueError as error:
    raise type(error)(f'{what}: {error}') from error
