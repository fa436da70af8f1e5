"""What candidates were trained on, beside the labels of the target.

Of networks of a mini bank that is known: procedural scenes with the labels of
their tasks. F-OTCE tells how surely a source's classes give away the target's,
by the candidate's own features of both; it is shown beside what ranks.
"""

from collections.abc import Mapping
import contextlib
import dataclasses

import numpy as np

from experiments.recommending.looks import LookedAt
from experiments.selection.source_samples import SourceSamples
from transferability import source_data
from transferability.recommendation import labels as labels_lib
from transferability.recommendation import scores
from transferability.recommendation.decision import CandidateEvidence
from transferability.recommendation.labels import TargetLabels

MEASURE = 'f_otce'
_MOST_FEATURES = 512  # Of an image.
_MOST = 200  # Samples of either side that a transport plan moves.


def classes_of(labels: TargetLabels | None) -> np.ndarray | None:
  """Returns a class for each image, [n]; None if labels have no such thing."""
  if labels is None or labels.are_dense:
    return None
  if labels.are_classes:
    return labels.values
  if labels.values.shape[1] > 1:
    return None
  return labels_lib.quantised(labels.values[:, 0])


def add(
  found: CandidateEvidence,
  looked: Mapping[str, LookedAt],
  classes: np.ndarray,
  samples: SourceSamples,
  of_source: Mapping[str, np.ndarray],
) -> CandidateEvidence:
  """Returns the evidence with a score by the data of each source.

  Args:
    found: Of the candidates.
    looked: At them.
    classes: Of the target's images, integers [n].
    samples: What the candidates were trained on.
    of_source: Their features of its images, [m, h, w, c].
  """
  values = np.full(len(found.names), np.nan)
  for i, name in enumerate(found.names):
    source, target = (
      scores.coarser(features, _MOST_FEATURES).reshape(len(features), -1)
      for features in (of_source[name], looked[name].features)
    )
    pair = (source, samples.labels[name]), (target, classes)
    # A candidate without it, as of dead features, keeps its other scores.
    with contextlib.suppress(ValueError):
      values[i] = source_data.score(MEASURE, *pair, num_samples=_MOST)
  situation = dataclasses.replace(
    found.situation, measures=(*found.situation.measures, MEASURE)
  )
  return dataclasses.replace(
    found, situation=situation, scores={**found.scores, MEASURE: values}
  )
