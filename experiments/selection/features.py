"""Features of the candidates, extracted once and kept.

A candidate is a tensor of a frozen encoder. Only the forward pass runs, on the
checked graph that attribution uses too, so that its seconds are those of
feature extraction and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import functools
import os
import time

import numpy as np
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from frozen_graphs import narrowing
from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder
from toolkit_basics import grids, memo


@dataclasses.dataclass(frozen=True)
class Candidate:
  """What may be transferred.

  Attributes:
    name: Unique among the candidates; names its file.
    encoder: Its representation tensor is the candidate.
  """

  name: str
  encoder: Encoder


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
  """Of one candidate.

  Attributes:
    values: float32 [n, h, w, c], averaged over cells of a grid.
    seconds: That it took to compute them, without building the graph.
  """

  values: np.ndarray
  seconds: float

  @functools.cached_property
  def digest(self) -> str:
    """Of the values."""
    return memo.digest(self.values)

  @property
  def flat(self) -> np.ndarray:
    """[n, h * w * c]."""
    return self.values.reshape(len(self.values), -1)


def pool(values: np.ndarray, grid: int) -> np.ndarray:
  """Returns means over the cells of a grid, float32 [n, h, w, c].

  Args:
    values: [n, ...]; the last axis is the channels, the first two between are
      space if there are two (otherwise everything between is averaged).
    grid: Cells a side, at most; 1 is global average pooling.
  """
  values = np.asarray(values, np.float32)
  if values.ndim == 2:
    return values[:, None, None]
  if values.ndim != 4:
    between = tuple(range(1, values.ndim - 1))
    return values.mean(axis=between, keepdims=True).reshape(
      len(values), 1, 1, -1
    )
  return grids.cell_means(values, grid, grid)


def extract(
  candidate: Candidate,
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  *,
  batch_size: int = 50,
  device: str | None = None,
  precision: str = narrowing.SINGLE,
) -> Features:
  """Returns a candidate's features; those that are in the folder are read."""
  values_of, seconds_of = memo.Memo(folder, memo.ARRAY), memo.Memo(folder)
  network = candidate.encoder.load()
  t = Preprocessing.parse(candidate.encoder.preprocessing)
  key = {
    'encoder': described(candidate.encoder, network),
    'images': memo.digest(images),
    'grid': grid,
    'batch_size': batch_size,
    'tensorflow': tf.__version__,
  }
  if precision != narrowing.SINGLE:
    key['precision'] = precision
  values = values_of.find(candidate.name, key)
  seconds = seconds_of.find(candidate.name, key)
  if values is not None and seconds is not None:
    return Features(values, seconds)
  with network:

    def forward(batch: np.ndarray) -> np.ndarray:
      values = network.run(t(batch), batch_size, device, precision)
      return pool(candidate.encoder.channels_last(values), grid)

    forward(images[:1])  # The first run prepares the graph.
    started = time.perf_counter()
    parts = [
      forward(images[start : start + batch_size])
      for start in range(0, len(images), batch_size)
    ]
    values = np.concatenate(parts)
    seconds = time.perf_counter() - started
  if not np.isfinite(values).all():
    raise ValueError(f'{candidate.name}: features are not finite.')
  seconds_of.keep(candidate.name, key, seconds)
  return Features(values_of.keep(candidate.name, key, values), seconds)


def described(encoder: Encoder, network: Network) -> list[str]:
  """Returns what an encoder's results depend on, for the key of a memo."""
  return [
    network.digest,
    encoder.input_tensor,
    encoder.representation_tensor,
    encoder.preprocessing,
  ]


def extract_all(
  candidates: Sequence[Candidate],
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  track: Callable[..., Iterable],
  **options,
) -> dict[str, Features]:
  """Returns the features of all candidates; options as those of `extract`."""
  return {
    candidate.name: extract(candidate, images, grid, folder, **options)
    for candidate in track(candidates, description='Extracting features')
  }


def activations(encoder: Encoder) -> list[str]:
  """Returns the tensors of all activations, in order, the representation last.

  Those that are not [n, d] or [n, h, w, c] are left out.

  Raises:
    GraphError: If the graph cannot be used.
  """
  network = encoder.load()
  last = network.subgraph.representation_tensor
  found = network.activations().items()
  names = [name for name, shape in found if len(shape) in (2, 4)]
  return [name for name in names if name != last] + [last]


def layers(encoder: Encoder, number: int) -> list[Encoder]:
  """Returns the encoder cut off at so many of its layers, evenly spaced.

  The last one is its representation; fewer if there are fewer activations.
  """
  tensors = activations(encoder)
  chosen = np.linspace(0, len(tensors) - 1, min(number, len(tensors)))
  return [
    dataclasses.replace(encoder, representation_tensor=tensors[round(i)])
    for i in chosen
  ]
