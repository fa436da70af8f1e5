"""The errors that a frozen graph of the user's own can cause."""

from collections.abc import Iterator
import contextlib
import re

from toolkit_basics import texts

# Where an error of Keras begins to repeat what it was given, and where it tells
# what went wrong.
_REPEATS = re.compile(r' ((Call a|A)rguments received|Full object config)')
_CALLED = re.compile(r'Exception encountered when calling (\S.*?)\. (?=\S)')
_MAX_REASON = 1000
_REASON = 'Exception encountered: '


class GraphError(ValueError):
  """A frozen graph that cannot be used; the message says what to do.

  It is one line, whatever the names in a file are.
  """

  def __init__(self, message: object = ''):
    super().__init__(texts.one_line(str(message)))


class ShortMemoryError(GraphError):
  """There is not enough memory for so many images at once."""


class UnsafeGraphError(GraphError):
  """A graph with an operation that a network never needs, such as ReadFile."""


class UnsupportedOpError(GraphError):
  """A graph with an operation for which the asked method has no rule."""


class OpenSizeError(GraphError):
  """A file that leaves a size of the images open, which has to be said."""


def open_size(reason: str) -> OpenSizeError:
  """Returns the error: what depends on the size, and how to say that."""
  return OpenSizeError(
    f'{reason}, which the file leaves open; say it (`image_size`).'
  )


@contextlib.contextmanager
def about(what: object) -> Iterator[None]:
  """Begins the message of a ValueError with what it is about."""
  try:
    yield
  except ValueError as error:
    # Those of Unicode and JSON cannot be made of a message alone.
    is_plain = type(error).__init__ is ValueError.__init__
    is_ours = isinstance(error, GraphError)
    kind = type(error) if is_plain or is_ours else ValueError
    raise kind(f'{what}: {error}') from error


@contextlib.contextmanager
def explaining(message: str, *kinds: type[Exception]) -> Iterator[None]:
  """Turns errors of other libraries into a GraphError: a message, and theirs.

  Args:
    message: What could not be done.
    *kinds: Of errors; a GraphError stays as it is.
  """
  try:
    yield
  except OpenSizeError as error:
    raise OpenSizeError(f'{message}: {error}') from error
  except GraphError:
    raise
  except kinds as error:
    reason = (str(error).strip() or type(error).__name__).rstrip('.')
    reason = texts.one_line(f'{reason}.', _MAX_REASON)
    raise GraphError(f'{message}: {reason}') from error


@contextlib.contextmanager
def at_the_door(
  what: object, doing: str, damaged: bool = True
) -> Iterator[None]:
  """Turns every error over something of others into one of our own.

  Libraries that read or run what a stranger wrote raise anything. The original
  stays the cause, which --debug shows.

  Args:
    what: What it is about, as the name of a file.
    doing: What cannot be done with it, as 'be read as an ONNX model'.
    damaged: Whether it may be a file that is damaged.

  Raises:
    GraphError: In place of any error but those a user can mend by another path
      or argument: OSError with a number, and GraphError itself.
  """
  try:
    yield
  except GraphError:
    raise
  except RecursionError as error:
    raise GraphError(f'{what}: it is nested too deep to {doing}.') from error
  except MemoryError as error:
    raise GraphError(
      f'{what}: there is not enough memory for it to {doing}.'
    ) from error
  except Exception as error:
    if isinstance(error, OSError) and error.errno is not None:
      raise
    reason = f'{type(error).__name__}: {brief(error, 300)}'
    doubt = '; is it damaged?' if damaged else ''
    raise GraphError(f'{what}: it cannot {doing}{doubt} ({reason})') from error


def brief(error: BaseException, most: int = 120) -> str:
  """Returns one sentence of an error of another library.

  Args:
    error: Its message may have any length, and any number of lines.
    most: The most characters to return.
  """
  text = ' '.join(str(error).split()) or type(error).__name__
  text = text.rpartition(_REASON)[2]
  text = _CALLED.sub(r'\1: ', _REPEATS.split(text)[0])
  text = re.split(r'(?<=\.) ', text)[0].rstrip('.')
  return f'{text}.' if len(text) < most else f'{text[: most - 4]} ...'
