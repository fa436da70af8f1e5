"""Which sources complement each other: is it told without labels?

For each target the pairs that were really trained compete. What a pair gives is
predicted by a similarity of the target's representation to that of both sources
side by side, by what single sources give, and by a static list: how single
sources stand for the other targets.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments import transfer_choices
from experiments.transfer_choices import Losses
from transferability import agreement, history, similarity

# Baselines that know the measured losses of single sources.
BEST_SINGLE, MEAN_SINGLE = 'best_single', 'mean_single'
OTHER_TARGETS = 'other_targets'  # The static list.
_UNLIKE = 'unlike:'  # Pairs of sources that are unlike each other.
_GAIN = 'gain:'  # More than the better one of the two.

Compared = dict[str, dict[str, agreement.Agreement | None]]


def compare(
  losses: Losses,
  represented: Mapping[str, np.ndarray],
  names: Sequence[str],
  num_draws: int = 1000,
) -> tuple[Compared, Compared]:
  """Returns the agreement of predictions with pairs' losses, and with gains.

  The gain of a pair is the logarithm of the better single loss over its own.

  Args:
    losses: By target and sources, of one or two.
    represented: Of the same images by each network, [n, h, w, c].
    names: Similarities; a directed one takes the target first.
    num_draws: Of the bootstrap, over pairs.

  Returns:
    By target and prediction: with minus the loss; with the gain.
  """
  by_loss: Compared = {}
  by_gain: Compared = {}
  for target in dict.fromkeys(target for target, _ in losses):
    pairs = [s for t, s in losses if t == target and len(s) == 2]
    if len(pairs) < 3:
      continue
    single = {
      pair: np.log([losses[target, (s,)] for s in pair]) for pair in pairs
    }
    own = np.array([np.log(losses[target, pair]) for pair in pairs])
    best = np.array([single[pair].min() for pair in pairs])
    found = {
      BEST_SINGLE: -best,
      MEAN_SINGLE: np.array([-single[pair].mean() for pair in pairs]),
      **_static_list(losses, target, pairs),
    }
    for name in names:
      found |= _by_similarity(name, target, pairs, represented)
    for table, truth in ((by_loss, -own), (by_gain, best - own)):
      table[target] = {
        name: agreement.compare(values, truth, num_draws)
        for name, values in found.items()
      }
  return by_loss, by_gain


def _static_list(
  losses: Losses, target: str, pairs: Sequence[tuple[str, ...]]
) -> dict[str, np.ndarray]:
  """Returns the mean standing of both sources for the other targets, [pairs].

  Empty if no other target has losses of them all.
  """
  known = history.History.of_scores(
    {
      (other, sources[0]): -np.log(loss)
      for (other, sources), loss in losses.items()
      if len(sources) == 1 and sources != (other,)
    }
  )
  standing = np.array([history.predict(known, target, s).mean() for s in pairs])
  return {OTHER_TARGETS: standing} if np.isfinite(standing).all() else {}


def _by_similarity(
  name: str,
  target: str,
  pairs: Sequence[tuple[str, ...]],
  represented: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
  """Returns predictions of pairs by one similarity, [pairs] each."""
  wanted = represented[target]
  sources = list(dict.fromkeys(s for pair in pairs for s in pair))
  alone = {s: similarity.score(name, wanted, represented[s]) for s in sources}
  joint = np.array(
    [
      similarity.score(
        name, wanted, transfer_choices.together(represented, pair)
      )
      for pair in pairs
    ]
  )
  alike = [
    similarity.score(name, represented[a], represented[b])
    + similarity.score(name, represented[b], represented[a])
    for a, b in pairs
  ]
  better = np.array([max(alone[s] for s in pair) for pair in pairs])
  return {
    name: joint,
    f'{_GAIN}{name}': joint - better,
    f'{_UNLIKE}{name}': -np.array(alike),
  }
