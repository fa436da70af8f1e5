"""All measures of a bank on one probe set, and on random halves of its images.

Halves are drawn without replacement, for all measures the same: a similarity of
representations is no mean over images, and images that come twice would be
pairs of equal ones in it. They spread as far as the bootstrap of a mean.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import os
import time

import numpy as np

from attribution.explainer import Explainer
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing
from attribution.probes import Probes
from experiments import network_errors, pipeline, similarities
from frozen_graphs.network import Network
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import memo
from transferability import resampling
from transferability.oracle import Oracle, rank_correlation
from transferability.ranking import true_ranks

PAPER = ('saliency', 'gradient_times_input', 'elrp')
RIVALS = ('svcca', 'cka', 'rsa', 'dds', 'depara')
OURS = ('attribution_kernel', 'attribution_span', 'decodability', 'spade')
MEASURES = (*PAPER, *RIVALS, *OURS)
SCORES = ('P@1', 'P@3', 'P@5', 'spearman')
LEAST_IMAGES = 8  # Measures are not defined for fewer than four, half of them.
_HALVES = 16
_RELEVANT = 5


@dataclasses.dataclass(frozen=True)
class Observed:
  """A bank on one probe set.

  Attributes:
    names: Of the networks.
    matrices: By measure, float64 [1 + halves, networks, networks]: of all
      images, then of random halves; rows targets, columns sources.
    seconds: What each measure cost for all pairs, and what the `maps` and
      `probes` of a network cost.
  """

  names: tuple[str, ...]
  matrices: Mapping[str, np.ndarray]
  seconds: Mapping[str, float]


class _MapSeconds(pipeline.Observer):
  def __init__(self):
    self.seconds: list[float] = []

  def finished(self, encoder, images, seconds, ruled) -> None:
    self.seconds.append(seconds)


def observe(
  bank: Bank,
  probe: ProbeSet,
  folder: str | os.PathLike,
  track: Callable[..., Iterable],
  probes: Probes | None = None,
) -> Observed:
  """Projects a bank and computes all measures; what is there is read.

  Args:
    bank: The networks.
    probe: The images.
    folder: Gets the model spaces and `observed.npz`.
    track: Shows progress.
    probes: How networks are probed; None: as by default.

  Raises:
    ValueError: If there are fewer than LEAST_IMAGES.
  """
  if len(probe.images) < LEAST_IMAGES:
    raise ValueError(
      f'The probe set {probe.name!r} has {len(probe.images)} images; '
      f'{LEAST_IMAGES} are needed, as measures look at halves of them too.'
    )
  probes = probes or Probes()
  key = {
    'graphs': bank.digests()['graphs'],
    'probe': probe.digest,
    'probes': probes,
    'halves': _HALVES,
  }
  kept = memo.Memo(folder, memo.ARRAYS)
  found = kept.find('observed', key)
  if found is None:
    found = kept.keep(
      'observed', key, _compute(bank, probe, folder, track, probes)
    )
  seconds = dict(zip(found['clocks'].tolist(), found['seconds'], strict=True))
  matrices = {name: found[name] for name in MEASURES}
  return Observed(bank.names, matrices, seconds)


def _compute(bank, probe, folder, track, probes) -> dict[str, np.ndarray]:
  projection = pipeline.Projection(
    pipeline.method_objects(PAPER),
    keep_representations=True,
    on_bad_map='drop_image',
    probes=probes,
  )
  clock, seconds = _MapSeconds(), {}
  started = time.perf_counter()
  spaces = pipeline.project(bank, probe, projection, folder, track, clock)
  whole = time.perf_counter() - started
  if clock.seconds:
    seconds['maps'] = float(np.mean(clock.seconds))
    seconds['network'] = whole / len(bank.names)
  found = {name: spaces[name].image_cosines(bank.names) for name in PAPER}
  started = time.perf_counter()
  found |= similarities.image_scores(OURS, bank.names, spaces)
  seconds['attribution_span'] = time.perf_counter() - started
  matrices = {name: _halves_of_mean(values) for name, values in found.items()}
  represented = similarities.load(folder, bank.names, spaces)
  shares = _halves(len(next(iter(represented.values()))))
  every = [np.ones_like(shares[0]), *shares]
  for name in (
    'svcca',
    'cka',
    'rsa',
    'dds',
    similarities.EDGES,
    'decodability',
  ):
    started = time.perf_counter()
    values = [
      similarities.matrix(
        name, {n: x[np.flatnonzero(row)] for n, x in represented.items()}
      )
      for row in track(every, description=f'{name} on {probe.name}')
    ]
    seconds[name] = (time.perf_counter() - started) / len(every)
    matrices[name] = np.stack(values)
  nodes = matrices[similarities.NODES]
  edges = matrices.pop(similarities.EDGES)
  matrices['depara'] = similarities.with_nodes(nodes, edges)
  parts = [matrices['attribution_span'], matrices['decodability']]
  matrices['spade'] = np.mean(parts, axis=0)
  return {
    **matrices,
    'clocks': np.array(list(seconds)),
    'seconds': np.array(list(seconds.values())),
  }


def _halves(number: int) -> np.ndarray:
  size = max(min(4, number), number // 2)
  return resampling.subsets(number, size, _HALVES)


def _halves_of_mean(values: np.ndarray) -> np.ndarray:
  """Returns the mean over all images, and over halves of them."""
  drawn = resampling.affinities(values, _halves(len(values)))
  return np.concatenate([values.mean(axis=0)[None], drawn])


def of_rankings(
  rankings: Mapping[str, Sequence[str]], names: Sequence[str]
) -> np.ndarray:
  """Returns affinities that rank so, [1, networks, networks]; see `score`."""
  matrix = np.zeros((len(names), len(names)))
  for target, row in rankings.items():
    for rank, source in enumerate(row):
      matrix[names.index(target), names.index(source)] = -rank
  return matrix[None]


def score(
  matrices: np.ndarray, names: tuple[str, ...], oracle: Oracle
) -> dict[str, np.ndarray]:
  """Returns scores against the oracle, each [matrices, targets].

  Args:
    matrices: [matrices, networks, networks], rows targets.
    names: Of the networks, the sources of the oracle.
    oracle: The measured transfers.

  Returns:
    P@1, P@3, P@5 (of all sources, if there are fewer) and the rank correlation
    of each target's row.
  """
  rows = [names.index(target) for target in oracle.targets]
  values = np.array(matrices, np.float64)[:, rows]
  values[:, np.arange(len(rows)), rows] = -np.inf
  order = np.argsort(-values, axis=-1, kind='stable')[..., :-1]
  truth = true_ranks(oracle, names)
  ranked = np.take_along_axis(truth[None], order, axis=-1)
  sources = ranked.shape[-1]
  hits = np.cumsum(ranked <= min(_RELEVANT, sources), axis=-1)
  found = {}
  for k in (1, 3, 5):
    first = min(k, sources)
    found[f'P@{k}'] = hits[..., first - 1] / first
  return found | {'spearman': rank_correlation(ranked - 1)}


def represent(
  bank: Bank, probe: ProbeSet, track: Callable[..., Iterable]
) -> dict[str, np.ndarray]:
  """Returns each network's representations, float32 [images, ...]."""
  found = {}
  for encoder in track(bank.encoders, description='Representing images'):
    with network_errors.computing(encoder.name):
      t = Preprocessing.parse(encoder.preprocessing)
      found[encoder.name] = bank.network(encoder.name).run(t(probe.images), 50)
  return found


@contextlib.contextmanager
def probing(
  encoder: Encoder,
  network: Network,
  method: str | AttributionMethod,
  batch_size: int,
) -> Iterator[Explainer]:
  """Opens a network for gradients and for maps of directions by a method.

  Raises:
    NetworkError: For whatever goes wrong in the block.
  """
  with (
    network_errors.computing(encoder.name),
    Explainer(
      network,
      preprocessing=encoder.preprocessing,
      methods=['gradient'],
      probe_methods=[method],
      batch_size=batch_size,
    ) as explainer,
  ):
    yield explainer
