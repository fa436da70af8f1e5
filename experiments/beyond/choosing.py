"""The choice of all settings, on validation scenes of the mini bank alone.

The cheapest setting within one standard error of the best, and of its family
(the gradient that probes follow), becomes the default. The quality of a setting
is the mean of P@3, P@5 and the mean rank correlation, averaged over disjoint
sets of images where it needs only some of them; the standard error is that over
the targets, of the difference from the best. Of the combination the largest
weight of span energy counts as the cheapest: what is chosen on scenes shall
lean as much as it may on what does not depend on them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import functools
import itertools
import os

import numpy as np

from attribution import methods as methods_lib
from attribution.probes import Probes
from experiments.beyond import observing
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from toolkit_basics import memo
from transferability import similarity, subspaces
from transferability.oracle import Oracle

QUALITY = ('P@3', 'P@5', 'spearman')
METHODS = ('gradient', 'gradient_times_input', 'elrp')
_MOST = Probes(count=32, num_images=32)
COUNTS, IMAGES, SOFTNESS = (4, 8, 16, 32), (8, 16, 32), (0.0, 1.0)
NEIGHBOURHOODS, DECODED = (1, 3, 5), (50, 100, 200, 400)
HIDDEN = (64, 256)  # Random units beside a neighbourhood's channels.
WEIGHTS = (0.0, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0)  # Of span energy in SPADE.
COMPARED = (
  *(METHODS, COUNTS, IMAGES, SOFTNESS),
  *(NEIGHBOURHOODS, DECODED, HIDDEN, WEIGHTS),
)


@dataclasses.dataclass(frozen=True)
class Setting:
  """One setting of a measure, and how good it is.

  Attributes:
    measure: Its name.
    family: Of settings that differ in cost: the gradient, if there is a choice.
    options: What is set.
    cost: Backward passes a network, or images that are represented.
    scores: Of `observing.score`, means over the targets.
    quality: By target.
  """

  measure: str
  family: str
  options: str
  cost: float
  scores: dict[str, float]
  quality: np.ndarray

  @property
  def mean(self) -> float:
    return float(self.quality.mean())


def products(
  bank: Bank,
  probe: ProbeSet,
  method: str,
  folder: str | os.PathLike,
  track: Callable[..., Iterable],
) -> np.ndarray:
  """Returns products of probes, float32 [images, networks, networks, K, K]."""
  probes = dataclasses.replace(_MOST, method=methods_lib.create(method))
  key = {
    'graphs': bank.digests()['graphs'],
    'images': probe.digest,
    'probes': probes,
  }
  return memo.Memo(folder, memo.ARRAY).recall(
    f'products_{method}',
    key,
    lambda: _products(bank, probe, probes, track),
  )


def _products(bank, probe, probes, track) -> np.ndarray:
  chosen = probes.chosen(len(probe.ids))
  rows = []
  for encoder in track(
    bank.encoders, description=f'Probing {probes.method.name}'
  ):
    network = bank.network(encoder.name)
    with observing.probing(
      encoder, network, probes.method, len(chosen)
    ) as explainer:
      images = probe.images[chosen]
      directions = probes.directions(
        network.digest,
        [probe.digests[i] for i in chosen],
        explainer.count_units(images),
      )
      maps = explainer.probe(probes.method.name, images, directions)
    maps = maps.reshape(len(chosen), probes.count, -1)
    rows.append(maps / np.linalg.norm(maps, axis=(1, 2), keepdims=True))
  return np.stack(
    [subspaces.products(np.stack(image)) for image in zip(*rows, strict=True)]
  ).astype(np.float32)


def of_probes(
  gram: np.ndarray,
  measure: str,
  count: int,
  images: np.ndarray,
  softness: float = 0,
) -> np.ndarray:
  """Returns a measure of the first `count` probes of some images."""
  function = subspaces.MEASURES[measure]
  if softness:
    function = functools.partial(function, softness=softness)
  part = gram[images, :, :, :count, :count].astype(np.float64)
  return np.mean([function(image) for image in part], axis=0)


def shares(total: int, number: int) -> list[np.ndarray]:
  """Returns disjoint sets of `number` of the images, evenly spaced each."""
  sets = max(1, total // number)
  return [np.arange(first, sets * number, sets) for first in range(sets)]


def settings(
  bank: Bank,
  oracle: Oracle,
  representations: dict[str, np.ndarray],
  grams: dict[str, np.ndarray],
) -> Iterator[Setting]:
  """Yields all settings that are compared."""

  def of(
    measure: str,
    family: str,
    options: str,
    cost: float,
    matrices: Sequence[np.ndarray],
  ) -> Setting:
    scores = observing.score(np.stack(matrices), bank.names, oracle)
    quality = np.mean([scores[name] for name in QUALITY], axis=(0, 1))
    means = {name: float(values.mean()) for name, values in scores.items()}
    return Setting(measure, family, options, cost, means, quality)

  for method, gram in grams.items():
    yield from _of_directions(of, method, gram)
  yield from _of_regressions(of, representations, grams)


def _of_directions(of, method: str, gram: np.ndarray) -> Iterator[Setting]:
  for count, number in itertools.product(COUNTS, IMAGES):
    sets = shares(len(gram), number)
    for measure, softness in (
      ('attribution_kernel', 0.0),
      *(('attribution_span', value) for value in SOFTNESS),
    ):
      found = [of_probes(gram, measure, count, s, softness) for s in sets]
      text = f'{count} directions, {number} images'
      if measure == 'attribution_span':
        text += f', softness {softness:g}'
      yield of(measure, method, text, count * number, found)


def _of_regressions(of, representations, grams) -> Iterator[Setting]:
  default = Probes()
  span = of_probes(
    grams[default.method.name],
    'attribution_span',
    default.count,
    np.arange(default.num_images),
  )
  total = len(next(iter(representations.values())))

  def decoded(side: int, number: int, hidden: int = 0) -> list[np.ndarray]:
    return [
      similarity.matrix(
        'decodability',
        {name: x[chosen] for name, x in representations.items()},
        neighbourhood=side,
        num_images=number,
        hidden=hidden,
      )[1]
      for chosen in shares(total, number)
    ]

  for side, number in itertools.product(NEIGHBOURHOODS, DECODED):
    found = decoded(side, number)
    text = f'{side} x {side} cells, {number} images'
    yield of('decodability', '', text, number * side**2, found)
    if (side, number) == (3, 200):
      for hidden in HIDDEN:
        more = decoded(side, number, hidden)
        cost = number * (side**2 + hidden / 8)  # 8 channels are a cell.
        yield of('decodability', '', f'{text}, {hidden} units', cost, more)
      for weight in WEIGHTS:
        mixed = [weight * span + (1 - weight) * matrix for matrix in found]
        text = f'weight of span energy {weight:g}'
        yield of('spade', '', text, 1 - weight, mixed)


def choose(candidates: Sequence[Setting]) -> dict[str, tuple[Setting, Setting]]:
  """Returns by measure the best setting, and the cheapest that is as good."""
  chosen = {}
  for measure in dict.fromkeys(each.measure for each in candidates):
    own = [each for each in candidates if each.measure == measure]
    best = max(own, key=lambda each: each.mean)

    def is_as_good(each: Setting, best: Setting = best) -> bool:
      behind = best.quality - each.quality
      error = behind.std(ddof=1) / np.sqrt(len(behind))
      return behind.mean() <= error

    good = [e for e in own if e.family == best.family and is_as_good(e)]
    cheapest = min(good, key=lambda each: (each.cost, -each.mean))
    chosen[measure] = best, cheapest
  return chosen


def rows(candidates: Sequence[Setting]) -> list[list]:
  """Returns all settings as a table, a header first."""
  chosen = choose(candidates)
  table: list[list] = [
    [
      'measure',
      'gradient',
      'options',
      'cost',
      *observing.SCORES,
      'quality',
      'chosen',
    ]
  ]
  for each in candidates:
    best, cheapest = chosen[each.measure]
    mark = 'best' if each is best else ''
    mark = 'cheapest within one standard error' if each is cheapest else mark
    scores = [each.scores[name] for name in observing.SCORES]
    table.append(
      [
        each.measure,
        each.family,
        each.options,
        each.cost,
        *scores,
        each.mean,
        mark,
      ]
    )
  return table
