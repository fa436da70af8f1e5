"""Similarities of representations, beside the affinities of a run."""

from collections.abc import Mapping, Sequence
import functools
import os

import numpy as np

from experiments import pipeline
from transferability import similarity
from transferability.model_space import Spaces
from transferability.similarity import depara

DEPARA = 'depara'
NODES = 'gradient_times_input'  # Of DEPARA's graphs, as its authors take them.
EDGES = 'depara_edge'


def names() -> tuple[str, ...]:
  """Returns what can be asked for: all similarities, and DEPARA."""
  return tuple(sorted((*similarity.names(), DEPARA)))


def check(chosen: Sequence[str], methods: Sequence[str]) -> None:
  """Finds what would stop `matrices` later.

  Args:
    chosen: Similarities that are asked for.
    methods: Attribution methods of the run.

  Raises:
    ValueError: If a name is not known or there twice, or DEPARA lacks its
      nodes.
  """
  if unknown := sorted(set(chosen) - set(names())):
    raise ValueError(
      f'No similarity is named {unknown[0]!r}; choose from {names()}.'
    )
  if len(set(chosen)) < len(chosen):
    raise ValueError(f'Similarities must be each once, not {list(chosen)}.')
  if DEPARA in chosen and NODES not in methods:
    raise ValueError(
      f'{DEPARA} adds its edges to the affinity of {NODES}; add that to '
      f'`methods`, which are {list(methods)}.'
    )


def load(
  output: str | os.PathLike, models: Sequence[str], spaces: Spaces
) -> dict[str, np.ndarray]:
  """Returns the representations of the images in use that a run kept.

  Args:
    output: Of the run.
    models: Their names.
    spaces: Of the run; images that were dropped there are left out.

  Returns:
    By model, float32 [images, ...].
  """
  kept = next(iter(spaces.values())).kept_images
  return {
    name: np.load(pipeline.representation_path(output, name), mmap_mode='r')[
      kept
    ]
    for name in models
  }


def matrices(
  chosen: Sequence[str],
  representations: Mapping[str, np.ndarray],
  spaces: Spaces,
  edge_weight: float = depara.LAMBDAS['taskonomy'],
) -> dict[str, np.ndarray]:
  """Returns similarities of the networks of a run.

  Measures with a direction (PWCCA) are averaged over both. DEPARA is divided by
  1 + the weight of its edges, so that its diagonal is 1 as everywhere.

  Args:
    chosen: Of `names()`.
    representations: By model, of the images of the spaces in their order.
    spaces: By method.
    edge_weight: Of DEPARA; 0.25 is what its authors chose for Taskonomy's
      images.

  Returns:
    By similarity, symmetric float64 [models, models].
  """
  compute = functools.cache(lambda name: matrix(name, representations))
  result = {name: compute(name) for name in chosen if name != DEPARA}
  if DEPARA in chosen:
    nodes = spaces[NODES].affinity(tuple(representations))
    result[DEPARA] = with_nodes(nodes, compute(EDGES), edge_weight)
  return {name: result[name] for name in chosen}


def matrix(name: str, representations: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns a registered similarity, symmetric float64 [models, models]."""
  _, values = similarity.matrix(name, representations)
  return (values + values.T) / 2


def with_nodes(
  nodes: np.ndarray,
  edges: np.ndarray,
  edge_weight: float = depara.LAMBDAS['taskonomy'],
) -> np.ndarray:
  """Returns DEPARA of its two parts, [..., models, models], diagonal 1."""
  return depara.combine(nodes, edges, edge_weight) / (1 + edge_weight)
