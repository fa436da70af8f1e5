"""Reads files of others, which may be of any size."""

import os

from frozen_graphs.errors import GraphError


def read(path: str | os.PathLike, max_bytes: int) -> bytes:
  """Returns the content of a file.

  Args:
    path: Of the file.
    max_bytes: A larger file is refused before it is read.

  Raises:
    GraphError: If the file is larger.
    OSError: If it cannot be read.
  """
  size = os.path.getsize(path)
  if size > max_bytes:
    raise GraphError(
      f'{path} has {size} bytes, more than the {max_bytes} allowed.'
    )
  with open(path, 'rb') as file:
    return file.read(max_bytes + 1)
