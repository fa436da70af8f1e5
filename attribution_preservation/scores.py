"""How well a network predicts, and whether its maps lie on the objects.

NumPy in, numbers out: nothing here knows networks. A sample is an image and a
class that is in its mask.
"""

import numpy as np
from scipy import stats


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
  """Returns the area under precision over recall, a step for each threshold.

  Args:
    labels: bool [n].
    scores: [n]; equal scores share a threshold.

  Returns:
    In (0, 1]; NaN if nothing is positive.
  """
  labels = np.asarray(labels, bool)
  if not labels.any():
    return np.nan
  order = np.argsort(-scores, kind='stable')
  hits = np.cumsum(labels[order])
  ends = np.append(np.diff(scores[order]) != 0, True)
  hits, found = hits[ends], np.flatnonzero(ends) + 1
  gained = np.diff(hits, prepend=0) / hits[-1]
  return float(np.sum(gained * hits / found))


def mean_average_precision(
  labels: np.ndarray, scores: np.ndarray, axis: int = 0
) -> float:
  """Returns the mean average precision.

  Args:
    labels: 0 or 1, [images, classes].
    scores: Such as logits, of that shape.
    axis: 0 ranks the images of each class, and is what others call mAP; 1
      ranks the classes of each image, as the released code does. What has no
      positive is left out.
  """
  columns = zip(
    np.moveaxis(labels, axis, -1), np.moveaxis(scores, axis, -1), strict=True
  )
  return float(np.nanmean([average_precision(*each) for each in columns]))


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
  """Returns the share of labels, 0 or 1, on the right side of logit 0."""
  return float(np.mean((logits > 0) == (labels > 0.5)))


def localisation_auc(heat: np.ndarray, mask: np.ndarray) -> float:
  """Returns the area under the ROC curve of a map's values as a mask.

  The curve has a point for each distinct value, joined by straight lines: the
  chance that a pixel of the object is higher than one of the background, where
  a tie counts one half.

  Args:
    heat: [H, W].
    mask: bool [H, W]; NaN is returned if it is nowhere or everywhere true.
  """
  inside = np.asarray(mask, bool).ravel()
  positive = int(inside.sum())
  negative = inside.size - positive
  if not positive or not negative:
    return np.nan
  ranks = stats.rankdata(np.ravel(heat))[inside].sum()
  least = positive * (positive + 1) / 2
  return float((ranks - least) / (positive * negative))


def points_inside(heat: np.ndarray, mask: np.ndarray) -> bool:
  """Returns whether the first maximum, row by row, lies in the mask."""
  return bool(np.ravel(mask)[np.argmax(heat)])


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the cosine of each pair of maps [n, ...], float64 [n].

  NaN where a map is zero everywhere.
  """
  a, b = (
    np.reshape(m, (len(m), -1)).astype(np.float64) for m in (first, second)
  )
  norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
  with np.errstate(invalid='ignore', divide='ignore'):
    return np.where(norms > 0, np.sum(a * b, axis=1) / norms, np.nan)


def relative_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
  """Returns |after - before| of logits, over the mean magnitude before.

  Over each logit's own magnitude, a few that are nearly 0 would decide.

  Args:
    before: [samples].
    after: [samples].
  """
  return np.abs(after - before) / max(float(np.mean(np.abs(before))), 1e-6)
