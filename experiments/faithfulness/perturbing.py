"""Deletion and insertion: does the representation need what maps show?

For an image x, its baseline b (blurred, say) and an order of its cells, x_s has
the first share s of the cells from b. With R the representation, the change is

  c(s) = |R(x_s) - R(x)| / |R(b) - R(x)|,     c(0) = 0, c(1) = 1,

Euclidean norms over all units. *Deletion* takes the most relevant cells first:
for a faithful map c rises at once. *Insertion* brings them back first, into the
baseline, which is the same as to take the least relevant first: c stays low for
long. The two curves enclose

  gain = integral of (c_most(s) - c_least(s)) ds,

0 for an order that knows nothing (Samek et al., 2017; Schulz et al., 2020). The
relevance of a cell is the mean of |sum over channels| of its pixels' map.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np

from attribution import perturbation
from attribution.preprocessing import Preprocessing
from experiments.faithfulness.looking import Explaining
from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
RANDOM = 'random'
# Where the baseline differs most: told what will be done, it asks no network.
DIFFERENCE = 'difference'
MOST, LEAST = 'most', 'least'


@dataclasses.dataclass(frozen=True)
class Perturbing:
  """How parts of images are replaced.

  Attributes:
    baselines: By what, of `perturbation.baselines`; all are tried.
    side: Of a cell, in pixels.
    shares: How much of the cells, in (0, 1), increasing.
    seed: Of random orders, and of cells that are equal.
  """

  baselines: tuple[str, ...] = ('blur', 'mean')
  side: int = 4
  shares: tuple[float, ...] = SHARES
  seed: int = 0


def curves(
  network: Network,
  encoder: Encoder,
  images: np.ndarray,
  maps: Mapping[str, np.ndarray],
  perturbing: Perturbing,
  how: Explaining,
) -> dict[str, np.ndarray]:
  """Returns the change of the representation of each image.

  Args:
    network: The network.
    encoder: Says its preprocessing.
    images: uint8 [N, H, W, 3].
    maps: By method, [N, H, W, 3].
    perturbing: How parts are replaced.
    how: How networks are run.

  Returns:
    float64 [N, shares], by `BASELINE/METHOD/most` and `BASELINE/METHOD/least`,
    where DIFFERENCE is a method too, and by `BASELINE/random`; NaN of an image
    that is represented as its baseline is.
  """
  t = Preprocessing.parse(encoder.preprocessing)
  heats = {name: perturbation.magnitude(m) for name, m in maps.items()}

  def represented(shown: np.ndarray) -> np.ndarray:
    found = network.run(t(shown), how.batch_size, how.device)
    return found.reshape(len(shown), -1).astype(np.float64)

  result = {}
  try:
    before = represented(images)
    for kind in perturbing.baselines:
      baseline = perturbation.baseline(kind)(images)
      gaps = images.astype(np.float32) - baseline
      own = {**heats, DIFFERENCE: np.abs(gaps).sum(axis=-1)}
      whole = np.linalg.norm(represented(baseline) - before, axis=1)
      whole = np.where(whole > 0, whole, np.nan)[:, None]
      for name, order in _orders(own, perturbing).items():
        columns = [
          represented(_without(images, baseline, order, share, perturbing.side))
          for share in perturbing.shares
        ]
        norms = [np.linalg.norm(after - before, axis=1) for after in columns]
        result[f'{kind}/{name}'] = np.stack(norms, axis=1) / whole
  finally:
    network.close()
  return result


def _orders(
  heats: Mapping[str, np.ndarray], perturbing: Perturbing
) -> dict[str, list[np.ndarray]]:
  """Returns orders of cells, one for each image, by METHOD/END and RANDOM."""
  found: dict[str, list[np.ndarray]] = {}
  for name, heat in heats.items():
    for i, cells in enumerate(perturbation.cell_means(heat, perturbing.side)):
      rng = np.random.default_rng((perturbing.seed, i))
      own = perturbation.orders(cells, rng)
      for end in (MOST, LEAST):
        found.setdefault(f'{name}/{end}', []).append(own[end])
      if name == DIFFERENCE:
        found.setdefault(RANDOM, []).append(own['random'])
  return found


def _without(images, baselines, orders, share, side) -> np.ndarray:
  """Returns images whose first cells are their baseline's."""
  return np.stack(
    [
      perturbation.perturbed(image, order, share, fill, side)
      for image, order, fill in zip(images, orders, baselines, strict=True)
    ]
  )


def area(changes: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
  """Returns the areas below curves from (0, 0) to (1, 1), by trapezoids.

  Args:
    changes: [..., shares].
    shares: Where they are.

  Returns:
    float64 [...].
  """
  ends = np.zeros_like(changes[..., :1])
  values = np.concatenate([ends, changes, ends + 1], axis=-1)
  steps = np.diff([0, *shares, 1])
  return ((values[..., :-1] + values[..., 1:]) / 2) @ steps
