"""Features of the candidates, extracted once and kept.

A candidate is a tensor of a frozen encoder. Only the forward pass runs, on the
checked graph that attribution uses too, so that its seconds are those of
feature extraction and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import json
import os
import pathlib
import time

import numpy as np
import tensorflow as tf

from attribution import overrides
from attribution.preprocessing import Preprocessing
from frozen_graphs import batching, graph, session
from taskonomy_models.encoder import Encoder
from toolkit_basics import files


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

  @property
  def flat(self) -> np.ndarray:
    """[n, h * w * c]."""
    return self.values.reshape(len(self.values), -1)


class Forward:
  """The forward pass of an encoder, built once."""

  def __init__(
    self, encoder: Encoder, batch_size: int = 50, device: str | None = None
  ):
    """Loads and checks the graph.

    Raises:
      GraphError: If the graph cannot be used; the message names the encoder.
      ValueError: If it is not the one that the bank describes.
    """
    encoder.digest()
    self._name = encoder.name
    self._preprocessing = Preprocessing.parse(encoder.preprocessing)
    self._batch_size = batch_size
    try:
      subgraph = graph.extract(
        graph.load_graph_def(encoder.graph),
        encoder.input_tensor,
        encoder.representation_tensor,
        overrides.op_types(),
      )
      fixed = (subgraph.input_shape or (None,))[0]
      self._build(
        subgraph if fixed is None else graph.with_open_batch(subgraph), device
      )
    except ValueError as error:
      raise type(error)(f'{encoder.name}: {error}') from error
    self._fixed, self._subgraph, self._device = fixed, subgraph, device
    self._is_proven = fixed is None

  def _build(self, subgraph: graph.SubGraph, device: str | None) -> None:
    session.check_device(device)
    with tf.Graph().as_default() as imported, tf.device(device):
      self._input, self._output = session.import_graph(subgraph)
    self._session = tf.compat.v1.Session(
      graph=imported, config=session.config()
    )

  def _run(self, inputs: np.ndarray) -> np.ndarray:
    try:
      return self._session.run(self._output, {self._input: inputs})
    except tf.errors.OpError as error:
      reason = ' '.join(error.message.split())[:300]
      raise ValueError(f'{self._name}: the graph fails: {reason}') from error

  def _prove(self, inputs: np.ndarray) -> None:
    """Finds out whether a graph made for a fixed batch takes any."""
    self._is_proven = True
    pair = np.concatenate([inputs[:1], batching.other_than(inputs[:1])])
    try:
      if batching.keeps_images_apart(
        lambda batch: [batching.Result(self._run(batch))], pair
      ):
        return
    except ValueError:
      pass  # Something in the graph knows the batch size.
    self.close()
    self._build(self._subgraph, self._device)
    self._batch_size = self._fixed

  def __call__(self, images: np.ndarray) -> np.ndarray:
    """Returns the representations of at least one image, [n, ...]."""
    if not self._is_proven:
      self._prove(self._preprocessing(images[:1]))
    parts = []
    for start in range(0, len(images), self._batch_size):
      inputs = self._preprocessing(images[start : start + self._batch_size])
      count = len(inputs)
      filling = np.repeat(inputs[-1:], self._batch_size - count, axis=0)
      values = self._run(np.concatenate([inputs, filling]))
      if len(values) != len(inputs) + len(filling):
        raise ValueError(
          f'{self._name}: the representation has the shape {values.shape} for '
          f'{self._batch_size} images; its first dimension must be the images.'
        )
      parts.append(values[:count])
    return np.concatenate(parts)

  def close(self) -> None:
    self._session.close()

  def __enter__(self) -> 'Forward':
    return self

  def __exit__(self, *unused) -> None:
    self.close()


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
  for axis in (1, 2):
    size = values.shape[axis]
    starts = np.arange(min(grid, size)) * size // min(grid, size)
    sums = np.add.reduceat(values, starts, axis=axis)
    widths = np.diff([*starts, size]).astype(np.float32)
    shape = [1] * 4
    shape[axis] = -1
    values = sums / widths.reshape(shape)
  return values


def extract(
  candidate: Candidate,
  images: np.ndarray,
  grid: int,
  folder: str | os.PathLike,
  *,
  batch_size: int = 50,
  device: str | None = None,
) -> Features:
  """Returns a candidate's features; those that are in the folder are read."""
  path = pathlib.Path(folder) / f'{candidate.name}.npy'
  record = path.with_suffix('.json')
  digest = _digest(candidate.encoder, images, grid, batch_size)
  try:
    known = json.loads(record.read_text(encoding='utf-8'))
    if known['digest'] == digest:
      return Features(np.load(path, mmap_mode='r'), known['seconds'])
  except (OSError, ValueError, KeyError, TypeError):
    pass  # Not there, or cut off: computed now.
  with Forward(candidate.encoder, batch_size, device) as forward:
    forward(images[:1])  # The first run prepares the graph.
    started = time.perf_counter()
    parts = [
      pool(forward(images[start : start + batch_size]), grid)
      for start in range(0, len(images), batch_size)
    ]
    values = np.concatenate(parts)
    seconds = time.perf_counter() - started
  if not np.isfinite(values).all():
    raise ValueError(f'{candidate.name}: features are not finite.')
  with files.replacing(path) as file:
    np.save(file, values)
  text = json.dumps({'digest': digest, 'seconds': seconds}) + '\n'
  files.write_atomically(record, text.encode())
  return Features(values, seconds)


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


def _digest(
  encoder: Encoder, images: np.ndarray, grid: int, batch_size: int
) -> str:
  content = [
    encoder.digest(),
    encoder.input_tensor,
    encoder.representation_tensor,
    encoder.preprocessing,
    files.sha256(np.ascontiguousarray(images).data),
    grid,
    batch_size,
    tf.__version__,
  ]
  return files.sha256(json.dumps(content).encode())
