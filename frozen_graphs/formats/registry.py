"""Which format a network is stored in, and the module that reads it."""

from collections.abc import Mapping
import inspect
import os
import types

from frozen_graphs.errors import GraphError

# In the order in which they are asked whether a path is theirs.
NAMES = (
  'hub_module',
  'saved_model',
  'keras_model',
  'checkpoint',
  'tfjs_graph_model',
  'tfjs_layers_model',
  'onnx_model',
  'tflite_model',
  'frozen_graph',
)
# What names them may be no path: a handle, the prefix of files' names.
_NOT_FILES = ('hub_module', 'checkpoint')


def module(name: str) -> types.ModuleType:
  """Returns the module of a format, which is imported only now.

  A format may need a package that nothing else needs.

  Raises:
    GraphError: If there is no such format, or its package is missing.
  """
  if name not in NAMES:
    raise GraphError(f'No format {name!r}; there are {", ".join(NAMES)}.')
  try:
    return _imported(name)
  except ImportError as error:
    raise GraphError(
      f'The format {name} cannot be read here: {error}.'
    ) from error


def _imported(name: str) -> types.ModuleType:
  """Imports a module; spelled out, so that tools see what is imported."""
  if name == 'hub_module':
    from frozen_graphs.formats import hub_module as found
  elif name == 'saved_model':
    from frozen_graphs.formats import saved_model as found
  elif name == 'keras_model':
    from frozen_graphs.formats.keras import model as found
  elif name == 'checkpoint':
    from frozen_graphs.formats import checkpoint as found
  elif name == 'tfjs_graph_model':
    from frozen_graphs.formats.tfjs import graph_model as found
  elif name == 'tfjs_layers_model':
    from frozen_graphs.formats.tfjs import layers_model as found
  elif name == 'onnx_model':
    from frozen_graphs.formats.onnx import model as found
  elif name == 'tflite_model':
    from frozen_graphs.formats.tflite import model as found
  else:
    from frozen_graphs.formats import frozen_graph as found
  return found


def detect(source: object) -> str:
  """Returns the name of the format of a network.

  Args:
    source: A path, a handle of TensorFlow Hub, or a model of Keras.

  Raises:
    GraphError: If it is of none.
    FileNotFoundError: If there is nothing at a path.
  """
  if not isinstance(source, str | os.PathLike):
    if module('keras_model').is_model(source):
      return 'keras_model'
    raise GraphError(
      f'{type(source).__module__}.{type(source).__qualname__} is neither a '
      'path nor a model of Keras (tf.keras or tf_keras). Save other modules '
      'and models with tf.saved_model.save, and pass the folder.'
    )
  unavailable = []
  for name in NAMES:
    try:
      found = module(name)
    except GraphError as error:
      unavailable.append(str(error))
      continue
    if found.matches(source):
      if name in _NOT_FILES or os.path.exists(source):
        return name
  if not os.path.exists(source):
    raise FileNotFoundError(f'There is no file or folder {source}.')
  raise GraphError(
    f'{source} is of no format that is known by its name: '
    f'{", ".join(NAMES)}. Say which it is (--format). ' + ' '.join(unavailable)
  )


def options(name: str, given: Mapping[str, object]) -> dict[str, object]:
  """Returns the options that a format takes, out of those that are not None.

  `input`, `representation` and `constants` are left out where a format does
  not need them to load a network; the others are refused there.

  Raises:
    GraphError: If the format does not know an option.
  """
  given = {key: value for key, value in given.items() if value is not None}
  loader = module(name).load
  if name == 'hub_module':
    loader = module('saved_model').load
  known = inspect.signature(loader).parameters.keys() - {'source'}
  later = {'input', 'representation', 'constants'}
  if unknown := sorted(given.keys() - known - later):
    raise GraphError(
      f'The format {name} has no option {", ".join(unknown)}; it has '
      f'{", ".join(sorted(known - later)) or "none"}.'
    )
  return {key: value for key, value in given.items() if key in known}
