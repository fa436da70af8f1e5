"""Loads a layers model of TensorFlow.js: a Keras 2 model in JSON and shards.

tf-keras (Keras 2) builds the model from its configuration, after the check that
files of Keras have to pass, and is then given the weights by their names.
"""

import collections
from collections.abc import Mapping
import os
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError, about
from frozen_graphs.formats.keras import checks
from frozen_graphs.formats.keras import files as keras_files
from frozen_graphs.formats.keras import model as keras_model
from frozen_graphs.formats.tfjs import files as tfjs_files
from frozen_graphs.formats.tfjs import weights as tfjs_weights
from frozen_graphs.frozen import FrozenNetwork

_MODELS = ('Functional', 'Model', 'Sequential')


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a layers model's model.json, or its folder."""
  return tfjs_files.kind(path) == tfjs_files.LAYERS_MODEL


def load(source: str | os.PathLike) -> FrozenNetwork:
  """Loads a layers model of TensorFlow.js.

  Args:
    source: A model.json, which may have another name, or the folder of one;
      the shards lie beside it.

  Returns:
    The network; what its tensors are called is as for Keras models.

  Raises:
    GraphError: If a file is damaged, missing or too large, or a layer or one of
      its options is not known.
    OSError: If a file cannot be read.
  """
  model = tfjs_files.read(source, tfjs_files.LAYERS_MODEL)
  values = tfjs_weights.decode(model)
  with about(model.path):
    network = _built(_config(model.topology), values)
    return keras_model.freeze(
      network, f'TensorFlow.js layers model {model.path}'
    )


def _config(topology: Mapping) -> Any:
  version = str(topology.get('keras_version', ''))
  if version.startswith('3'):
    raise GraphError(
      f'The model was written by Keras {version}, whose configuration is not '
      'read; save it for TensorFlow.js with tf-keras (Keras 2).'
    )
  config = topology.get('model_config', topology)
  checks.check_config(config)
  kind = config.get('class_name')
  if kind not in _MODELS:
    raise GraphError(
      f'The model is of the class {str(kind)[:60]!r}; known are {_MODELS}.'
    )
  return config


def _built(config: Any, values: Mapping[str, np.ndarray]):
  """Returns the tf_keras.Model of a configuration, with its weights."""
  import tf_keras

  class MultiplyBeta(tf_keras.layers.Rescaling):
    """Scales a residual (ESRGAN of UpscalerJS)."""

    def __init__(self, beta=0.2, **options):
      super().__init__(beta, **options)

  class PixelShuffle(tf_keras.layers.Layer):
    """Moves channels into space (ESRGAN of UpscalerJS)."""

    def __init__(self, scale, **options):
      super().__init__(**options)
      self._scale = int(scale)

    def call(self, x):
      return tf.nn.depth_to_space(x, self._scale)

  known = {
    # As TensorFlow.js itself spells it.
    'hardSigmoid': tf_keras.activations.hard_sigmoid,
    'gelu_new': lambda x: tf.nn.gelu(x, approximate=True),
    'MultiplyBeta': MultiplyBeta,
    **{f'PixelShuffle{scale}x': PixelShuffle for scale in (2, 3, 4, 8)},
  }
  for entry in checks.objects(config):
    kind = str(entry.get('class_name'))
    is_known = kind in known or hasattr(tf_keras.layers, kind)
    if 'inbound_nodes' in entry and kind not in _MODELS and not is_known:
      raise GraphError(
        f'The layer {str(entry.get("name"))[:60]!r} is of the class '
        f'{kind[:60]!r}, which is not known.'
      )
  with (
    keras_files.building(tf_keras),
    tf_keras.utils.custom_object_scope(known),
  ):
    network = tf_keras.models.model_from_config(config)
    _set_weights(network, values)
  return network


def _set_weights(network: Any, values: Mapping[str, np.ndarray]) -> None:
  """Gives the layers of a tf_keras.Model the weights of their names.

  Keras 2 may write the scopes in which a layer was made before its name.
  """
  by_end = collections.defaultdict(list)
  for name in values:
    parts = name.split('/')
    for start in range(len(parts)):
      by_end['/'.join(parts[start:])].append(name)
  unused = set(values)
  for _, layer in keras_model.layers(network):
    for variable in () if keras_model.accepts(layer) else layer.weights:
      last = variable.name.partition(':')[0].rpartition(f'{layer.name}/')[2]
      wanted = f'{layer.name}/{last}'
      found = [wanted] if wanted in values else by_end[wanted]
      if not found:
        raise GraphError(f'The layer {layer.name!r} needs the weight {last!r}.')
      if len(found) > 1:
        raise GraphError(
          f'The weights {found[0]!r} and {found[1]!r} may both be those of the '
          f'layer {layer.name!r}.'
        )
      value = values[found[0]]
      if value.shape != tuple(variable.shape):
        raise GraphError(
          f'The layer {layer.name!r} needs the weight {last!r} of shape '
          f'{tuple(variable.shape)}, but it has {value.shape}.'
        )
      variable.assign(value.astype(variable.dtype.as_numpy_dtype))
      unused.discard(found[0])
  if unused:
    raise GraphError(
      f'The weights {sorted(unused)[:3]} belong to no layer; model.json and '
      'shards do not belong together.'
    )
