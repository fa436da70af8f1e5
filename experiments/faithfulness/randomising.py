"""Model randomisation: do maps depend on what the network learned?

Adebayo et al. (2018): the weights of layers are randomised, and the maps must
change. *Cascading* randomises the layers from the representation down to the
input, more and more; *independent* only one of them at a time. Random is: the
numbers of each tensor of weights in another order, so that each layer keeps the
size of its weights and loses what they say.

How alike two maps of an image are is Spearman's rank correlation, over pixels,
of |sum over channels|, and the cosine of the maps as they are, by which this
toolkit compares networks.
"""

from collections.abc import Iterator
import dataclasses

import numpy as np

from attribution import perturbation
from attribution_preservation import scores
from experiments.faithfulness import looking
from experiments.faithfulness.looking import Explaining
from frozen_graphs import network as networks
from frozen_graphs import permuting
from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder
from transferability import pixel_agreement

CASCADING, INDEPENDENT = WAYS = ('cascading', 'independent')
SPEARMAN, COSINE = LIKENESSES = ('spearman', 'cosine')


@dataclasses.dataclass(frozen=True)
class Randomising:
  """How weights are randomised.

  Attributes:
    stages: Into how many parts the layers are divided, at most.
    seed: Of the orders.
  """

  stages: int = 4
  seed: int = 0


def changes(layers: list, stages: int) -> Iterator[tuple[str, int, list[str]]]:
  """Yields ways to randomise: way, stage from 1, and names of the weights.

  At stage k of K, cascading takes the last k / K of the layers, rounded up, and
  independent the first one of those.

  Args:
    layers: Of `permuting.layers`.
    stages: K; fewer if there are fewer layers.
  """
  stages = min(stages, len(layers))
  for stage in range(1, stages + 1):
    number = -(-stage * len(layers) // stages)
    part = layers[len(layers) - number :]
    yield CASCADING, stage, [name for layer in part for name in layer]
    yield INDEPENDENT, stage, list(part[0])


def likenesses(
  network: Network,
  encoder: Encoder,
  images: np.ndarray,
  randomising: Randomising,
  how: Explaining,
) -> dict[str, np.ndarray]:
  """Returns how alike maps are before and after weights are randomised.

  Args:
    network: The network.
    encoder: Says its preprocessing.
    images: uint8 [N, H, W, 3].
    randomising: How weights are randomised.
    how: How networks are run and explained; methods that refuse the network
      have no part.

  Returns:
    By `WAY/METHOD/LIKENESS`, float64 [stages, N]; NaN where a map has no
    direction. And by `WAY/share` the share of all layers that is randomised,
    [stages].
  """
  how = dataclasses.replace(how, batch_size=min(how.batch_size, len(images)))
  before, _ = looking.maps_of(network, encoder, images, how)
  methods = tuple(m for m in how.methods if m.name in before)
  how = dataclasses.replace(how, methods=methods)
  layers = permuting.layers(network.subgraph)
  place = {name: i for i, layer in enumerate(layers) for name in layer}
  found: dict[str, list] = {}
  for way, stage, names in (
    changes(layers, randomising.stages) if methods else ()
  ):
    twin = networks.of_subgraph(
      permuting.permuted(network.subgraph, randomising.seed + stage, names),
      encoder.name,
      'randomised',
    )
    maps, _ = looking.maps_of(twin, encoder, images, how, may_be_infinite=True)
    share = len({place[name] for name in names}) / len(layers)
    found.setdefault(f'{way}/share', []).append(share)
    for name, own in before.items():
      after = maps.get(name, np.full_like(own, np.nan))
      for likeness, values in zip(LIKENESSES, _alike(own, after), strict=True):
        found.setdefault(f'{way}/{name}/{likeness}', []).append(values)
  return {name: np.array(values) for name, values in found.items()}


def _alike(first: np.ndarray, second: np.ndarray) -> tuple:
  """Returns Spearman's correlation and the cosine of maps, [N] each."""
  number = len(first)
  finite = np.isfinite(second).reshape(number, -1).all(axis=1)
  second = np.where(finite[:, None, None, None], second, 0)
  ranks = [
    pixel_agreement.unit_ranks(perturbation.magnitude(m).reshape(number, -1))
    for m in (first, second)
  ]
  return pixel_agreement.correlation(*ranks), scores.cosines(first, second)
