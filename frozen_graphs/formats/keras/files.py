"""Opens the files in which Keras stores models, without running their code.

A model's file can hold code: a Lambda layer is Python bytecode, and a class is
named by any module of Python, which Keras imports. So a file's configuration is
read first, and refused unless it names nothing but layers of Keras itself.
"""

from collections.abc import Iterator
import json
import os
import pathlib
import re
import zipfile

import tensorflow as tf

from frozen_graphs.errors import GraphError, UnsafeGraphError

SUFFIXES = ('.keras', '.h5', '.hdf5')
_MAX_CONFIG_BYTES = 2**28
# Modules of Keras, old and new, that only define parts of networks.
_MODULES = re.compile(
  r'keras(\.src)?(\.engine|\.legacy)?(\.(activations|constraints|'
  r'dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|'
  r'random|regularizers|functional|sequential|training|mixed_precision)'
  r'(\.\w+)*)?|builtins'
)
# Layers that networks of keras.applications have for themselves.
_OF_APPLICATIONS = frozenset({
  ('convnext', 'LayerScale'), ('convnext', 'StochasticDepth'),
  ('inception_resnet_v2', 'CustomScaleLayer'),
})  # fmt: skip
_APPLICATIONS = re.compile(r'keras\.(?:src\.)?applications\.(\w+)')
# They hold Python code or pickles, or read other files when they are loaded.
_REFUSED = {
  'Lambda': 'holds Python code',
  '__lambda__': 'holds Python code',
  'FlaxLayer': 'holds Python code',
  'JaxLayer': 'holds Python code',
  'TorchModuleWrapper': 'holds a pickle',
  'TFSMLayer': 'loads another file',
  'StringLookup': 'may read another file',
  'IntegerLookup': 'may read another file',
  'TextVectorization': 'may read another file',
}
_BUILT_IN = re.compile(r'[A-Za-z_]\w*')


def load_model(path: str | os.PathLike) -> tf.keras.Model:
  """Returns the model of a .keras or .h5 file.

  Raises:
    UnsafeGraphError: If the file holds code, or classes that are not Keras's.
    GraphError: If it is damaged, or holds weights only.
    OSError: If it cannot be read.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise FileNotFoundError(f'There is no file {path}.')
  try:
    config = _config(path)
    _check(config)
  except GraphError as error:
    raise type(error)(f'{path}: {error}') from error
  try:
    return tf.keras.models.load_model(path, compile=False, safe_mode=True)
  except Exception as error:  # Keras raises all kinds, also its layers' own.
    reason = ' '.join(str(error).split())
    raise GraphError(f'{path}: Keras cannot load it: {reason}') from error


def _config(path: pathlib.Path) -> dict:
  """Returns the configuration in a file."""
  text = _from_zip(path) if zipfile.is_zipfile(path) else _from_hdf5(path)
  try:
    config = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise GraphError(f'its configuration is not JSON: {error}') from error
  if not isinstance(config, dict):
    raise GraphError('its configuration does not describe a model.')
  return config


def _from_zip(path: pathlib.Path) -> str:
  try:
    with zipfile.ZipFile(path) as archive:
      if archive.getinfo('config.json').file_size > _MAX_CONFIG_BYTES:
        raise GraphError('its configuration is too large.')
      return archive.read('config.json').decode('utf-8')
  except (KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
    raise GraphError(
      f'it is no model of Keras, or is damaged: {error}'
    ) from error


def _from_hdf5(path: pathlib.Path) -> str:
  import h5py

  try:
    with h5py.File(path, 'r') as file:
      text = file.attrs.get('model_config')
  except OSError as error:
    raise GraphError(
      f'it is no model of Keras, or is damaged: {error}'
    ) from error
  if text is None:
    raise GraphError(
      'it holds weights only, and no network. Build the network in Python, '
      'load the weights into it with load_weights, and convert that.'
    )
  return text.decode('utf-8') if isinstance(text, bytes) else str(text)


def _check(config: dict) -> None:
  """Raises UnsafeGraphError unless a configuration names Keras's layers."""
  for entry in _objects(config):
    name, module = entry.get('class_name'), entry.get('module')
    if not isinstance(name, str):
      continue
    if name in _REFUSED:
      raise UnsafeGraphError(
        f'the layer {_name_of(entry)!r} ({name}) {_REFUSED[name]}; such a file '
        'is refused. If you trust it, load it in Python, replace the layer, '
        'and convert the model object.'
      )
    if module is not None and not _is_of_keras(str(module), name):
      raise UnsafeGraphError(
        f'{name} ({_name_of(entry)!r}) is from the module {module!r}, which is '
        'not a part of Keras; such a file is refused. If you trust it, load it '
        'in Python with custom_objects, and convert the model object.'
      )
    if module == 'builtins' and not (
      name == 'function' and _BUILT_IN.fullmatch(str(entry.get('config')))
    ):
      raise UnsafeGraphError(
        f'the configuration names {name!r} of Python itself; it is refused.'
      )


def _is_of_keras(module: str, name: str) -> bool:
  application = _APPLICATIONS.fullmatch(module)
  if application:
    return (application[1], name) in _OF_APPLICATIONS
  return bool(_MODULES.fullmatch(module))


def _objects(value) -> Iterator[dict]:
  """Yields every JSON object within a value."""
  stack = [value]
  while stack:
    value = stack.pop()
    if isinstance(value, dict):
      yield value
      stack.extend(value.values())
    elif isinstance(value, list):
      stack.extend(value)


def _name_of(entry: dict) -> str:
  config = entry.get('config')
  name = entry.get('name') or (
    config.get('name') if isinstance(config, dict) else None
  )
  return str(name or '')
