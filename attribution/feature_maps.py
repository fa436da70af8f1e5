"""Gradients at a feature map inside of a network, for Grad-CAM.

The network is cut there: the part before it makes the feature maps, the part
behind it is differentiated at them.
"""

from collections.abc import Callable, Iterator
import contextlib

import cv2
import numpy as np

import frozen_graphs
from frozen_graphs import narrowing, tensors
from frozen_graphs.errors import about


class CutNetwork(contextlib.AbstractContextManager):
  """A network cut at a feature map.

  Attributes:
    layer: The tensor of the feature map.
  """

  def __init__(
    self,
    network: frozen_graphs.Network,
    layer: str | None = None,
    *,
    is_directed: bool = False,
    batch_size: int = 32,
    device: str | None = None,
    precision: str = narrowing.SINGLE,
  ):
    """Builds both parts.

    Args:
      network: The network.
      layer: The tensor of the feature map; default: the result of the last
        activation whose maps have several positions, else the representation.
      is_directed: Whether gradients are those of sums with given weights.
      batch_size: Images computed at once.
      device: As for the explainer.
      precision: Likewise.

    Raises:
      GraphError: If there is no such feature map, or the network cannot be cut
        there.
    """
    self.layer = layer or _last_feature_map(network)
    self._is_directed = is_directed
    self._channels_first = _is_channels_first(network.input_shape)
    options = {
      'batch_size': batch_size,
      'device': device,
      'precision': precision,
    }
    with about(network.name):
      self._body = network.at(self.layer).passes(**options)
      if self._is_representation(network):
        self._head = None
        return
      rules = {'probe_rules' if is_directed else 'rules': (None,)}
      try:
        behind = network.at(network.representation_tensor, self.layer)
        self._head = behind.passes(**rules, **options)
      except BaseException:
        self._body.close()
        raise

  def _is_representation(self, network: frozen_graphs.Network) -> bool:
    """Whether the feature map is the representation, by whatever name."""
    # Of the whole graph: the part that is used has lost what passes on only.
    nodes = {node.name: node for node in network.graph_def.node}
    tensor = tensors.split(network.representation_tensor)
    wanted = tensors.split(self.layer)
    while tensor != wanted:
      node = nodes.get(tensor[0])
      if node is None or node.op != 'Identity':
        return False
      (tensor,) = tensors.data_inputs(node)
    return True

  def gradients(
    self, inputs: np.ndarray, directions: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the feature maps of inputs, and the target's gradient there.

    Args:
      inputs: [n, ...], as the network takes them.
      directions: Weights [n, units] of the units of each representation, whose
        sum is the target; default: their mean.

    Returns:
      [n, h, w, C] twice.

    Raises:
      GraphError: If the tensor has no positions, or TensorFlow cannot run it.
    """
    self._body.prove(inputs[:1])
    features = _by_batches(
      lambda rows: self._body.run(inputs[rows]).representation,
      *(len(inputs), self._body.batch_size),
    )
    if features.ndim != 4:
      raise frozen_graphs.GraphError(
        f'{self.layer!r} has the shape {features.shape}; Grad-CAM needs a '
        'feature map [N, height, width, channels]. Name one by `layer`.'
      )
    gradients = self._at(features, directions)
    if self._channels_first:
      return tuple(np.moveaxis(x, 1, -1) for x in (features, gradients))
    return features, gradients

  def _at(
    self, features: np.ndarray, directions: np.ndarray | None
  ) -> np.ndarray:
    if self._head is None:  # The representation itself.
      if directions is None:
        return np.full_like(features, 1 / features[0].size)
      return directions.reshape(features.shape).astype(features.dtype)
    head = self._head
    head.prove(features[:1])
    if directions is None:
      return _by_batches(
        lambda rows: head.run(features[rows]).gradients[None],
        *(len(features), head.batch_size),
      )
    weights = directions.astype(features.dtype)[:, None]
    return head.probe(None, features, weights)[:, 0]

  def enlarged(self, maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns maps [n, h, w, 1] as large as inputs of a shape.

    Bilinear; every channel of the input gets an equal part.
    """
    first = self._channels_first
    *sides, channels = (*shape[1:], shape[0]) if first else shape
    size = sides[1], sides[0]
    large = np.stack(
      [
        cv2.resize(m[..., 0], size, interpolation=cv2.INTER_LINEAR)
        for m in maps
      ]
    )
    repeated = np.repeat(large[..., None] / channels, channels, axis=-1)
    return np.moveaxis(repeated, -1, 1) if first else repeated

  def close(self) -> None:
    """Frees the sessions."""
    self._body.close()
    if self._head is not None:
      self._head.close()

  def __exit__(self, *exception) -> None:
    self.close()


def _by_batches(
  compute: Callable[[slice], np.ndarray], number: int, size: int
) -> np.ndarray:
  return np.concatenate([compute(rows) for rows in _slices(number, size)])


def _slices(number: int, size: int) -> Iterator[slice]:
  for start in range(0, number, size):
    yield slice(start, start + size)


def _last_feature_map(network: frozen_graphs.Network) -> str:
  """Returns the last feature map that the representation sees alone."""
  first = _is_channels_first(network.input_shape)
  for tensor, shape in reversed(network.activations().items()):
    sides = shape[2:] if first else shape[1:3]
    is_map = len(shape) == 4 and any(side != 1 for side in sides)
    if is_map and _is_all_that_is_seen(network, tensor):
      return tensor
  return network.representation_tensor


def _is_all_that_is_seen(network: frozen_graphs.Network, tensor: str) -> bool:
  """Whether every way from the input to the representation passes a tensor."""
  nodes = network.subgraph.nodes
  start, end, cut = (
    tensors.split(name)[0]
    for name in (
      network.subgraph.representation_tensor,
      network.subgraph.input_tensor,
      tensor,
    )
  )
  stack, seen = [start], {cut}
  while stack:
    name = stack.pop()
    if name == end:
      return False
    if name not in seen and name in nodes:
      seen.add(name)
      stack += tensors.producers(nodes[name])
  return True


def _is_channels_first(shape: tuple[int | None, ...]) -> bool:
  first, *_, last = shape
  few = (1, 3, 4)
  return first in few and last not in few
