"""What is looked at of each candidate: its features, and those of its twins."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import re
import time

import numpy as np

from attribution.preprocessing import Preprocessing
from experiments.selection.features import looked_at, pool
from frozen_graphs import folding, narrowing, permuting
from frozen_graphs import graph as graph_lib
from frozen_graphs.errors import about
from frozen_graphs.graph import SubGraph
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files
from transferability.recommendation import labels
from transferability.recommendation.labels import TargetLabels

GRID = 8  # Cells a side that features are averaged over, at most.
FINE_GRID = 16  # Where labels are of pixels.
_PREDICTED_GRID = 32  # Of predictions.
RANGES = ('range(0, 1)', 'range(-1, 1)', 'range(0, 255)')
_RANGE = re.compile(r'range\([^)]*\)')


@dataclasses.dataclass(frozen=True)
class Looking:
  """How candidates are looked at.

  Attributes:
    num_twins: Randomised twins of each candidate.
    num_few: Images that twins, and other ranges of values, are tried on.
    tries_ranges: Whether other ranges are tried.
    batch_size: Images computed at once.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    precision: Of the products in networks, see `narrowing.narrow`.
    grid: Cells a side that features are averaged over, at most.
    seed: Of the twins.
  """

  num_twins: int = 5
  num_few: int = 100
  tries_ranges: bool = True
  batch_size: int = 50
  device: str | None = None
  precision: str = narrowing.SINGLE
  grid: int = GRID
  seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class LookedAt:
  """At one candidate.

  Attributes:
    features: float32 [n, h, w, c] of all images.
    twins: Of the first images, [m, h, w, c] of each twin; None of one whose
      representation is not finite.
    ranges: By range of values, features of the first images with T so changed.
    milliseconds: Of an image's forward pass.
    megabytes: Of the graph with its weights.
    architecture: Digest of the graph's operations, in their order, and of the
      shape of its representation; weights have no part.
  """

  features: np.ndarray
  twins: Sequence[np.ndarray | None]
  ranges: Mapping[str, np.ndarray]
  milliseconds: float
  megabytes: float
  architecture: str = ''


def look(
  encoder: Encoder, network: Network, images: np.ndarray, how: Looking
) -> LookedAt:
  """Returns what is looked at of a candidate.

  Args:
    encoder: The candidate.
    network: What it loads.
    images: uint8 [n, height, width, 3].
    how: See `Looking`.

  Raises:
    ValueError: If it cannot be run on the images, or gives values that are not
      finite; the message names it.
  """
  # A batch is always full.
  how = dataclasses.replace(how, batch_size=min(how.batch_size, len(images)))
  t = Preprocessing.parse(encoder.preprocessing)
  _assume_shape(network, t, images)
  subgraph = network.subgraph
  with _opened(subgraph, encoder, how) as passes:
    forward = functools.partial(_features, passes, encoder, how.grid)
    forward(t, images[:1])  # The first run prepares the graph.
    started = time.perf_counter()
    features = forward(t, images)
    seconds = time.perf_counter() - started
    if not np.isfinite(features).all():
      raise ValueError(
        f'{encoder.name}: its representation is not finite on some images.'
      )
    few = images[: how.num_few]
    others = other_ranges(t) if how.tries_ranges else {}
    ranges = {name: forward(other, few) for name, other in others.items()}
    if passes.batching == 'rebatched':  # Then its twins need not be tried.
      subgraph = graph_lib.with_open_batch(subgraph)
  twins = []
  for number in range(how.num_twins):
    twin = permuting.permuted(subgraph, how.seed + number)
    with _opened(twin, encoder, how) as passes:
      values = _features(passes, encoder, how.grid, t, few)
    twins.append(values if np.isfinite(values).all() else None)
  return LookedAt(
    features,
    twins,
    ranges,
    1000 * seconds / len(images),
    network.subgraph.graph_def().ByteSize() / 2**20,
    _architecture(network.subgraph, features),
  )


def predictions(
  encoder: Encoder, bank: Bank, images: np.ndarray, how: Looking
) -> TargetLabels:
  """Returns what a network predicts of images, as labels of them.

  Numbers of the cells of a grid, at most 32 a side, or of an image; classes are
  told by their probabilities, or by what the network has instead.

  Args:
    encoder: A network with a head.
    bank: Loads it.
    images: uint8 [n, height, width, 3].
    how: See `Looking`.

  Raises:
    ValueError: As `look`; or if its predictions are all the same.
  """
  plain = dataclasses.replace(
    how, num_twins=0, tries_ranges=False, grid=_PREDICTED_GRID
  )
  predictor = encoder.predictor
  network = bank.networks.get(predictor)
  values = look(predictor, network, images, plain).features
  with about(f'what {encoder.name} predicts'):
    return labels.of_predictions(values)


def _architecture(subgraph: SubGraph, features: np.ndarray) -> str:
  types = [node.op for node in subgraph.graph_def().node]
  text = ' '.join([*types, str(features.shape[1:])])
  return files.sha256(text.encode())


def coarsened(look: LookedAt) -> LookedAt:
  """Returns a look at a fine grid as one at GRID."""
  return dataclasses.replace(
    look,
    features=pool(look.features, GRID),
    twins=[t if t is None else pool(t, GRID) for t in look.twins],
    ranges={name: pool(r, GRID) for name, r in look.ranges.items()},
  )


def are_mixed(looks: Mapping[str, LookedAt]) -> bool:
  """Returns whether networks are of several architectures."""
  return len({look.architecture for look in looks.values()}) > 1


def other_ranges(t: Preprocessing) -> dict[str, Preprocessing]:
  """Returns T with each usual range of values that it does not have itself."""
  text = str(t)
  found = _RANGE.search(text)
  if found is None:
    return {}
  own = str(Preprocessing.parse(found.group()))
  others = [r for r in RANGES if str(Preprocessing.parse(r)) != own]
  return {
    name: Preprocessing.parse(
      text[: found.start()] + name + text[found.end() :]
    )
    for name in others
  }


def _assume_shape(
  network: Network, t: Preprocessing, images: np.ndarray
) -> None:
  made = t.output_shape(images.shape[1:])
  expected = network.input_shape
  if any(e not in (None, n) for e, n in zip(expected, made, strict=True)):
    raise ValueError(
      f'{network.name}: its input takes {expected}, but the preprocessing '
      f'"{t}" makes {made} of images of {images.shape[1]} x '
      f'{images.shape[2]} pixels; add resize to it.'
    )
  network.assume_input_shape((None, *made))


def _opened(subgraph: SubGraph, encoder: Encoder, how: Looking) -> Passes:
  layers = [subgraph.representation_tensor]
  return Passes(
    folding.fold(subgraph),
    layers=layers,
    name=encoder.name,
    batch_size=how.batch_size,
    device=how.device,
    precision=how.precision,
  )


def _features(
  passes: Passes,
  encoder: Encoder,
  grid: int,
  t: Preprocessing,
  images: np.ndarray,
) -> np.ndarray:
  (found,) = looked_at(passes, encoder, t, images, grid).values()
  return found
