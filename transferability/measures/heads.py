"""Linear heads: softmax regression with a penalty, by L-BFGS."""

import numpy as np
from scipy import optimize, special


def fit(
  features: np.ndarray, labels: np.ndarray, penalty: float, **options: float
) -> tuple[float, np.ndarray, np.ndarray]:
  """Minimises mean cross-entropy + penalty / 2 |W|^2 of softmax(x W + b).

  Args:
    features: x, [n, d].
    labels: Integers [n] in 0..C-1.
    penalty: Of the weights, not of the biases.
    **options: Of the optimiser, such as the largest number of rounds.

  Returns:
    The least loss, W [d, C], and the posteriors [n, C] there.
  """
  (number, size), num_classes = features.shape, int(labels.max()) + 1
  rows = np.arange(number)

  def logits(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    head = flat.reshape(size + 1, num_classes)
    return head, special.log_softmax(features @ head[:-1] + head[-1], axis=1)

  def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
    head, logs = logits(flat)
    loss = penalty / 2 * (head[:-1] ** 2).sum() - logs[rows, labels].mean()
    errors = np.exp(logs)
    errors[rows, labels] -= 1
    gradient = np.vstack([features.T @ errors, errors.sum(axis=0)]) / number
    gradient[:-1] += penalty * head[:-1]
    return float(loss), gradient.ravel()

  result = optimize.minimize(
    objective,
    np.zeros((size + 1) * num_classes),
    method='L-BFGS-B',
    jac=True,
    options=options,
  )
  head, logs = logits(result.x)
  return float(result.fun), head[:-1], np.exp(logs)
