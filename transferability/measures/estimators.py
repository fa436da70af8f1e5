"""The estimators that are scikit-learn's, imported when they are needed."""

import warnings

import numpy as np


def mixture_posteriors(
  values: np.ndarray, num_clusters: int, seed: int
) -> np.ndarray:
  """Returns posteriors [n, K] of [n, q] in a mixture of K full Gaussians.

  `seed` is that of its initialisation.
  """
  try:
    from sklearn import exceptions, mixture
  except ImportError as error:
    raise _missing('A Gaussian mixture') from error
  model = mixture.GaussianMixture(num_clusters, random_state=seed)
  with warnings.catch_warnings():
    # That EM ends after 100 rounds is part of N-LEEP's definition, and of n
    # samples fewer than K may be distinct.
    warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
    try:
      return model.fit(values).predict_proba(values)
    except ValueError as error:
      raise ValueError(
        f'The covariance of one of {num_clusters} clusters of {len(values)} '
        'samples is singular: scale the features down, or use fewer clusters.'
      ) from error


def randomised_pca(values: np.ndarray, count: int) -> np.ndarray:
  """Returns scores [n, count] of PCA by one power iteration of fixed seed."""
  try:
    from sklearn import decomposition
  except ImportError as error:
    raise _missing('Randomised PCA') from error
  model = decomposition.PCA(
    count, svd_solver='randomized', iterated_power=1, random_state=1919
  )
  return model.fit_transform(values)


def _missing(what: str) -> ImportError:
  return ImportError(
    f'{what} needs scikit-learn, which is not installed: '
    "pip install 'attribution-transfer[measures]'."
  )
