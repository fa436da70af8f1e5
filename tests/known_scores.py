"""Scores of every registered measure, with every option, as they are known.

  python -m tests.known_scores

writes those of this version to tests/data/known_scores.json, once a change is
meant to change one. That they are right, tests against released code and
definitions say; these say that what was published does not change unnoticed.
"""

from collections.abc import Callable, Mapping
import contextlib
import json
import pathlib
from typing import Any

from absl.testing import absltest
import numpy as np

import toolkit_basics.cli as cli
from tests import measures_testing
from toolkit_basics import files
from transferability import label_free, measures, similarity, source_data

FLAGS = cli.Flags()
PATH = pathlib.Path(__file__).parent / 'data' / 'known_scores.json'
# What else options may be; True is False and a number its half besides.
_CHOICES: Mapping[tuple[str, str], tuple[Any, ...]] = {
  ('etran', 'term'): ('energy',),
  ('gbc', 'covariance'): ('diagonal',),
  ('gbc', 'num_components'): (3,),
  ('h_score', 'tolerance'): (0.1,),
  ('h_score', 'ridge'): (0.3,),
  ('knn', 'num_neighbours'): (3,),
  ('lfc', 'norm'): ('spectral',),
  ('logme', 'form'): ('marginal', 'released', 'icml', 'tllib'),
  ('nce', 'smoothing'): (0.5,),
  ('ncti', 'term'): ('seli', 'vc'),
  ('nleep', 'components_per_class'): (2,),
  ('pactran', 'form'): ('dirichlet', 'gamma'),
  ('parc', 'num_components'): (4,),
  ('parc', 'label_distances'): ('released',),
  ('ped', 'measure'): ('logme',),
  ('ridge_probe', 'hidden'): (0,),
  ('transrate', 'form'): ('listing', 'experiments', 'projected', 'slides'),
  ('random_alignment', 'batch'): (10,),
  ('rankme', 'form'): ('reptrix',),
  ('transac', 'taylor'): (5,),
  ('domain_similarity', 'min_images'): (10,),
  ('domain_similarity', 'result'): ('emd',),
  ('f_otce', 'num_samples'): (20,),
  ('f_otce', 'num_draws'): (2,),
  ('f_otce', 'regularisation'): (0.1,),
  ('jc_otce', 'label_cost'): ('gauss',),
  ('multi_source_weights', 'embedding'): ('raw',),
  ('multi_source_weights', 'complexity'): ('common',),
  ('otce', 'term'): ('wasserstein',),
  ('transfer_measure', 'form'): ('symmetric', 'realizable'),
  ('transfer_measure', 'excess'): ('paper',),
  ('attribution_span', 'softness'): (0.1,),
  ('cka', 'kernel'): ('rbf',),
  ('cka_debiased', 'kernel'): ('rbf',),
  ('dds', 'kernel'): ('linear', 'rbf', 'pearson', 'euclidean', 'cosine'),
  ('dds', 'normalisation'): ('none', 'centring'),
  ('decodability', 'neighbourhood'): (1,),
  ('decodability', 'channels'): (2,),
  ('decodability', 'num_images'): (20,),
  ('decodability', 'hidden'): (16,),
  ('svcca', 'kept'): (0.6,),
  ('svcca', 'keep'): ('singular_values',),
}


def found(family: str) -> dict[str, float | None]:
  """Returns scores by name, option and features; None of what is refused.

  Args:
    family: 'measures', 'label_free', 'similarity' or 'source_data'.
  """
  library, score = _FAMILIES[family]
  result: dict[str, float | None] = {}
  for name in library.names():
    for change in ({}, *_changes(library, name)):
      told = ''.join(f' {option}={value}' for option, value in change.items())
      result[name + told] = score(name, (48, 7), **change)
    for size in ((24, 24), (20, 30)):
      shape = ' x '.join(map(str, size))
      with contextlib.suppress(ValueError):
        result[f'{name} of {shape}'] = score(name, size)
        result[f'{name} of {shape}, dependent'] = score(name, size, 3e4)
  return result


def _changes(library: Any, name: str) -> list[dict[str, Any]]:
  """Returns options of a measure, one that is not the default in each."""
  measure = library.info(name)
  defaults = getattr(measure, 'options', None)
  if defaults is None:
    fields = getattr(measure, '__dataclass_fields__', {})
    defaults = {option: field.default for option, field in fields.items()}
  return [
    {option: value}
    for option, default in defaults.items()
    for value in _CHOICES.get((name, option), _others(default))
  ]


def _others(default: Any) -> tuple[Any, ...]:
  match default:
    case bool():
      return (not default,)
    case float():
      return (default / 2,)
  return ()


def _dependent(features: np.ndarray, scale: float | None) -> np.ndarray:
  """Returns features; with a scale, times it, and the last one twice."""
  if scale is None:
    return features
  return scale * np.concatenate([features, features[..., -1:]], axis=-1)


def _of_measures(name, size, scale=None, **options) -> float:
  given = measures_testing.task(*size)
  given['features'] = _dependent(given['features'], scale)
  if name == 'ped':
    options |= {'general_features': 1.3 * given['features'][:15] + 0.1}
  return measures.score(name, **given, **options)


def _label_free(name, size, scale=None, **options) -> float:
  rng = np.random.default_rng(0)
  n, d = (130, 110) if name == 'alpha_req' else size
  features = rng.normal(size=(n, d)) / np.sqrt(1 + np.arange(d)) + 0.3
  given = {
    'features': _dependent(features, scale),
    'source_probs': rng.dirichlet(np.ones(5), n),
    'random_features': [features @ rng.normal(size=(d, 7)) for _ in range(3)],
  }
  return label_free.score(name, **given, **options)


def _similarity(name, size, scale=None, **options) -> float:
  """Returns that of two networks; those of 48 images have layers."""
  rng = np.random.default_rng(0)
  n, d = size
  if d == 7:
    x = rng.normal(size=(n, 2, 4, 4))
    y = np.tanh(x[:, :, ::2] @ rng.normal(size=(4, 6)))
  else:
    x = rng.normal(size=(n, d))
    y = np.tanh(x @ rng.normal(size=(d, d - 3)))
  y += 0.2 * rng.normal(size=y.shape)
  x = _dependent(x, scale)
  probes = rng.normal(size=(2, 6, 12, 40)) * np.linspace(0.1, 2, 40)
  given = {
    'representations': (x, y),
    'probes': tuple(probes),
    'both': tuple(zip((x, y), probes, strict=True)),
  }
  pair = given[similarity.info(name).takes]
  return similarity.score(name, *pair, **options)


def _source_data(name, size, scale=None, **options) -> float:
  n, d = size
  pairs = []
  for seed in (0, 1):
    task = measures_testing.task(n - 6 * seed, d, seed=seed)
    pairs.append((_dependent(task['features'], scale), task['labels']))
  return source_data.score(name, *pairs, **options)


_FAMILIES: Mapping[str, tuple[Any, Callable[..., float]]] = {
  'measures': (measures, _of_measures),
  'label_free': (label_free, _label_free),
  'similarity': (similarity, _similarity),
  'source_data': (source_data, _source_data),
}


class KnownScoresCase(absltest.TestCase):
  """Scores of a registry are what they were; tests say of which."""

  def check(self, family: str) -> None:
    expected, scores = files.read_json(PATH)[family], found(family)
    self.assertCountEqual(scores, expected)
    for name, value in expected.items():
      np.testing.assert_allclose(scores[name], value, 1e-4, err_msg=name)


def main() -> None:
  content = {family: found(family) for family in _FAMILIES}
  files.write_atomically(PATH, (json.dumps(content, indent=1) + '\n').encode())


if __name__ == '__main__':
  cli.run(main, FLAGS)
