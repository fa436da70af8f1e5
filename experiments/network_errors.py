"""Errors of one network of many, which say whose they are."""

from collections.abc import Iterator
import contextlib

from frozen_graphs.errors import brief


class NetworkError(ValueError):
  """One network of a bank cannot be used, whatever the others do.

  Attributes:
    network: Its name.
  """

  def __init__(self, message: str, network: str = ''):
    super().__init__(message)  # Alone: other processes send it so.
    self.network = network


@contextlib.contextmanager
def computing(name: str) -> Iterator[None]:
  """Turns every error over a network into a NetworkError.

  No results are written in the block: a full disk is no fault of a network.

  Args:
    name: Of the network.
  """
  try:
    yield
  except NetworkError:
    raise
  except ValueError as error:
    raise NetworkError(str(error), name) from error
  except MemoryError as error:
    raise NetworkError(
      f'{name}: there is not enough memory for it; pass a smaller '
      '`batch_size`.',
      name,
    ) from error
  except Exception as error:
    raise NetworkError(
      f'{name}: {type(error).__name__}: {brief(error, 300)}', name
    ) from error
