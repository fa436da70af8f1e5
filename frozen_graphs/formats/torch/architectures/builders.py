"""Makes frozen networks of weights: file in, graph out."""

from collections.abc import Callable
import os

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats.torch import files as torch_files
from frozen_graphs.formats.torch.architectures import (
  craft,
  demosaicnet,
  hed,
  inverted_residuals,
  layers,
)
from frozen_graphs.frozen import FrozenNetwork

Builder = Callable[[tf.Tensor, layers.Weights], dict[str, tf.Tensor]]

_BUILDERS: dict[str, Builder] = {
  'craft': craft.build,
  'demosaicnet': demosaicnet.build,
  'efficientnet_lite': inverted_residuals.efficientnet_lite,
  'hed': hed.build,
  'mobilenet_v2': inverted_residuals.mobilenet_v2,
}
_MAX_BYTES = 2**30


def load(path: str | os.PathLike, builder: str) -> FrozenNetwork:
  """Returns the network of a file of weights.

  Args:
    path: .pth or .pt of PyTorch, or .h5 of Keras.
    builder: Name of its architecture.

  Raises:
    GraphError: If there is no such architecture, or the weights are not its.
    OSError: If the file cannot be read.
  """
  if builder not in _BUILDERS:
    raise GraphError(
      f'No architecture {builder!r}; there are {", ".join(_BUILDERS)}.'
    )
  if str(path).endswith('.h5'):
    weights = layers.Weights(_read_h5(path))
  else:
    arrays = torch_files.load_state_dict(path, max_bytes=_MAX_BYTES)
    weights = layers.Weights(arrays, prefix='module.')
  return freeze(_BUILDERS[builder], weights, f'{builder} of {path}')


def freeze(
  builder: Builder, weights: layers.Weights, source: str
) -> FrozenNetwork:
  """Returns a network with the input `input` and ends called as built."""
  with tf.Graph().as_default() as graph:
    shape = [None, None, None, 3]
    images = tf.compat.v1.placeholder(tf.float32, shape, 'input')
    with about(source), explaining('The weights do not fit', ValueError):
      ends = builder(images, weights)
    for name, tensor in ends.items():
      tf.identity(tensor, name=name)
  return FrozenNetwork(
    graph.as_graph_def(),
    ('input:0',),
    tuple(f'{name}:0' for name in ends),
    source,
  )


def _read_h5(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns all arrays of an HDF5 file by their paths in it."""
  import h5py

  if os.path.getsize(path) > _MAX_BYTES:
    raise GraphError(f'{path} has more than the {_MAX_BYTES} bytes allowed.')
  arrays: dict[str, np.ndarray] = {}

  def visit(name: str, item) -> None:
    if isinstance(item, h5py.Dataset):
      arrays[name] = item[()]

  with (
    explaining(f'{path} is not a whole HDF5 file', OSError),
    h5py.File(path, 'r') as file,
  ):
    file.visititems(visit)
  return arrays
