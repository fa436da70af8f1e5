"""Opens the files in which Keras stores models, without running their code.

A model's file can hold code: a Lambda layer is Python bytecode, and a class is
named by any module of Python, which Keras imports. So a file's configuration is
read first, and refused unless it names nothing but parts of Keras itself. What
was read is a copy that nobody else can change, and that copy is what is loaded.
"""

from collections.abc import Callable, Iterator
import contextlib
import io
import json
import os
import pathlib
import re
import tempfile
import types
from typing import Any
import zipfile

import tensorflow as tf

from frozen_graphs import budget, child
from frozen_graphs.errors import GraphError, about, brief
from frozen_graphs.formats.keras import checks

SUFFIXES = ('.keras', '.h5', '.hdf5')
_MAX_CONFIG_BYTES = 2**28
_SECONDS = 10.0  # Of a processor, for the configuration of a file.
_HDF5 = b'\x89HDF\r\n\x1a\n'


def load_model(path: str | os.PathLike):
  """Returns the model of a .keras or .h5 file.

  Returns:
    A tf.keras.Model, or a tf_keras.Model if Keras 2 wrote the file.

  Raises:
    UnsafeGraphError: If the file holds code, or classes that are not Keras's.
    GraphError: If it is damaged, too large, or holds weights only.
    OSError: If it cannot be read.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    raise GraphError(f'{path} is a folder; Keras keeps a model in one file.')
  if not path.is_file():
    raise FileNotFoundError(f'There is no file {path}.')
  content = budget.read(path, checks.MAX_BYTES)
  is_zip = not content.startswith(_HDF5) and zipfile.is_zipfile(
    io.BytesIO(content)
  )
  with about(path), tempfile.TemporaryDirectory() as folder:
    # Keras chooses how to read a file by its suffix.
    copy = pathlib.Path(folder, 'copy.keras' if is_zip else 'copy.h5')
    copy.write_bytes(content)
    with child.ended_after(_SECONDS):
      config, version = _described(_read_zip if is_zip else _read_hdf5, copy)
    checks.check_config(config)
    keras = _library(version)
    with building(keras):
      return keras.models.load_model(copy, compile=False, safe_mode=True)


def _library(version: str) -> types.ModuleType:
  """Returns the Keras that reads what a version of Keras wrote."""
  if re.match(r'[3-9]|\d\d', version):
    return tf.keras
  import tf_keras

  return tf_keras


@contextlib.contextmanager
def building(keras: types.ModuleType) -> Iterator[None]:
  """Within it, Keras may build a model of a configuration of others.

  Weights are bounded, tf-keras ends, and every error of Keras is a GraphError.
  """
  size = 0

  def create(create_next, **options):
    nonlocal size
    shape = tf.TensorShape(options.get('shape'))
    size += 4 * (shape.num_elements() or 0)
    if size > checks.MAX_BYTES:
      raise GraphError('its weights take more than 2 GiB.')
    return create_next(**options)

  class Functional:
    @staticmethod
    def from_config(config, custom_objects=None):
      config = {**config, 'layers': _Finite(config['layers'])}
      return keras.Model.from_config(config, custom_objects)

  finite = {'Functional': Functional, 'Model': Functional}
  try:
    with (
      tf.variable_creator_scope(create),
      keras.utils.custom_object_scope({} if keras is tf.keras else finite),
    ):
      yield
  except GraphError:
    raise
  except Exception as error:  # Keras raises all kinds, also its layers' own.
    raise GraphError(
      f'Keras cannot load it: {brief(error)} {checks.WAY_OUT}'
    ) from error


class _Finite(list):
  """Layers, through which tf-keras goes until all could be called."""

  def __init__(self, layers: list):
    super().__init__(layers)
    calls = sum(len(layer['inbound_nodes']) for layer in layers)
    self._passes = calls + 2  # Each but the first calls one.

  def __iter__(self):
    self._passes -= 1
    if self._passes < 0:
      raise GraphError('some layers take what no layer before them returns.')
    return super().__iter__()


def _described(read: Callable, path: pathlib.Path) -> tuple[Any, str]:
  """Returns a model's configuration, and its version of Keras."""
  try:
    text, version = read(path)
    if not text:
      raise GraphError(
        'it holds weights only, and no network. Build the network in Python, '
        'load the weights into it with load_weights, and convert that.'
      )
    if len(text) > _MAX_CONFIG_BYTES:
      raise GraphError('its configuration is too large.')
    return json.loads(text), str(version)
  except GraphError:
    raise
  except Exception as error:  # Files can be damaged in every way.
    raise GraphError(
      f'it is no model of Keras, or is damaged: {brief(error)}'
    ) from error


def _read_hdf5(path: pathlib.Path) -> tuple[str | bytes, str]:
  import h5py

  with h5py.File(path, 'r') as file:
    checks.check_hdf5(file)
    text, version = (
      file.attrs.get(key, '') for key in ('model_config', 'keras_version')
    )
  return text, version.decode() if isinstance(version, bytes) else version


def _read_zip(path: pathlib.Path) -> tuple[bytes, str]:
  import h5py

  with zipfile.ZipFile(path) as archive:
    if sum(m.file_size for m in archive.infolist()) > checks.MAX_BYTES:
      raise GraphError('its parts take more than 2 GiB.')
    if 'model.weights.h5' in archive.namelist():
      with (
        archive.open('model.weights.h5') as weights,
        h5py.File(weights, 'r') as file,
      ):
        checks.check_hdf5(file)
    version = json.loads(archive.read('metadata.json'))['keras_version']
    return archive.read('config.json'), version
