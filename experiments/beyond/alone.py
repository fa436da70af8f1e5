"""Scores of one network alone, without labels and without a target's network.

Whether any of them says which networks are good sources on the whole: the rank
correlation with their mean standing in the measured transfers, and P@K of the
one order of sources that they give to all targets.
"""

from collections.abc import Callable, Iterable
import math

from absl import logging
import numpy as np
from scipy import stats

from attribution.preprocessing import Preprocessing
from experiments import network_errors
from experiments.beyond import observing
from frozen_graphs.permuted import permuted
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability import baselines, label_free, ranking
from transferability.oracle import Oracle

_TWINS = 3
HEADER = (
  *('score', 'spearman_with_standing', 'p_value'),
  *observing.SCORES,
)


def _flat(values: np.ndarray) -> np.ndarray:
  return values.reshape(len(values), -1)


def scores(
  bank: Bank, probe: ProbeSet, track: Callable[..., Iterable]
) -> dict[str, list[float]]:
  """Returns each score of each network, on unlabelled images.

  Of the registered scores those that need features, or features of networks
  that learned nothing: the network's own with its weights permuted. One that is
  not defined for a network, as of too few images, is left out.
  """
  chosen = [
    name
    for name in label_free.names()
    if 'source_probs' not in label_free.info(name).needs
  ]
  found: dict[str, list[float]] = {name: [] for name in chosen}
  for encoder in track(bank.encoders, description='Scores of one network'):
    with network_errors.computing(encoder.name):
      network = bank.network(encoder.name)
      inputs = Preprocessing.parse(encoder.preprocessing)(probe.images)
      features = _flat(network.run(inputs, 50))
      twins = []
      for seed in range(_TWINS):
        with permuted(network, seed) as twin:
          twins.append(_flat(twin.run(inputs, 50)))
    for name in tuple(found):
      score = label_free.info(name)
      try:
        value = label_free.score(
          name,
          features=features,
          random_features=twins if 'random_features' in score.needs else None,
        )
      except ValueError as error:
        logging.warning('%s is left out: %s: %s', name, encoder.name, error)
        del found[name]
        continue
      found[name].append(score.ordered(value))
  return found


def rows(
  found: dict[str, list[float]], names: tuple[str, ...], oracle: Oracle
) -> list[list]:
  """Returns how well the scores order sources, a header first.

  The last row is of the list that no image is needed for: the standing of a
  source for the other targets, another order for each.
  """
  priority = ranking.priority(oracle)  # Mean rank, the lower the better.
  standing = [-priority[name] for name in names]
  table: list[list] = [list(HEADER)]
  for name, values in found.items():
    correlation = stats.spearmanr(values, standing)
    matrix = np.tile(values, (len(names), 1))[None]
    table.append(
      [
        *(name, float(correlation.statistic), float(correlation.pvalue)),
        *_means(matrix, names, oracle),
      ]
    )
  static = observing.of_rankings(baselines.other_targets(oracle), names)
  row = 'other_targets', math.nan, math.nan
  return [*table, [*row, *_means(static, names, oracle)]]


def _means(
  matrix: np.ndarray, names: tuple[str, ...], oracle: Oracle
) -> list[float]:
  scored = observing.score(matrix, names, oracle)
  return [float(scored[each].mean()) for each in observing.SCORES]
