"""Leaves each target of a history out, and predicts it from the others."""

from collections.abc import Mapping, Sequence
import os
import pathlib

import numpy as np

from experiments.selection import between, static_lists
from toolkit_basics import files
from transferability import agreement, history
from transferability.history import History

HISTORY = 'history'


def of_selection(
  output: str | os.PathLike, names: Sequence[str]
) -> tuple[History, dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns what a selection measured, and what stands beside it.

  Args:
    output: Of a finished selection whose networks competed for each target.
    names: Measures whose scores the selection has, and `domain_similarity`.

  Returns:
    The measured transfers; scores [targets, networks] of each measure; and how
    alike targets are, [targets, targets]: by the correlation of each measure's
    scores, and by domain similarity, if that is named.

  Raises:
    ValueError: If the folder is of no such selection, or lacks a measure.
    OSError: If a file cannot be read.
  """
  output = pathlib.Path(output)
  if not (output / 'history.csv').exists():
    raise ValueError(f'{output} is no finished model selection.')
  known = History.load(output / 'history.csv')
  header, *rows = files.read_csv(output / 'scores.csv')
  measures, alike = {}, {}
  for name in names:
    if name == between.DOMAIN_SIMILARITY:
      matrix, targets = between.read(output)
      if lost := sorted(set(known.targets) - set(targets)):
        raise ValueError(f'{output} does not say what {lost[0]!r} is like.')
      order = [targets.index(target) for target in known.targets]
      alike[name] = matrix[np.ix_(order, order)]
      continue
    if name not in header[3:]:
      raise ValueError(
        f'{output} has no scores of {name!r}; it has {", ".join(header[3:])}.'
      )
    scores = np.full(known.scores.shape, np.nan)
    for row in rows:
      case, network = row[:2]
      if case not in known.targets or network not in known.networks:
        raise ValueError(
          f'{output} is of no selection in which networks competed for '
          f'targets: it has the case {case!r} and the candidate {network!r}.'
        )
      where = known.targets.index(case), known.networks.index(network)
      scores[where] = float(row[header.index(name)])
    measures[name], alike[name] = scores, between.by_scores(scores)
  return known, measures, alike


def predictions(
  known: History,
  target: str,
  networks: Sequence[str],
  measures: Mapping[str, np.ndarray],
  similarities: Mapping[str, Mapping[str, float]],
) -> dict[str, np.ndarray]:
  """Returns predictions for one target, by name, float64 [networks] each.

  `history`: standing for the other targets; `history:NAME`: weighed by a
  similarity of targets; a measure alone; `history+MEASURE`: in equal parts with
  the plain history; `history:NAME+MEASURE` with the weighed one of that name.

  Args:
    known: Earlier transfers; the target's own are left out.
    target: Its name.
    networks: Whose predictions are wanted.
    measures: Scores of the networks for the target, [networks].
    similarities: Of other targets to this one, by name.
  """
  plain = history.predict_all(known, target, networks)
  found = {HISTORY: plain}
  weighed = {
    name: history.predict_all(known, target, networks, values)
    for name, values in similarities.items()
  }
  found |= {f'{HISTORY}:{name}': v for name, v in weighed.items()}
  for name, scores in measures.items():
    found[name] = np.asarray(scores, np.float64)
    found[f'{HISTORY}+{name}'] = history.combine(plain, scores)
    if name in weighed:
      both = history.combine(weighed[name], scores)
      found[f'{HISTORY}:{name}+{name}'] = both
  return found


def _published(target: str, networks: Sequence[str]) -> dict[str, np.ndarray]:
  """Returns published ImageNet accuracy of networks, if any has one."""
  found = static_lists.imagenet({target: networks})
  if found is None:
    return {}
  return {
    name: np.array([scores[network] for network in networks])
    for name, scores in found.scores[target].items()
  }


def leave_one_out(
  known: History,
  measures: Mapping[str, np.ndarray],
  alike: Mapping[str, np.ndarray],
  num_draws: int,
) -> dict[str, dict[str, agreement.Agreement | None]]:
  """Returns the agreement of all predictions with each target's transfers.

  A target's networks that were not measured have no part in it. Beside the
  predictions stands published ImageNet accuracy, where a network has one.

  Args:
    known: Two targets or more.
    measures: Scores, [targets, networks] each; NaN is not looked at where
      nothing was measured.
    alike: Similarities of targets, [targets, targets] each.
    num_draws: Of the bootstrap.

  Raises:
    ValueError: If there is one target only, or no target has three networks
      that are not all equally good.
  """
  if len(known.targets) < 2:
    raise ValueError(
      'A history of one target says nothing of others; two are needed.'
    )
  result = {}
  for i, target in enumerate(known.targets):
    columns = np.flatnonzero(np.isfinite(known.scores[i]))
    truth = known.scores[i, columns]
    if len(columns) < 3 or not np.ptp(truth):
      continue
    networks = [known.networks[j] for j in columns]
    similarities = {
      name: dict(zip(known.targets, matrix[i], strict=True))
      for name, matrix in alike.items()
    }
    found = predictions(
      known,
      target,
      networks,
      {name: matrix[i, columns] for name, matrix in measures.items()},
      similarities,
    )
    found |= _published(target, networks)
    result[target] = {
      name: agreement.compare(values, truth, num_draws)
      if np.isfinite(values).all()
      else None
      for name, values in found.items()
    }
  if not result:
    raise ValueError(
      'No target has the three networks, not all equally good, of which an '
      'order is.'
    )
  return result
