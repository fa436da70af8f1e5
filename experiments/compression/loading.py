"""Keras networks that can be trained: from files, by name, of the mini bank."""

import dataclasses
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from attribution_preservation import compression
from frozen_graphs import graph as graphs
from frozen_graphs.formats.keras import files as keras_files
from taskonomy_models import bank as banks
from taskonomy_models import keras_networks, metadata
from taskonomy_models.mini.architectures import registry
from toolkit_basics import files

MINI = 'mini:'
KERAS = 'keras:'


@dataclasses.dataclass(frozen=True)
class Trainable:
  """A network to be compressed.

  Attributes:
    model: Without a softmax at its end.
    preprocessing: T.
    has_softmax: Whether there was one.
    digest: Of its weights.
    side: Of the pictures that it takes, in pixels.
  """

  model: tf.keras.Model
  preprocessing: str
  has_softmax: bool
  digest: str
  side: int


def load(network: str, preprocessing: str | None = None) -> Trainable:
  """Returns a network.

  Args:
    network: The path of a .keras or .h5 file, `keras:NAME` or
      `keras:NAME:random` of tf.keras.applications, `mini:NAME` of the mini
      bank.
    preprocessing: T; default: what is known of it.

  Raises:
    ValueError: If it is no such network, is of several inputs or outputs, or
      nothing says what T is.
    OSError: If a file cannot be read.
  """
  if network.startswith(MINI):
    model, known = of_mini_bank(network.removeprefix(MINI))
  elif network.startswith(KERAS):
    model, known = _of_applications(network.removeprefix(KERAS))
  else:
    if not network.endswith(keras_files.SUFFIXES):
      raise ValueError(
        f'{network!r} is no Keras network; give a .keras or .h5 file, '
        f'{KERAS}NAME, or {MINI}NAME. Other formats cannot be trained.'
      )
    model = keras_files.load_model(network)
    known = metadata.of(network) or metadata.of(model)
    if not isinstance(model, tf.keras.Model):
      raise ValueError(
        f'{network} was written by Keras 2; load it and save it anew as .keras.'
      )
  if len(model.inputs) != 1 or len(model.outputs) != 1:
    raise ValueError(
      f'{network} has {len(model.inputs)} inputs and {len(model.outputs)} '
      'outputs; only networks of one each can be compressed.'
    )
  preprocessing = preprocessing or known
  if preprocessing is None:
    raise ValueError(
      f'Nothing says which values {network} takes; pass `preprocessing`, such '
      'as "range(-1, 1)".'
    )
  model, had_softmax = compression.with_logits(model)
  values = [np.ascontiguousarray(w).data for w in model.get_weights()]
  side = model.input_shape[1] or 224
  digest = files.sha256(*(bytes(v) for v in values))
  return Trainable(model, preprocessing, had_softmax, digest, side)


def _of_applications(name: str) -> tuple[tf.keras.Model, str]:
  name, _, weights = name.partition(':')
  by_function = {
    entry.function.lower(): key
    for key, entry in keras_networks.NETWORKS.items()
  }
  key = by_function.get(name.lower(), name)
  model = keras_networks.build(key, weights or 'imagenet')
  return model, keras_networks.NETWORKS[key].preprocessing


def of_mini_bank(name: str) -> tuple[tf.keras.Model, str]:
  """Returns an encoder of the mini bank with its weights, and its T.

  Raises:
    ValueError: If the bank has no such encoder.
  """
  bank = banks.load('mini')
  if name not in bank.names:
    raise ValueError(
      f'The mini bank has no network {name!r}; it has {", ".join(bank.names)}.'
    )
  (encoder,) = (e for e in bank.encoders if e.name == name)
  constants = _constants(encoder.graph)
  channels = constants['stem/kernel'].shape[2]
  model = registry.get(registry.DEFAULT)(channels, 64)
  for variable in model.weights:
    variable.assign(constants[variable.path])
  return model, encoder.preprocessing


def _constants(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the constants of a frozen graph by name, as float32.

  Those that are stored in half precision have the name of what they become.
  """
  nodes = {node.name: node for node in graphs.load_graph_def(path).node}
  found = {}
  for name, node in nodes.items():
    if node.op == 'Cast' and f'{name}/float16' in nodes:
      node = nodes[f'{name}/float16']
    if node.op == 'Const':
      value = tf.make_ndarray(node.attr['value'].tensor)
      found[name] = np.asarray(value, np.float32)
  return found


def save(model: tf.keras.Model, path: pathlib.Path, loaded: Trainable) -> None:
  """Writes a model as a .keras file, with the softmax that it had."""
  whole = compression.with_softmax(model) if loaded.has_softmax else model
  with tempfile.TemporaryDirectory() as folder:
    written = pathlib.Path(folder, 'model.keras')
    whole.save(written)
    files.write_atomically(path, written.read_bytes())
