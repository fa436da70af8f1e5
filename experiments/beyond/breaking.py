"""Attempts to break the measures: rotation, scale, seeds, few images."""

from collections.abc import Callable, Iterable

import numpy as np

from attribution.probes import Probes
from experiments.beyond import choosing, observing
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability import subspaces
from transferability.affinity import mean_cosine
from transferability.oracle import Oracle

_TURNS = 3
_COUNT, _IMAGES = 16, 8  # Less than by default: it is done a dozen times.
CHANGES = ('as it is', 'rotated', 'rescaled', 'half of the units dead')


def _orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
  q, r = np.linalg.qr(rng.standard_normal((size, size)))
  return q * np.sign(np.diag(r))


def _change(
  kind: str, rng: np.random.Generator, directions: np.ndarray
) -> np.ndarray:
  """Returns directions [..., D] as they are of a changed representation.

  A row of a changed representation C R is v^T C J: that of direction C^T v.
  """
  size = directions.shape[-1]
  if kind == 'rotated':
    return directions @ _orthogonal(rng, size)
  if kind == 'rescaled':
    return directions * np.exp(rng.standard_normal(size))
  if kind == 'half of the units dead':
    return directions * (rng.permutation(size) % 2)
  return directions


def _maps(
  bank: Bank, probe: ProbeSet, seed: int, track: Callable[..., Iterable]
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
  """Returns by change mean maps [n, P] and probes [n, K, P] of each network."""
  probes = Probes(count=_COUNT, num_images=_IMAGES, seed=seed)
  chosen = probes.chosen(len(probe.ids))
  images = probe.images[chosen]
  found: dict[str, list] = {kind: [] for kind in CHANGES}
  for number, encoder in enumerate(
    track(bank.encoders, description=f'Changing representations ({seed})')
  ):
    network = bank.network(encoder.name)
    with observing.probing(
      encoder, network, 'gradient', len(chosen)
    ) as explainer:
      size = explainer.count_units(images)
      drawn = probes.directions(
        network.digest, [probe.digests[i] for i in chosen], size
      )
      for kind in CHANGES:
        rng = np.random.default_rng([seed, number])
        mean = np.ones((len(chosen), 1, size), np.float32) / size
        both = np.concatenate([mean, drawn], axis=1)
        both = _change(kind, rng, both).astype(np.float32)
        maps = explainer.probe('gradient', images, both)
        maps = maps.reshape(len(chosen), 1 + _COUNT, -1)
        found[kind].append((maps[:, 0], maps[:, 1:]))
  return found


def rows(
  bank: Bank,
  probe: ProbeSet,
  oracle: Oracle,
  track: Callable[..., Iterable],
) -> list[list]:
  """Returns scores under changes of the representations, a header first.

  Of the map of the mean over units, of the kernel and the span; means and
  standard deviations over random changes, each with directions of its own.
  """
  drawn: dict[tuple[str, str], list[dict[str, float]]] = {}
  for seed in range(_TURNS):
    for kind, networks in _maps(bank, probe, seed, track).items():
      means, probes = zip(*networks, strict=True)
      unit = np.stack(means, axis=1)
      unit = unit / np.linalg.norm(unit, axis=-1, keepdims=True)
      matrices = {'mean map': mean_cosine(unit @ unit.swapaxes(1, 2))}
      probes = [
        p / np.linalg.norm(p, axis=(1, 2), keepdims=True) for p in probes
      ]
      for name, measure in subspaces.MEASURES.items():
        matrices[name] = subspaces.pairs(probes, measure).mean(axis=0)
      for name, matrix in matrices.items():
        values = observing.score(matrix[None], bank.names, oracle)
        drawn.setdefault((name, kind), []).append(
          {score: float(v.mean()) for score, v in values.items()}
        )
  table: list[list] = [['measure', 'representation']]
  for name in observing.SCORES:
    table[0] += [name, f'{name}_sd']
  for (name, kind), values in sorted(drawn.items()):
    row: list = [name, kind]
    for score in observing.SCORES:
      column = [each[score] for each in values]
      row += [float(np.mean(column)), float(np.std(column))]
    table.append(row)
  return table


def count_rows(gram: np.ndarray, bank: Bank, oracle: Oracle) -> list[list]:
  """Returns scores against the numbers of directions and images.

  Args:
    gram: See `choosing.products`.
    bank: The networks.
    oracle: The measured transfers.
  """
  table: list[list] = [['measure', 'directions', 'images', *observing.SCORES]]
  for measure in subspaces.MEASURES:
    for count in choosing.COUNTS:
      for number in (1, 4, *choosing.IMAGES):
        values = observing.score(
          np.stack(
            [
              choosing.of_probes(gram, measure, count, chosen)
              for chosen in choosing.shares(len(gram), number)
            ]
          ),
          bank.names,
          oracle,
        )
        means = [float(values[name].mean()) for name in observing.SCORES]
        table.append([measure, count, number, *means])
  return table
