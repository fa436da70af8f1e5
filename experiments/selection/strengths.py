"""Label-free scores of one network each: the strength of a representation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import math
import os
import pathlib
import time

import numpy as np
import tensorflow as tf

from experiments.network_errors import NetworkError
from experiments.selection import features, fine_tuning
from experiments.selection.features import Candidate
from experiments.selection.label_free import Near
from taskonomy_models.encoder import Encoder
from transferability import label_free

FAMILY = 'one network'


def shuffled_twin(encoder: Encoder, seed: int) -> Encoder:
  """Returns an encoder that learned nothing, of the same architecture.

  The weights of each layer change places at random, so that their distribution
  is that of the trained network.

  Args:
    encoder: The trained network.
    seed: Of the order.

  Raises:
    ValueError: If its graph cannot be used.
  """
  subgraph = encoder.load().subgraph
  graph_def = subgraph.graph_def()
  nodes = {node.name: node for node in graph_def.node}
  rng = np.random.default_rng(seed)
  for tensor in fine_tuning.weights(subgraph):
    node = nodes[tensor.partition(':')[0]]
    if node.op == 'Cast':  # Weights that are stored in half precision.
      node = nodes[node.input[0].partition(':')[0]]
    values = tf.make_ndarray(node.attr['value'].tensor)
    shuffled = rng.permutation(values.ravel()).reshape(values.shape)
    node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(shuffled))
  return dataclasses.replace(
    encoder,
    name=f'{encoder.name}.twin{seed}',
    graph=graph_def,
    sha256=None,
    input_tensor=subgraph.input_tensor,
    representation_tensor=subgraph.representation_tensor,
  )


def compute(
  candidates: Sequence[Candidate],
  values: Mapping[str, np.ndarray],
  images: np.ndarray,
  cases: Mapping[str, Sequence[str]],
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  *,
  num_twins: int,
  grid: int,
  **options,
) -> Near:
  """Returns the label-free scores of all candidates, the same for every case.

  Those that are not defined for all candidates are left out, and those that
  need probabilities of a head, which banks do not hold.

  Args:
    candidates: Networks.
    values: Their features of the images, [n, h, w, c].
    images: uint8 [n, S, S, 3].
    cases: The candidates of each case.
    output: Gets `twins/`.
    track: Shows progress.
    num_twins: Untrained twins of each network; with fewer than three the
      likeness to them is left out.
    grid: Cells a side of the features.
    **options: `batch_size` and `device`.
  """
  twins = _twins(candidates if num_twins > 2 else (), num_twins)
  folder = pathlib.Path(output) / 'twins'
  with _twins_stand_for_networks():
    extracted = features.extract_all(
      *(twins, images, grid, folder, track), **options
    )
  found, seconds = {}, {}
  for name in label_free.names():
    needs = label_free.info(name).needs
    if 'source_probs' in needs or ('random_features' in needs and not twins):
      continue
    started = time.perf_counter()
    scores = {
      candidate.name: _score(
        *(name, candidate.name, values, extracted, num_twins if twins else 0)
      )
      for candidate in candidates
    }
    if np.isfinite(list(scores.values())).all():
      found[name] = scores
      passed = time.perf_counter() - started
      seconds[name] = ('all candidates, once for all targets', passed)
  by_case = {
    case: {
      name: {candidate: scores[candidate] for candidate in names}
      for name, scores in found.items()
    }
    for case, names in cases.items()
  }
  return Near(tuple(found), by_case, seconds, FAMILY)


@contextlib.contextmanager
def _twins_stand_for_networks() -> Iterator[None]:
  """Says of a network what is wrong with its twin."""
  try:
    yield
  except NetworkError as error:
    network = error.network.rpartition('.twin')[0]
    raise NetworkError(str(error), network) from error


def _score(
  name: str,
  candidate: str,
  values: Mapping[str, np.ndarray],
  extracted: Mapping[str, features.Features],
  num_twins: int,
) -> float:
  """Returns a score, larger for what is said to be better; NaN if undefined."""
  x = values[candidate]
  others = [extracted[f'{candidate}.twin{i}'].flat for i in range(num_twins)]
  try:
    score = label_free.score(
      name, features=x.reshape(len(x), -1), random_features=others
    )
  except ValueError:
    return math.nan
  return label_free.info(name).ordered(score)


def _twins(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
  twins = [
    shuffled_twin(candidate.encoder, seed)
    for candidate in candidates
    for seed in range(number)
  ]
  return [Candidate(twin.name, twin) for twin in twins]
