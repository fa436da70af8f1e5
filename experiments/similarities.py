"""Similarities of representations, beside the affinities of a run."""

from collections.abc import Iterable, Mapping, Sequence
import functools
import itertools
import os

from absl import logging
import numpy as np

from experiments import pipeline, probing
from transferability import resampling, similarity, sketches
from transferability.model_space import Spaces
from transferability.resampling import Resampled
from transferability.similarity import depara, spade

DEPARA = 'depara'
NODES = 'gradient_times_input'  # Of DEPARA's graphs, as its authors take them.
EDGES = 'depara_edge'
SPADE = 'spade'
DECODABILITY = 'decodability'
# What stands beside the paper's methods unless others are asked for.
DEFAULT = ('attribution_span', 'decodability', SPADE)


def names() -> tuple[str, ...]:
  """Returns what can be asked for: all similarities, and DEPARA."""
  return tuple(sorted((*similarity.names(), DEPARA)))


def takes(chosen: Iterable[str], what: str) -> bool:
  """Whether any needs the `representations`, or the `probes`."""
  every = {EDGES if name == DEPARA else name for name in chosen}
  return any(similarity.info(n).takes in (what, 'both') for n in every)


def probe_point(chosen: Iterable[str], point: str) -> str:
  """Returns what is kept of probes where `point` is of maps, and says why."""
  measures = [name for name in names() if name in set(chosen)]
  needing = [
    name
    for name in measures
    if takes([name], 'probes') and name != probing.OF_SKETCHES
  ]
  if needing and point != sketches.FULL:
    logging.info(
      '%s needs maps of random directions in full: they are not sketched.',
      needing[0],
    )
    return sketches.FULL
  return point


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
  (space, *_) = probing.of_maps(spaces).values()
  kept = space.kept_images
  return {
    name: np.load(pipeline.representation_path(output, name), mmap_mode='r')[
      kept
    ]
    for name in models
  }


def image_scores(
  chosen: Sequence[str], models: Sequence[str], spaces: Spaces
) -> dict[str, np.ndarray]:
  """Returns what measures of probes say of each image.

  Args:
    chosen: Of `names()`; those without probes have no part.
    models: Their names.
    spaces: Of a run, with that of the probes if one of the measures needs it.

  Returns:
    By measure, float64 [images, models, models]; the mean is the similarity.
  """
  needed = [n for n in similarity.names('probes') if n in chosen]
  if SPADE in chosen:
    needed = list(dict.fromkeys([*needed, spade.PARTS[0]]))
  if not needed:
    return {}
  if probing.SPACE not in spaces:
    raise ValueError(
      f'{needed[0]} needs maps of random directions, which this run does not '
      f'have; there are {sorted(spaces)}.'
    )
  return probing.image_scores(spaces[probing.SPACE], models, needed)


def matrices(
  chosen: Sequence[str],
  representations: Mapping[str, np.ndarray],
  spaces: Spaces,
  images: Mapping[str, np.ndarray] | None = None,
  edge_weight: float = depara.LAMBDAS['taskonomy'],
) -> dict[str, np.ndarray]:
  """Returns similarities of the networks of a run.

  DEPARA is divided by 1 + the weight of its edges, so that its diagonal is 1 as
  everywhere.

  Args:
    chosen: Of `names()`.
    representations: By model, of the images of the spaces in their order.
    spaces: By method.
    images: What `image_scores` returned, if it is known.
    edge_weight: Of DEPARA; 0.25 is what its authors chose for Taskonomy's
      images.

  Returns:
    By similarity, float64 [models, models]: symmetric, or with targets as rows
    and sources as columns.
  """
  models = tuple(representations)
  if images is None:
    images = image_scores(chosen, models, spaces)

  @functools.cache
  def compute(name: str) -> np.ndarray:
    if name in images:
      return images[name].mean(axis=0)
    if name == SPADE:
      return spade.combine([compute(part) for part in spade.PARTS])
    if name == DEPARA:
      nodes = spaces[NODES].affinity(models)
      return with_nodes(nodes, compute(EDGES), edge_weight)
    return matrix(name, representations)

  return {name: compute(name) for name in chosen}


def of_run(
  chosen: Sequence[str],
  output: str | os.PathLike,
  models: Sequence[str],
  spaces: Spaces,
) -> tuple[dict[str, np.ndarray], dict[str, Resampled], dict[str, str]]:
  """Returns the similarities of a run that are defined for it.

  One that is not, as of too few images or of a representation that is the same
  for all, is left out with a warning: the others are not lost for it.

  Args:
    chosen: Of `names()`.
    output: Of the run, which kept the representations that are needed.
    models: Names of the networks.
    spaces: Of the run.

  Returns:
    What `matrices` does; these with the images drawn anew, where that can be;
    and why others are left out, by name.
  """
  images = image_scores(chosen, models, spaces)
  kept: dict = dict.fromkeys(models)
  if takes(chosen, 'representations'):
    kept = load(output, models, spaces)
  found: dict[str, np.ndarray] = {}
  resampled: dict[str, Resampled] = {
    name: resampling.ImageMeans(values) for name, values in images.items()
  }
  undefined: dict[str, str] = {}
  parts = spade.PARTS if SPADE in chosen else ()
  for name in dict.fromkeys((*parts, *(n for n in chosen if n != SPADE))):
    try:
      if name == DECODABILITY:
        found[name], resampled[name] = decoded(kept)
      else:
        found |= matrices([name], kept, spaces, images)
    except ValueError as error:
      undefined[name] = str(error)
  if parts and not (lost := undefined.keys() & {*parts}):
    found[SPADE] = spade.combine([found[part] for part in parts])
    resampled[SPADE] = resampling.MeanOfResampled([resampled[p] for p in parts])
  elif parts:
    undefined[SPADE] = undefined[min(lost)]
  for name in chosen:
    if name in undefined:
      logging.warning('%s is left out: %s', name, undefined[name])
  return tuple(
    {name: table[name] for name in chosen if name in table}
    for table in (found, resampled, undefined)
  )


def decoded(
  representations: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, resampling.ImageErrors]:
  """Returns decodability, and the same with the scored images drawn anew.

  Args:
    representations: By model, of the same images in the same order.

  Returns:
    float64 [models, models], rows targets and columns sources, as `matrix`.
  """
  measure, prepared = similarity.prepare_all(DECODABILITY, representations)
  networks = list(prepared.values())
  count = len(networks)
  values = np.eye(count)
  errors, squares = np.zeros((2, measure.num_scored(networks[0]), count, count))
  for i, j in itertools.permutations(range(count), 2):
    found = measure.compare_by_image(networks[i], networks[j])
    values[i, j], errors[:, i, j], squares[:, i, j] = found
  return np.clip(values, 0, 1), resampling.ImageErrors(errors, squares)


def matrix(name: str, representations: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns a similarity of representations, float64 [models, models].

  Directed measures keep their direction: rows targets, columns sources. Those
  that are only not quite the same both ways (PWCCA) are averaged over both.
  """
  _, values = similarity.matrix(name, representations)
  if similarity.info(name).directed:
    return values
  return (values + values.T) / 2


def with_nodes(
  nodes: np.ndarray,
  edges: np.ndarray,
  edge_weight: float = depara.LAMBDAS['taskonomy'],
) -> np.ndarray:
  """Returns DEPARA of its two parts, [..., models, models], diagonal 1."""
  return depara.combine(nodes, edges, edge_weight) / (1 + edge_weight)
