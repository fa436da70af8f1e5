"""Target tasks for tests of transferability measures."""

from typing import Any

import numpy as np

from transferability import measures


def task(
  num_samples: int = 60,
  size: int = 9,
  num_classes: int = 4,
  seed: int = 0,
  spread: float = 1.0,
) -> dict[str, np.ndarray]:
  """Returns what measures are given, of classes of slightly unequal sizes.

  With few samples that is one of a class at least.
  """
  rng = np.random.default_rng(seed)
  labels = rng.integers(num_classes, size=num_samples)
  labels[:num_classes] = np.arange(num_classes)
  labels = rng.permutation(labels)
  means = rng.normal(size=(num_classes, size))
  features = means[labels] + spread * rng.normal(size=(num_samples, size))
  logits = rng.normal(size=(num_samples, num_classes + 2))
  logits[np.arange(num_samples), labels] += 2
  probs = np.exp(logits)
  return {
    'features': features,
    'labels': labels,
    'source_probs': probs / probs.sum(axis=1, keepdims=True),
  }


def rotation(size: int, seed: int = 0) -> np.ndarray:
  """Returns a random orthogonal matrix."""
  values = np.random.default_rng(seed).normal(size=(size, size))
  return np.linalg.qr(values)[0]


def entropy(labels: np.ndarray) -> float:
  """Returns that of the shares of classes, in nats."""
  shares = np.bincount(labels) / len(labels)
  return -(shares * np.log(shares)).sum()


def with_features(
  inputs: dict[str, Any], features: np.ndarray
) -> dict[str, Any]:
  """Returns what measures are given, with other features."""
  return {**inputs, 'features': features}


def score(name: str, inputs: dict[str, Any], **options: Any) -> float:
  return measures.score(name, **inputs, **options)
