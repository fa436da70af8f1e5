"""Features of the candidates, extracted once and kept.

A candidate is a tensor of a frozen encoder. Only the forward pass runs, on the
checked graph that attribution uses too, so that its seconds are those of
feature extraction and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from experiments import network_errors
from frozen_graphs import narrowing, tensors
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes
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
    seconds: That it took to compute them, without building the graph; of layers
      that came from one pass, each has an equal part.
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


def looked_at(
  passes: Passes,
  encoder: Encoder,
  t: Preprocessing,
  images: np.ndarray,
  grid: int,
) -> dict[str, np.ndarray]:
  """Returns the layers that passes give of images, averaged over a grid.

  Args:
    passes: Of the encoder, with one layer or more.
    encoder: It says where channels are.
    t: From images to its input.
    images: [n, height, width, 3], at least one.
    grid: See `pool`.

  Returns:
    By tensor, float32 [n, h, w, c].
  """
  passes.prove(t(images[:1]))
  parts: dict[str, list[np.ndarray]] = {}
  for start in range(0, len(images), passes.batch_size):
    batch = t(images[start : start + passes.batch_size])
    for name, values in passes.run(batch).layers.items():
      pooled = pool(encoder.channels_last(values), grid)
      parts.setdefault(name, []).append(pooled)
  return {name: np.concatenate(each) for name, each in parts.items()}


def extract(
  candidate: Candidate,
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  **options,
) -> Features:
  """Returns a candidate's features; see `extract_all`."""
  (found,) = _extract((candidate,), images, grid, folder, **options).values()
  return found


def extract_all(
  candidates: Sequence[Candidate],
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  track: Callable[..., Iterable],
  **options,
) -> dict[str, Features]:
  """Returns the features of all candidates; those in the folder are read.

  Layers of one network come from one forward pass.

  Args:
    candidates: What is extracted.
    images: uint8 [n, height, width, 3].
    grid: See `pool`.
    folder: In which features are kept.
    track: Shows progress.
    **options: `batch_size`, `device` and `precision`.

  Raises:
    ValueError: If a network cannot be used, or features are not finite; the
      message names it.
  """
  groups: dict[tuple, list[Candidate]] = {}
  for candidate in candidates:
    encoder = candidate.encoder
    graph = (
      encoder.graph if isinstance(encoder.graph, str) else id(encoder.graph)
    )
    key = graph, encoder.input_tensor, encoder.preprocessing
    groups.setdefault(key, []).append(candidate)
  found: dict[str, Features] = {}
  for group in track(groups.values(), description='Extracting features'):
    found |= _extract(group, images, grid, folder, **options)
  return {candidate.name: found[candidate.name] for candidate in candidates}


def _extract(
  candidates: Sequence[Candidate],
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  *,
  batch_size: int = 50,
  device: str | None = None,
  precision: str = narrowing.SINGLE,
) -> dict[str, Features]:
  """Returns the features of layers of one network."""
  values_of, seconds_of = memo.Memo(folder, memo.ARRAY), memo.Memo(folder)
  with network_errors.computing(candidates[0].encoder.name):
    network = candidates[0].encoder.load()
  shared = {
    'images': memo.digest(images),
    'grid': grid,
    'batch_size': batch_size,
    'tensorflow': tf.__version__,
  }
  if precision != narrowing.SINGLE:
    shared['precision'] = precision
  keys = {
    c.name: {'encoder': described(c.encoder, network), **shared}
    for c in candidates
  }
  missing = [
    c
    for c in candidates
    if not all(
      kept.has(c.name, keys[c.name]) for kept in (values_of, seconds_of)
    )
  ]
  how = {'batch_size': batch_size, 'device': device, 'precision': precision}
  for name, (values, seconds) in _computed(missing, network, images, grid, how):
    seconds_of.keep(name, keys[name], seconds)
    values_of.keep(name, keys[name], values)
  return {
    c.name: Features(values_of.read(c.name), seconds_of.read(c.name))
    for c in candidates
  }


def _computed(
  candidates: Sequence[Candidate],
  network: Network,
  images: np.ndarray,
  grid: int,
  how: Mapping[str, Any],
) -> Iterator[tuple[str, tuple[np.ndarray, float]]]:
  """Yields name, features and seconds of layers, with as few passes as can be.

  One pass gives what lies on the way to its representation.
  """
  cuts = {
    c.name: network.at(c.encoder.representation_tensor) for c in candidates
  }
  left = sorted(
    candidates, key=lambda c: len(cuts[c.name].subgraph.nodes), reverse=True
  )
  while left:
    deepest = cuts[left[0].name]
    tensor_of = {
      c.name: cuts[c.name].subgraph.representation_tensor for c in left
    }
    inside = [
      c
      for c in left
      if tensors.split(tensor_of[c.name])[0] in deepest.subgraph.nodes
    ]
    left = [c for c in left if c not in inside]
    encoder = inside[0].encoder
    t = Preprocessing.parse(encoder.preprocessing)
    names = [tensor_of[c.name] for c in inside]
    with (
      network_errors.computing(encoder.name),
      deepest.passes(names, **how) as passes,
    ):
      looked_at(passes, encoder, t, images[:1], grid)  # Prepares the graph.
      started = time.perf_counter()
      found = looked_at(passes, encoder, t, images, grid)
      seconds = (time.perf_counter() - started) / len(inside)
    for candidate in inside:
      values = found[tensor_of[candidate.name]]
      if not np.isfinite(values).all():
        raise network_errors.NetworkError(
          f'{candidate.name}: features are not finite.', encoder.name
        )
      yield candidate.name, (values, seconds)


def described(encoder: Encoder, network: Network) -> list[str]:
  """Returns what an encoder's results depend on, for the key of a memo."""
  return [
    network.digest,
    encoder.input_tensor,
    encoder.representation_tensor,
    encoder.preprocessing,
  ]


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
