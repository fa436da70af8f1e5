"""Measures as their formulas read, to be timed beside the package's.

Each has the name of the measure. No trick is used: matrices are as large as
they are written, and inverted.
"""

import numpy as np
from scipy import linalg, spatial, special, stats


def transrate(features: np.ndarray, labels: np.ndarray) -> float:
  centred = features - features.mean(axis=0)

  def rate(z):
    values = linalg.svdvals(z)
    return 0.5 * np.log1p(values**2 / (len(z) * 1e-4)).sum()

  conditional = sum(
    np.mean(labels == c) * rate(centred[labels == c])
    for c in range(labels.max() + 1)
  )
  return rate(centred) - conditional


def logme(features: np.ndarray, labels: np.ndarray) -> float:
  num_samples, size = features.shape
  left, values, _ = linalg.svd(features, full_matrices=False)
  squares = values**2
  scores = []
  for c in range(labels.max() + 1):
    target = (labels == c).astype(float)
    x = left.T @ target
    outside = target @ target - x @ x
    alpha = beta = 1.0
    for _ in range(11):
      ratio = alpha / beta
      gamma = (squares / (squares + ratio)).sum()
      weights = (squares * x**2 / (ratio + squares) ** 2).sum()
      residual = (x**2 / (1 + squares / ratio) ** 2).sum() + outside
      alpha = gamma / (weights + 1e-5)
      beta = (num_samples - gamma) / (residual + 1e-5)
      if abs(alpha / beta - ratio) / ratio <= 1e-3:
        break
    scores.append(
      size * np.log(alpha)
      + num_samples * np.log(beta / (2 * np.pi))
      - np.log(alpha + beta * squares).sum()
      - beta * residual
      - alpha * weights
    )
  return np.mean(scores) / (2 * num_samples)


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
  means = np.stack(
    [features[labels == c].mean(axis=0) for c in range(labels.max() + 1)]
  )
  within = np.cov(features, rowvar=False)
  between = np.cov(means[labels], rowvar=False)
  return np.trace(linalg.pinvh(within) @ between)


def h_score_shrinkage(features: np.ndarray, labels: np.ndarray) -> float:
  num_samples, size = features.shape
  centred = features - features.mean(axis=0)
  covariance = centred.T @ centred / num_samples
  identity = np.eye(size) * np.trace(covariance) / size
  distance = ((covariance - identity) ** 2).sum() / size
  error = ((centred**2).T @ centred**2).sum() / num_samples
  error = (error - (covariance**2).sum()) / (size * num_samples)
  shrinkage = min(error, distance) / distance
  means = np.stack(
    [centred[labels == c].mean(axis=0) for c in range(labels.max() + 1)]
  )
  shrunk = (1 - shrinkage) * covariance + shrinkage * identity
  between = np.cov(means[labels], rowvar=False)
  return (1 - shrinkage) * np.trace(linalg.inv(shrunk) @ between)


def leep(source_probs: np.ndarray, labels: np.ndarray) -> float:
  joint = np.stack(
    [source_probs[labels == c].sum(axis=0) for c in range(labels.max() + 1)]
  )
  conditional = joint / joint.sum(axis=0)
  predictions = source_probs @ conditional.T
  return np.log(predictions[np.arange(len(labels)), labels]).mean()


def nce(source_probs: np.ndarray, labels: np.ndarray) -> float:
  source = source_probs.argmax(axis=1)
  joint = np.zeros((labels.max() + 1, source_probs.shape[1]))
  for y, z in zip(labels, source, strict=True):
    joint[y, z] += 1 / len(labels)
  marginal = joint.sum(axis=0)
  return (special.xlogy(joint, joint) - special.xlogy(joint, marginal)).sum()


def lfc(features: np.ndarray, labels: np.ndarray) -> float:
  similar = features @ features.T
  same = np.where(labels[:, None] == labels, 1.0, -1.0)
  similar -= similar.mean()
  same -= same.mean()
  norms = np.linalg.norm(similar) * np.linalg.norm(same)
  return (similar * same).sum() / norms


def gbc(features: np.ndarray, labels: np.ndarray) -> float:
  classes = [features[labels == c] for c in range(labels.max() + 1)]
  means = [x.mean(axis=0) for x in classes]
  variances = [np.maximum(x.var(axis=0), 1e-4).mean() for x in classes]
  total = 0.0
  for c, v in enumerate(variances):
    for other, w in enumerate(variances):
      if c != other:
        middle = (v + w) / 2
        apart = ((means[c] - means[other]) ** 2).sum() / middle / 8
        total += np.exp(-apart - np.log(middle / np.sqrt(v * w)) / 2)
  return -total


def parc(features: np.ndarray, labels: np.ndarray) -> float:
  rows = (features - features.mean(axis=0)) / features.std(axis=0)
  upper = np.triu_indices(len(rows), 1)
  distances = 1 - np.corrcoef(rows)[upper]
  apart = (labels[:, None] != labels)[upper]
  return 100 * stats.spearmanr(distances, apart)[0]


def sfda(features: np.ndarray, labels: np.ndarray) -> float:
  def fit(x, shrinkage):
    means = np.stack([x[labels == c].mean(axis=0) for c in classes])
    within = sum(
      share * np.cov(x[labels == c], rowvar=False, bias=True)
      for c, share in zip(classes, shares, strict=True)
    )
    if shrinkage is None:
      right = within.sum(axis=0)
      for _ in range(3):
        left = within @ right / np.linalg.norm(within @ right)
        right = within @ left / np.linalg.norm(within @ left)
      shrinkage = max(np.exp(-5 * (right @ within @ left)), 1e-10)
    size = len(within)
    identity = np.eye(size) * np.trace(within) / size
    inverse = linalg.inv((1 - shrinkage) * within + shrinkage * identity)
    weights = inverse @ means.T
    bias = np.log(shares) - 0.5 * np.diag(means @ weights)
    return special.softmax(x @ weights + bias, axis=1), shrinkage, means

  classes = range(labels.max() + 1)
  shares = np.bincount(labels) / len(labels)
  rows = np.arange(len(labels))
  posteriors, shrinkage, means = fit(features, None)
  sure = special.softmax(posteriors, axis=1)[rows, labels][:, None]
  others = (means.sum(axis=0) - means) / (len(means) - 1)
  mixed = sure * features + (1 - sure) * others[labels]
  return fit(mixed, shrinkage)[0][rows, labels].mean()


def etran(features: np.ndarray, labels: np.ndarray) -> float:
  shares = np.bincount(labels) / len(labels)
  means = np.stack(
    [features[labels == c].mean(axis=0) for c in range(len(shares))]
  )
  scores = features @ means.T - (means**2).sum(axis=1) / 2 + np.log(shares)
  return special.softmax(scores, axis=1)[np.arange(len(labels)), labels].mean()


def knn(features: np.ndarray, labels: np.ndarray) -> float:
  distances = spatial.distance.cdist(features, features)
  np.fill_diagonal(distances, np.inf)
  return np.mean(labels[distances.argmin(axis=1)] == labels)
