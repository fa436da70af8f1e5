"""Loads a module of TensorFlow Hub: a handle, or a module in a cache.

As `hub.load` does, a handle is resolved to a folder (downloaded into
TFHUB_CACHE_DIR, unless it is there); unlike it, the folder is then read as
data, see `saved_model`. Modules are SavedModels, of TensorFlow 1's format too.
"""

import dataclasses
import inspect
import os
import pathlib
import warnings

import tensorflow as tf

from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry, saved_model
from frozen_graphs.frozen import FrozenNetwork

_SCHEMES = ('https://', 'http://', 'gs://')


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a handle, or a module of the first format."""
  if str(path).startswith(_SCHEMES):
    return True
  return (pathlib.Path(path) / saved_model.HUB_FILE).is_file()


def load(source: str | os.PathLike, **options) -> FrozenNetwork:
  """Loads a module.

  Args:
    source: A handle (https://tfhub.dev/...), or the folder of a module.
    **options: Those of `saved_model.load`.

  Raises:
    GraphError: If the module cannot be obtained or used.
  """
  handle = os.fspath(source)
  with warnings.catch_warnings():
    # Of setuptools, about what tensorflow-hub 0.16 imports of it.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    import tensorflow_hub as hub
  try:
    folder = hub.resolve(handle)
  except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
    reason = ' '.join(str(error).split())
    raise GraphError(
      f'The module {handle} is not in the cache and cannot be fetched '
      f'({reason}). Without a network, unpack it into a folder elsewhere and '
      'pass that folder, or set TFHUB_CACHE_DIR to a cache that has it.'
    ) from error
  network = saved_model.load(folder, **options)
  return dataclasses.replace(network, source=f'TensorFlow Hub module {handle}')


# Which options there are is read off it.
load.__signature__ = inspect.signature(saved_model.load)
registry.register(registry.Format('hub_module', load, matches))
