"""The curves of faithfulness as figures, for each kind of network."""

from collections.abc import Sequence
import pathlib

import numpy as np

from experiments import figures
from experiments.faithfulness import randomising, tables
from experiments.faithfulness.perturbing import DIFFERENCE, LEAST, MOST, RANDOM
from experiments.faithfulness.tables import Seen


def draw(
  folder: pathlib.Path, networks: Sequence[Seen], methods: Sequence[str]
) -> dict[str, pathlib.Path]:
  """Draws curves of deletion, of insertion, and of randomised weights.

  Args:
    folder: Gets the files `deletion_KIND`, `insertion_KIND`,
      `randomised_KIND`, each as PNG and PDF.
    networks: What was found.
    methods: Names.

  Returns:
    The PNGs, by a caption that says how to read them.
  """
  drawn = {}
  folder.mkdir(parents=True, exist_ok=True)
  for kind, own in tables.by_kind(networks).items():
    shown = [m for m in methods if not all(m in e.refused for e in own)]
    shares = [0.0, *own[0].shares, 1.0]
    random = _whole(own, RANDOM)
    deletion, insertion = (
      {m: _whole(own, f'{m}/{order}') for m in (*shown, DIFFERENCE)}
      for order in (MOST, LEAST)
    )
    figures.lines(
      folder / f'deletion_{kind}.png',
      shares,
      {**deletion, RANDOM: random},
      f'Deletion: {kind}, {len(own)} networks',
      'Share of cells replaced, the most relevant first',
      'Change of the representation',
    )
    figures.lines(
      folder / f'insertion_{kind}.png',
      [1 - share for share in reversed(shares)],
      {n: v[::-1] for n, v in {**insertion, RANDOM: random}.items()},
      f'Insertion: {kind}, {len(own)} networks',
      'Share of cells brought back, the most relevant first',
      'Change that is left',
    )
    drawn |= {
      f'Deletion, {kind}: the higher a curve, the sooner the representation '
      'changes, the more faithful the map.': folder / f'deletion_{kind}.png',
      f'Insertion, {kind}: the lower a curve, the more faithful the '
      'map.': folder / f'insertion_{kind}.png',
    }
    path = folder / f'randomised_{kind}.png'
    if _draw_randomised(path, own, shown, kind):
      drawn[
        f'Randomised weights, {kind}: a curve that stays high is of maps that '
        'do not tell of the network.'
      ] = path
  return drawn


def _whole(networks: Sequence[Seen], name: str) -> np.ndarray:
  """Returns a curve with both ends: the mean over networks and baselines."""
  found = [
    np.nanmean(each.curves[f'{baseline}/{name}'], axis=0)
    for each in networks
    for baseline in each.baselines
    if f'{baseline}/{name}' in each.curves
  ]
  return np.concatenate([[0], np.mean(found, axis=0), [1]])


def _draw_randomised(path, networks, methods, kind: str) -> bool:
  """Draws what randomised weights leave of maps; says whether it is known."""
  way, most = (
    randomising.CASCADING,
    max(
      len(each.alike.get(f'{randomising.CASCADING}/share', ()))
      for each in networks
    ),
  )
  series = {}
  for method in methods:
    found = [
      np.nanmean(values, axis=1)
      for each in networks
      if (values := each.alike.get(f'{way}/{method}/{randomising.SPEARMAN}'))
      is not None
      and len(values) == most
    ]
    if found:
      series[method] = np.concatenate([[1], np.nanmean(found, axis=0)])
  if series:
    figures.lines(
      path,
      [stage / most for stage in range(most + 1)],
      series,
      f'Maps of randomised networks: {kind}, {len(networks)} networks',
      'Share of layers randomised, from the representation down',
      'Rank correlation with the maps before',
    )
  return bool(series)
