"""Similarities as their formulas read, to be timed beside the package's.

Each has the name of the measure, takes two representations and computes
everything anew.
"""

import numpy as np
from scipy import stats
from scipy.spatial import distance


def _orthonormal(x: np.ndarray, kept: float | None) -> np.ndarray:
  left, values, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
  if kept is None:
    return left[:, values > max(x.shape) * 2.3e-16 * values[0]]
  shares = np.cumsum(values**2) / np.sum(values**2)
  return left[:, : 1 + int(np.sum(shares < kept))]


def svcca(x: np.ndarray, y: np.ndarray) -> float:
  bases = [_orthonormal(v, 0.99) for v in (x, y)]
  return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).mean()


def pwcca(x: np.ndarray, y: np.ndarray) -> float:
  a, b = (_orthonormal(v, None) for v in (x, y))
  if a.shape[1] > b.shape[1]:
    x, a, b = y, b, a
  left, rho, _ = np.linalg.svd(a.T @ b, full_matrices=False)
  weights = np.abs((a @ left).T @ (x - x.mean(axis=0))).sum(axis=1)
  return weights @ rho / weights.sum()


def _centring(n: int) -> np.ndarray:
  return np.eye(n) - 1 / n


def cka(x: np.ndarray, y: np.ndarray) -> float:
  h = _centring(len(x))
  k, m = (h @ v @ v.T @ h for v in (x, y))
  return np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))


def _debiased(k: np.ndarray, m: np.ndarray) -> float:
  def hsic(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    n = len(a)
    sums = a.sum() * b.sum() / ((n - 1) * (n - 2))
    return np.sum(a * b) + sums - 2 / (n - 2) * (a.sum(0) @ b.sum(0))

  return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def cka_debiased(x: np.ndarray, y: np.ndarray) -> float:
  h = _centring(len(x))
  return _debiased(*(h @ v @ v.T @ h for v in (x, y)))


def dds(x: np.ndarray, y: np.ndarray) -> float:
  kernels = []
  for v in (x, y):
    deviation = v.std(axis=0)
    scaled = (v - v.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    far = distance.cdist(scaled, scaled, 'cityblock')
    kernels.append(np.exp(-far / v.shape[1]))
  return _debiased(*kernels)


def rsa(x: np.ndarray, y: np.ndarray) -> float:
  lower = np.tril_indices(len(x), -1)
  rdms = [1 - np.corrcoef(v - v.mean(axis=0))[lower] for v in (x, y)]
  return stats.spearmanr(*rdms).statistic


def depara_edge(x: np.ndarray, y: np.ndarray) -> float:
  edges = [distance.pdist(v - v.mean(axis=0), 'cosine') for v in (x, y)]
  return stats.spearmanr(*edges).statistic
