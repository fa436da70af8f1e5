"""The networks of a bank, each loaded once and cut once, within bounds."""

from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder

_MAX_BYTES = 2**31


class Networks:
  """Keeps networks from one use to the next.

  Those that would take more memory than allowed are loaded anew for each use.
  """

  def __init__(self, max_bytes: int = _MAX_BYTES):
    self._max_bytes, self._bytes = max_bytes, 0
    self._kept: dict[tuple, Network] = {}

  def get(self, encoder: Encoder) -> Network:
    """Returns the network of an encoder; see `Encoder.load`."""
    key = _key(encoder)
    if key not in self._kept:
      network = encoder.load()
      size = network.graph_def.ByteSize()
      if self._bytes + size > self._max_bytes:
        return network
      self._kept[key] = network
      self._bytes += size
    return self._kept[key]

  def drop(self, encoder: Encoder) -> None:
    """Frees the memory of a network that is not needed any more."""
    network = self._kept.pop(_key(encoder), None)
    if network is not None:
      self._bytes -= network.graph_def.ByteSize()
      network.close()


def _key(encoder: Encoder) -> tuple:
  graph = encoder.graph if isinstance(encoder.graph, str) else id(encoder.graph)
  return (
    encoder.name,
    graph,
    encoder.input_tensor,
    encoder.representation_tensor,
  )
