"""Tables and words of how faithful maps are, by network and kind of network."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools

import numpy as np

from experiments import figures
from experiments.faithfulness import looking, perturbing, randomising
from experiments.faithfulness.perturbing import DIFFERENCE, LEAST, MOST, RANDOM
from transferability import resampling

EVERY = 'all'
# Spearman's correlation with the maps of the randomised network, from which a
# method is not proposed: most of its map is there without what was learned.
KEPT = 0.5
_LEVELS = (2.5, 97.5)
_DIGITS = 3  # Of gains in words; what differs behind them is equal.
Row = list[object]


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
  """What was found of one network.

  Attributes:
    name: Of the network.
    kind: One of `looking.KINDS`.
    baselines: By what cells were replaced.
    shares: Of the cells that were replaced.
    curves: See `perturbing.curves`.
    alike: See `randomising.likenesses`.
    refused: Why methods have no maps, by method.
  """

  name: str
  kind: str
  baselines: tuple[str, ...]
  shares: tuple[float, ...]
  curves: Mapping[str, np.ndarray]
  alike: Mapping[str, np.ndarray]
  refused: Mapping[str, str]

  @functools.cached_property
  def areas(self) -> dict[str, np.ndarray]:
    """Areas below the curves, of each image, by their names."""
    return {
      name: perturbing.area(values, self.shares)
      for name, values in self.curves.items()
    }

  def area(self, name: str, baseline: str | None = None) -> np.ndarray:
    """Returns the area of each image below a curve, [images].

    Args:
      name: `METHOD/most`, `METHOD/least` or RANDOM.
      baseline: Of the curve; default: the mean over all.

    Returns:
      NaN if there is no curve.
    """
    names = self.baselines if baseline is None else (baseline,)
    blank = np.full(len(self.areas[f'{self.baselines[0]}/{RANDOM}']), np.nan)
    return np.mean(
      [self.areas.get(f'{b}/{name}', blank) for b in names], axis=0
    )

  def gain(self, method: str, baseline: str | None = None) -> np.ndarray:
    """Returns what a method's two curves enclose, [images]; see `area`."""
    return self.area(f'{method}/{MOST}', baseline) - self.area(
      f'{method}/{LEAST}', baseline
    )

  def kept(self, method: str, likeness: str) -> float:
    """Returns how alike maps are once all layers are randomised; or NaN."""
    values = self.alike.get(f'{randomising.CASCADING}/{method}/{likeness}')
    return np.nan if values is None else _mean(values[-1])


@dataclasses.dataclass(frozen=True)
class Interval:
  """A mean over images, and its 95 % interval over draws of the images."""

  mean: float
  low: float
  high: float

  @classmethod
  def of(cls, values: np.ndarray, num_draws: int) -> 'Interval':
    """Returns that of values [networks, images], of which some may be NaN."""
    known = np.isfinite(values)
    images = known.any(axis=0)
    if not images.any():
      return cls(np.nan, np.nan, np.nan)
    sums = np.where(known, values, 0)[:, images].sum(axis=0)
    means = sums / known[:, images].sum(axis=0)
    weights = resampling.weights(len(means), num_draws)
    low, high = np.percentile(weights @ means, _LEVELS)
    return cls(float(means.mean()), float(low), float(high))

  def __str__(self) -> str:
    mean, low, high = (
      f'{value:.{_DIGITS}f}' for value in (self.mean, self.low, self.high)
    )
    return f'{mean} [{low}, {high}]'


def by_kind(networks: Sequence[Seen]) -> dict[str, list[Seen]]:
  """Returns networks by kind, and all of them if there are several kinds."""
  found = {
    kind: own
    for kind in looking.KINDS
    if (own := [each for each in networks if each.kind == kind])
  }
  return found if len(found) == 1 else {**found, EVERY: list(networks)}


def network_rows(
  networks: Sequence[Seen], methods: Sequence[str], num_draws: int
) -> list[Row]:
  """Returns a row for each network and method, a header first."""
  header: Row = [
    *('network', 'kind', 'method', 'baseline', 'gain', 'low', 'high'),
    *(
      'deletion',
      'insertion',
      'random',
      'spearman_randomised',
      'cosine_randomised',
    ),
    'refused',
  ]
  rows = [header]
  for own in networks:
    for method in (*methods, DIFFERENCE):
      kept = [own.kept(method, each) for each in randomising.LIKENESSES]
      for baseline in own.baselines:
        gain = Interval.of(own.gain(method, baseline)[None], num_draws)
        areas = [
          _mean(own.area(name, baseline))
          for name in (f'{method}/{MOST}', f'{method}/{LEAST}', RANDOM)
        ]
        numbers = [gain.mean, gain.low, gain.high, *areas, *kept]
        why = own.refused.get(method, '')
        rows.append([own.name, own.kind, method, baseline, *numbers, why])
  return rows


def stage_rows(networks: Sequence[Seen], methods: Sequence[str]) -> list[Row]:
  """Returns the likeness of maps at each stage of randomisation."""
  rows: list[Row] = [
    [
      *('network', 'kind', 'way', 'layers_randomised', 'method'),
      *randomising.LIKENESSES,
    ]
  ]
  for own in networks:
    for way in randomising.WAYS:
      for stage, share in enumerate(own.alike.get(f'{way}/share', ())):
        for method in methods:
          values = [
            _mean(own.alike[name][stage]) if name in own.alike else np.nan
            for likeness in randomising.LIKENESSES
            for name in [f'{way}/{method}/{likeness}']
          ]
          rows.append([own.name, own.kind, way, float(share), method, *values])
  return rows


def _mean(values: np.ndarray) -> float:
  """Returns the mean of what is known, NaN if nothing is."""
  known = values[np.isfinite(values)]
  return float(known.mean()) if len(known) else np.nan


def _gains(
  networks: Sequence[Seen], method: str, baseline: str | None = None
) -> np.ndarray:
  return np.stack([own.gain(method, baseline) for own in networks])


def kept(
  networks: Sequence[Seen], method: str, likeness: str = randomising.SPEARMAN
) -> float:
  """Returns the mean over networks of what is left of a method's maps."""
  return _mean(np.array([own.kept(method, likeness) for own in networks]))


def kind_rows(
  networks: Sequence[Seen], methods: Sequence[str], num_draws: int
) -> list[Row]:
  """Returns a row for each kind of network and method, the best first."""
  baselines = networks[0].baselines
  header: Row = ['kind', 'networks', 'method', 'gain', 'low', 'high']
  header += [f'gain_{baseline}' for baseline in baselines]
  header += ['spearman_randomised', 'cosine_randomised', 'refused']
  rows = [header]
  for kind, own in by_kind(networks).items():
    part: list[Row] = []
    for method in (*methods, DIFFERENCE):
      gain = Interval.of(_gains(own, method), num_draws)
      part.append(
        [
          *(kind, len(own), method, gain.mean, gain.low, gain.high),
          *(_mean(_gains(own, method, each).ravel()) for each in baselines),
          *(kept(own, method, each) for each in randomising.LIKENESSES),
          sum(method in each.refused for each in own),
        ]
      )
    part.sort(key=lambda row: (np.isnan(row[3]), -row[3]))
    rows += part
  return rows


def preferred(networks: Sequence[Seen], methods: Sequence[str]) -> list[str]:
  """Returns the methods that may be proposed for networks, the best first.

  Those that have maps of all, which change where weights are randomised, and
  whose gain is above 0 with each baseline.
  """
  means = {
    method: [
      _mean(_gains(networks, method, each).ravel())
      for each in networks[0].baselines
    ]
    for method in methods
    if not any(method in own.refused for own in networks)
    and not kept(networks, method) >= KEPT
  }
  usable = [method for method, gains in means.items() if min(gains) > 0]
  return sorted(usable, key=lambda method: -np.mean(means[method]))


def sentences(
  networks: Sequence[Seen], methods: Sequence[str], num_draws: int
) -> list[str]:
  """Returns which method to prefer for which kind of network, in words."""
  found = []
  for kind, own in by_kind(networks).items():
    whose = _whose(kind, len(own))
    order = preferred(own, methods)
    if not order:
      found.append(
        f'For {whose}, prefer no method: with one of the baselines at least, '
        'each is no better than random order, or does not depend on the '
        'weights.'
      )
      continue
    best, gains = order[0], {m: _gains(own, m) for m in order}
    text = (
      f'For {whose}, prefer {figures.method_label(best)}: its gain is '
      f'{Interval.of(gains[best], num_draws)}.'
    )
    equal = [
      figures.method_label(m)
      for m in order[1:]
      if round(Interval.of(gains[best] - gains[m], num_draws).low, _DIGITS) <= 0
    ]
    if equal:
      text += f' {_listed(equal)} cannot be told apart from it.'
    found.append(text)
  return [*found, *_warnings(networks, methods, num_draws)]


def _listed(names: Sequence[str]) -> str:
  *most, last = names
  return f'{", ".join(most)} and {last}' if most else last


def _whose(kind: str, number: int) -> str:
  """Returns which networks are meant, in words."""
  plural = 'network' if number == 1 else 'networks'
  if kind == EVERY:
    return f'all {number} {plural} together'
  the = 'the one' if number == 1 else f'the {number}'
  return f'{the} {plural} of kind {kind}'


def in_words(rows: Sequence[Row]) -> list[Row]:
  """Returns the table of kinds as a page shows it, in words."""
  header, *others = rows
  words = {'low': 'gain, low', 'high': 'gain, high'}
  words |= {
    f'{likeness}_randomised': f'{said} if randomised'
    for likeness, said in (
      ('spearman', 'rank correlation'),
      ('cosine', 'cosine'),
    )
  }
  titles: Row = [
    words.get(name, name.replace('gain_', 'gain, '))
    for name in map(str, header)
  ]
  at = header.index('method')
  return [
    titles,
    *(
      [*row[:at], figures.method_label(str(row[at])), *row[at + 1 :]]
      for row in others
    ),
  ]


def _warnings(
  networks: Sequence[Seen], methods: Sequence[str], num_draws: int
) -> list[str]:
  """Returns what the preferences must be read with."""
  known = Interval.of(_gains(networks, DIFFERENCE), num_draws)
  firsts = {}
  for baseline in networks[0].baselines:
    means = {m: _mean(_gains(networks, m, baseline).ravel()) for m in methods}
    means = {m: value for m, value in means.items() if np.isfinite(value)}
    if means:
      firsts[baseline] = figures.method_label(
        max(means, key=lambda m: means[m])
      )
  found = [
    'Beside it, the order of how much cells differ from the baseline has the '
    f'gain {known}. It is told what will be done to the image, and asks no '
    'network.'
  ]
  if len(set(firsts.values())) > 1:
    said = ', '.join(f'{name} with {base}' for base, name in firsts.items())
    found.append(f'Which is first depends on the baseline: {said}.')
  if networks[0].alike:
    fixed = [
      f'{figures.method_label(method)} ({kept(networks, method):.2f})'
      for method in methods
      if kept(networks, method) >= KEPT
    ]
    found.append(
      'Methods whose maps hardly change if all weights are randomised (a rank '
      f'correlation of {KEPT} or more): {", ".join(fixed) or "none"}.'
    )
  return found
