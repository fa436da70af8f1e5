"""What is known of candidates before a target is looked at: baselines."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.selection.label_free import Near
from taskonomy_models import imagenet_accuracy
from transferability import history
from transferability.history import History

IMAGENET, HISTORY = 'imagenet_accuracy', 'history'
BASELINE = 'baseline'  # The family.
_BETWEEN_TARGETS = ('decodability', 'cka')  # The first that there is.


def imagenet(cases: Mapping[str, Sequence[str]]) -> Near | None:
  """Returns candidates by their published ImageNet accuracy.

  Those without one, as they are no image classifiers, stand last, all alike.

  Args:
    cases: The candidates of each case.

  Returns:
    None if no candidate has one.
  """
  known = imagenet_accuracy.TOP1
  if not any(name in known for names in cases.values() for name in names):
    return None
  scores = {
    case: {IMAGENET: {name: known.get(name, 0.0) for name in names}}
    for case, names in cases.items()
  }
  return Near((IMAGENET,), scores, {}, BASELINE)


def of_history(
  known: History,
  target: str,
  network: str | None,
  candidates: Sequence[str],
  scores: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
  """Returns what earlier transfers say of the candidates.

  `history`: the mean standing for other targets; `history:NAME`: weighed by
  the similarity of the networks of those targets to the target's own, where
  the history's targets are networks of the bank; `history+MEASURE`: with the
  best label-based measure that there is, in equal parts.

  Args:
    known: Earlier transfers; those to the target itself are left out.
    target: Its name.
    network: The target's own network, whose task is the same.
    candidates: Their names.
    scores: By measure and candidate.
  """
  for name in {target, network} & set(known.targets):
    if len(known.targets) == 1:
      return {}
    known = known.without(name)
  plain = history.predict(known, target, candidates)
  if not np.isfinite(plain).any():
    return {}
  found = {HISTORY: plain}
  for name in _BETWEEN_TARGETS:
    between = scores.get(name, {})
    if set(known.targets) & set(between):
      found[f'{HISTORY}:{name}'] = history.predict(
        known, target, candidates, between
      )
      break
  if 'logme' in scores:
    measure = np.array([scores['logme'][name] for name in candidates])
    found[f'{HISTORY}+logme'] = history.combine(plain, measure)
  # A candidate that the history does not know is taken as an average one.
  return {
    name: dict(zip(candidates, map(float, np.nan_to_num(row)), strict=True))
    for name, row in found.items()
  }
