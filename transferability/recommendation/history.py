"""Earlier results: how a network stood on the other targets."""

from collections.abc import Iterable, Mapping

import numpy as np

# Score of each network by target.
History = Mapping[str, Mapping[str, float]]


def of_rows(rows: Iterable[tuple[str, str, float]]) -> History:
  """Returns a history of (target, network, score), larger is better.

  Raises:
    ValueError: If a pair is there twice, or a score is not finite.
  """
  found: dict[str, dict[str, float]] = {}
  for target, network, score in rows:
    if network in found.setdefault(target, {}):
      raise ValueError(
        f'The history has two scores of {network!r} for the target {target!r}.'
      )
    if not np.isfinite(score):
      raise ValueError(
        f'The history has the score {score} of {network!r} for the target '
        f'{target!r}; it must be finite.'
      )
    found[target][network] = float(score)
  return found


def standing(
  history: History, names: Iterable[str], target: str | None = None
) -> dict[str, float]:
  """Returns how many deviations above the mean each network is, on average.

  Args:
    history: Of any networks; targets with fewer than three are left out.
    names: Whose standing is asked for.
    target: Whose results must not count, as they are what is looked for.

  Returns:
    By name; NaN for a network without a result.
  """
  found: dict[str, list[float]] = {name: [] for name in names}
  for other, scores in history.items():
    if other == target or len(scores) < 3:
      continue
    values = np.array(list(scores.values()))
    deviation = values.std() or 1.0
    for name in found.keys() & scores.keys():
      found[name].append((scores[name] - values.mean()) / deviation)
  return {
    name: float(np.mean(values)) if values else float('nan')
    for name, values in found.items()
  }
