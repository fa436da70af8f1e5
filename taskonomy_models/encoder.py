"""A model is data, not code: what is known of a frozen encoder."""

from collections.abc import Hashable, Iterable
import contextlib
import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

import frozen_graphs

_MAX_BYTES = 2**28
_MAX_SHOWN = 200  # Characters of a label.
_DIGEST = 'digest'  # Of a network, as what was found of it.


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A frozen encoder.

  Attributes:
    name: Unique in its bank; also names its files in the results.
    graph: Path of the frozen GraphDef, or the GraphDef itself.
    input_tensor: For example 'input:0'.
    representation_tensor: For example 'representation:0'.
    preprocessing: T, from probe images to the input, as
      `attribution.preprocessing` reads it. A wrong range fails silently.
    label: As shown in figures.
    group: Colour of its leaf in the similarity tree; None if unknown.
    sha256: Hex digest that the graph file must have; None if unknown.
    prediction_tensor: What the network predicts, from its representation on: a
      map of numbers, or numbers of an image; None if the graph has no head.
  """

  name: str
  graph: str | tf.compat.v1.GraphDef = dataclasses.field(hash=False, repr=False)
  input_tensor: str
  representation_tensor: str
  preprocessing: str
  label: str
  group: str | None = None
  sha256: str | None = None
  prediction_tensor: str | None = None

  def __post_init__(self):
    check_shown(self.name, self.label, self.group)

  def __repr__(self) -> str:
    group = f', group {self.group}' if self.group else ''
    return (
      f'<Network {self.name}: {self.preprocessing} to '
      f'{self.representation_tensor}{group}>'
    )

  @property
  def predictor(self) -> 'Encoder | None':
    """The same network up to what it predicts; None if it has no head."""
    if self.prediction_tensor is None:
      return None
    return dataclasses.replace(
      self, representation_tensor=self.prediction_tensor
    )

  @property
  def file_size(self) -> int:
    """Bytes of the graph's file, 0 without one that can be read."""
    with contextlib.suppress(OSError):
      return os.path.getsize(self.graph) if isinstance(self.graph, str) else 0
    return 0

  def channels_last(self, values: np.ndarray) -> np.ndarray:
    """Returns a layer [n, ...] of the network, with its channels last.

    A network that wants the channels of images first has those of its layers
    [n, c, h, w] first too; anything but layers stays as it is.
    """
    if values.ndim == 4 and 'channels_first' in self.preprocessing:
      return np.moveaxis(values, 1, -1)
    return values

  def load(self) -> frozen_graphs.Network:
    """Reads the graph, once, and checks that it is the one described.

    Raises:
      ValueError: If the file is not the one that the bank describes, or no
        frozen graph; the message names the encoder.
      OSError: If it cannot be read.
    """
    with frozen_graphs.about(self.name):
      network = frozen_graphs.load(
        self.graph,
        input=self.input_tensor,
        representation=self.representation_tensor,
        name=self.name,
        format='frozen_graph',
        trust='checks' if self.sha256 else None,
      )
      if self.sha256 not in (None, network.digest):
        raise ValueError(
          f'the sha256 of {self.graph} is {network.digest}, but the bank says '
          f'{self.sha256}. The file was changed or is damaged; get it anew.'
        )
    return network


def check_shown(name: str, label: str | None, group: str | None) -> None:
  """Raises ValueError if figures and pages cannot show a label or group."""
  for what, text in (('label', label), ('group', group)):
    if text is None:
      continue
    if len(text) > _MAX_SHOWN:
      raise ValueError(
        f'{name}: its {what} has {len(text)} characters; {_MAX_SHOWN} are the '
        'most.'
      )
    try:
      text.encode()
    except UnicodeEncodeError as error:
      raise ValueError(
        f'{name}: its {what}, {text!a}, is no text: {text[error.start]!a} '
        'stands for nothing.'
      ) from error


class Networks:
  """The networks of a bank, each loaded once and cut once, within bounds.

  Those that would take more memory than allowed are loaded anew for each use,
  and only what was found of them is kept.
  """

  def __init__(self, max_bytes: int = _MAX_BYTES):
    self._max_bytes, self._bytes = max_bytes, 0
    self._kept: dict[tuple, frozen_graphs.Network] = {}
    self._found: dict[tuple, dict[Hashable, Any]] = {}

  def get(self, encoder: Encoder) -> frozen_graphs.Network:
    """Returns the network of an encoder; see `Encoder.load`."""
    key = _key(encoder)
    if key not in self._kept:
      # One that was read before was tried then, and must be the same.
      known = self.found(encoder, _DIGEST) or encoder.sha256
      network = dataclasses.replace(encoder, sha256=known).load()
      self.note(encoder, _DIGEST, network.digest)
      size = network.size
      if self._bytes + size > self._max_bytes:
        return network
      self._kept[key] = network
      self._bytes += size
    return self._kept[key]

  def digest(self, encoder: Encoder) -> str:
    """Returns the digest of an encoder's network."""
    return self.found(encoder, _DIGEST) or self.get(encoder).digest

  def found(self, encoder: Encoder, what: Hashable) -> Any:
    """Returns what was noted of a network, None if nothing was."""
    return self._found.get(_key(encoder), {}).get(what)

  def note(self, encoder: Encoder, what: Hashable, value: Any) -> None:
    """Keeps what was found of a network in a file, whatever becomes of it."""
    if isinstance(encoder.graph, str):  # Others are known while they are kept.
      self._found.setdefault(_key(encoder), {})[what] = value

  def note_digest(self, encoder: Encoder, digest: str) -> None:
    """Keeps the digest of a network that was loaded elsewhere."""
    self.note(encoder, _DIGEST, digest)

  def have_room(self, encoders: Iterable[Encoder]) -> bool:
    """Returns whether the networks of encoders can all be kept here."""
    new = (e for e in encoders if _key(e) not in self._kept)
    sizes = sum(encoder.file_size for encoder in new)
    return self._bytes + sizes <= self._max_bytes

  def drop(self, encoder: Encoder) -> None:
    """Frees the memory of a network that is not needed any more."""
    network = self._kept.pop(_key(encoder), None)
    if network is not None:
      self._bytes -= network.size
      network.close()


def _key(encoder: Encoder) -> tuple:
  graph = encoder.graph if isinstance(encoder.graph, str) else id(encoder.graph)
  ends = encoder.input_tensor, encoder.representation_tensor
  return encoder.name, graph, *ends
