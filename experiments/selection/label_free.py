"""The label-free family as scores of sources for a target.

They need a network that was trained on the target, and no label: the score of
a source is its affinity, or its similarity, to that network on unlabelled
images.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import math
import os
import pathlib
import time
from typing import Any

from absl import logging
import numpy as np

from attribution.probes import Probes
from experiments import pipeline, similarities
from experiments.selection.features import described
from frozen_graphs import narrowing
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from toolkit_basics import files, memo
from transferability import similarity
from transferability.recommendation.labels import of_predictions
from transferability.recommendation.scores import ByLabels

_FEATURES = similarity.names('representations')
_PROBE = 'ridge_probe'
_PREDICTION = 'prediction'  # As a measure.


@dataclasses.dataclass(frozen=True)
class Near:
  """Scores of a family that is compared beside the label-based measures.

  Attributes:
    measures: Their names.
    scores: By case, measure and candidate; larger is nearer.
    seconds: By measure, and what they were for.
    family: As tables call it.
  """

  measures: tuple[str, ...]
  scores: Mapping[str, Mapping[str, Mapping[str, float]]]
  seconds: Mapping[str, tuple[str, float]]
  family: str = 'no labels'


def compute(
  bank: Bank,
  images: np.ndarray,
  output: str | os.PathLike,
  targets: Mapping[str, tuple[str, Sequence[str]]],
  *,
  methods: Sequence[str],
  batch_size: int,
  device: str | None,
  precision: str = narrowing.SINGLE,
  track: Callable[..., Iterable],
) -> Near:
  """Returns attribution affinities and similarities to the targets' networks.

  Measures that are not defined for them are left out, with a warning.

  What the folder holds of the same images is not computed again. The seconds
  are: of a similarity those of all pairs, of an attribution method its share of
  the maps of all networks.

  Args:
    bank: The networks.
    images: uint8 [M, S, S, 3]; no labels are asked for.
    output: Gets `model_space/`, `representations/` and `label_free/`.
    targets: By case, the target's network and the candidates.
    methods: Attribution methods.
    batch_size: Images explained at once.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    precision: Of the products in networks, see `narrowing.narrow`.
    track: Shows progress.
  """
  projection = pipeline.Projection(
    pipeline.method_objects(methods),
    batch_size=batch_size,
    device=device,
    precision=precision,
    keep_representations=True,
    on_bad_map='drop_image',
    probes=Probes(),
  )
  key = {
    'encoders': [described(e, bank.network(e.name)) for e in bank.encoders],
    'names': bank.names,
    'images': memo.digest(images),
    'methods': methods,
    'similarities': similarities.names(),
    'probes': dataclasses.asdict(Probes()),
    'batch_size': batch_size,
  }
  if precision != narrowing.SINGLE:
    key['precision'] = precision
  found = memo.Memo(pathlib.Path(output) / 'label_free').recall(
    'matrices',
    key,
    lambda: _computed(bank, images, output, projection, track),
  )
  return of_matrices(bank.names, found['values'], found['seconds'], targets)


def of_matrices(
  names: Sequence[str],
  matrices: Mapping[str, Sequence[Sequence[float]]],
  seconds: Mapping[str, float],
  targets: Mapping[str, tuple[str, Sequence[str]]],
) -> Near:
  """Returns the rows of the targets' networks.

  Args:
    names: Of the networks, in the order of the matrices.
    matrices: By measure, what the networks have in common.
    seconds: By measure.
    targets: By case, the target's network and the candidates.
  """
  scores = {}
  for case, (network, candidates) in targets.items():
    row = names.index(network)
    scores[case] = {
      measure: {c: float(matrix[row][names.index(c)]) for c in candidates}
      for measure, matrix in matrices.items()
    }
  shown = {
    name: ('all pairs of networks, once for all targets', value)
    for name, value in seconds.items()
  }
  return Near(tuple(matrices), scores, shown)


def _computed(
  bank: Bank,
  images: np.ndarray,
  output: str | os.PathLike,
  projection: pipeline.Projection,
  track: Callable[..., Iterable],
) -> dict[str, Any]:
  """Returns values and seconds of `Matrices`, as JSON."""
  ids = tuple(f'image {i}' for i in range(len(images)))
  digests = tuple(files.sha256(image.tobytes()) for image in images)
  probe = ProbeSet('target images', images, ids, digests)
  methods = [method.name for method in projection.methods]
  clock = _Clock()
  chosen = [
    name
    for name in similarities.names()
    if name != similarities.DEPARA or similarities.NODES in methods
  ]
  spaces = pipeline.project(bank, probe, projection, output, track, clock)
  values, seconds = {}, {}
  for name in methods:
    started = time.perf_counter()
    values[name] = spaces[name].affinity(bank.names)
    seconds[name] = clock.per_image * len(images) * len(bank.names)
    seconds[name] /= len(methods)
    seconds[name] += time.perf_counter() - started
  represented = similarities.load(output, bank.names, spaces)
  for name in track(chosen, description='Similarities'):
    started = time.perf_counter()
    with _left_out(name):
      values.update(similarities.matrices([name], represented, spaces))
      seconds[name] = time.perf_counter() - started
  values = {name: matrix.tolist() for name, matrix in values.items()}
  return {'values': values, 'seconds': seconds}


def of_features(
  targets: Mapping[str, tuple[str, Sequence[str]]],
  features: Mapping[str, np.ndarray],
) -> Near:
  """Returns similarities of features to those of the targets' networks.

  Those that are not defined for a case are left out of it, with a warning.

  Args:
    targets: By case, the name of the target's features and the candidates.
    features: By name, [M, h, w, c] of the same unlabelled images; where all of
      the targets' networks have heads, with what these predict, too.
  """
  scores, seconds = {}, dict.fromkeys(_FEATURES, 0.0)
  for case, (network, candidates) in targets.items():
    scores[case] = {}
    for name in _FEATURES:
      started = time.perf_counter()
      with _left_out(f'{name} for {case}'):
        scores[case][name] = {
          candidate: similarity.score(
            name, features[network], features[candidate]
          )
          for candidate in candidates
        }
      seconds[name] += time.perf_counter() - started
  measures = _FEATURES
  predicted = {
    case: (features[prediction_of(network)], candidates)
    for case, (network, candidates) in targets.items()
    if prediction_of(network) in features
  }
  if predicted.keys() == targets.keys():
    measures, started = (*_FEATURES, _PREDICTION), time.perf_counter()
    for case, (values, candidates) in predicted.items():
      with _left_out(f'{_PREDICTION} for {case}'):
        scores[case][_PREDICTION] = _predicting(values, candidates, features)
    seconds[_PREDICTION] = time.perf_counter() - started
  shown = {
    name: ('all candidates of a target, features given', value / len(targets))
    for name, value in seconds.items()
  }
  return Near(measures, scores, shown)


@contextlib.contextmanager
def _left_out(what: str) -> Iterator[None]:
  """Goes on without what is not defined, and says so.

  As RSA of a network of one feature: the other measures are not lost for it.
  """
  try:
    yield
  except ValueError as error:
    logging.warning('%s is left out: %s', what, error)


def prediction_of(network: str) -> str:
  """Returns what the predictions of a network are called among features."""
  return f'{network}.prediction'


def _predicting(
  predictions: np.ndarray,
  candidates: Sequence[str],
  features: Mapping[str, np.ndarray],
) -> dict[str, float]:
  """Returns how well a ridge probe of each candidate predicts predictions.

  Args:
    predictions: Of the target's network, [M, h, w, t].
    candidates: Their names.
    features: By name, [M, h, w, c].
  """
  scorer = ByLabels(of_predictions(predictions))
  rows = np.arange(len(predictions))
  return {
    name: scorer.score(_PROBE, scorer.prepare(features[name]), rows)
    for name in candidates
  }


class _Clock(pipeline.Observer):
  """Times the maps; of a resumed run, those that are computed now."""

  def __init__(self):
    self._seconds, self._images = 0.0, 0

  def finished(self, encoder, images, seconds, ruled) -> None:
    del encoder, ruled
    self._seconds += seconds
    self._images += images

  @property
  def per_image(self) -> float:
    """Seconds of one image and network; NaN if none was explained now."""
    return self._seconds / self._images if self._images else math.nan
