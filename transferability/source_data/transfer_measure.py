"""The transfer measure: how much worse a near-optimal head can be elsewhere.

The paper's algorithm follows one start by Adam, and finds a loose lower bound
of a supremum (0.57 where 2.01 is reached). Here a projected gradient climbs
from the head, from the points on the sphere where each class's loss rises most,
and from random ones.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from transferability import deviations
from transferability.measures import samples
from transferability.source_data import data, linear_heads
from transferability.source_data.registry import register

FORMS = ('one_sided', 'symmetric', 'realizable')
EXCESSES = ('constrained', 'paper')
_LOOKS = 15  # Rounds after which starts are compared.
_ROUNDS = 1000  # Of a start that is followed to its end.
_EXPECTED = 60  # Rounds that this usually takes.


@dataclasses.dataclass(frozen=True)
class TransferGap:
  """What heads near the source's can do to a target, and the other way."""

  sup_target_minus_source: float  # Largest difference of cross-entropies.
  sup_source_minus_target: float
  least_source: float  # Least cross-entropies in the ball, or their stand-ins.
  least_target: float
  # Accuracies at the head of the first supremum: the figure of the paper.
  accuracy_source: float
  accuracy_target: float

  @property
  def one_sided(self) -> float:
    """sup of target's less source's excess loss, 0 or more."""
    return self.sup_target_minus_source - self.least_target + self.least_source

  @property
  def symmetric(self) -> float:
    """The larger of both directions."""
    reverse = self.sup_source_minus_target - self.least_source
    return max(self.one_sided, reverse + self.least_target)

  @property
  def realizable(self) -> float:
    """sup of the absolute difference of losses."""
    return max(self.sup_target_minus_source, self.sup_source_minus_target)


@register(
  'transfer_measure',
  cost='O(starts rounds k min(k, d) C) for k = min(n, num_samples)',
  reference='Zhang et al., NeurIPS 2021, arXiv 2106.03632',
  higher_is_better=False,
  shared_labels=True,
  invariances=('scale', 'shift'),
)
def transfer_measure(
  source_features: ArrayLike,
  source_labels: ArrayLike,
  target_features: ArrayLike,
  target_labels: ArrayLike,
  *,
  form: str = 'one_sided',
  head: ArrayLike | None = None,
  delta: float = 2.0,
  l2: float = 1e-2,
  excess: str = 'constrained',
  num_samples: int | None = 400,
  num_starts: int = 20,
  budget: float = 6e10,
  seed: int = 0,
) -> float:
  """Returns the transfer measure (Zhang et al., NeurIPS 2021); lower is better.

  T(S||T) = sup over heads h of [e_T(h) - e_T* - (e_S(h) - e_S*)] (equation 2),
  0 or more: e are mean cross-entropies, e* their infima; heads are those whose
  weights and biases lie within a distance delta of the source's own.

  Args:
    source_features: [n, d].
    source_labels: [n], in the target's label space: equal numbers are equal
      classes. A class that one side lacks is no fault.
    target_features: [m, d] by the same network.
    target_labels: [m].
    form: `one_sided`; `symmetric`, the larger of both directions;
      `realizable`, sup |e_T(h) - e_S(h)|.
    head: [C, d + 1], weights and then the bias of each of the classes 0..C-1,
      for features as they are. By default softmax regression on the source's
      features, standardised by its moments, and by the target's deviation where
      the source has none (this library's choice).
    delta: Radius of the ball, in the unit of heads; the released code's 2.
    l2: Above 0; l2 / 2 |head|^2 is added to the loss of the default head.
    excess: `constrained`: e* are the least losses in the ball; `paper`: 0 for
      the target, and for the source its loss at its head.
    num_samples: Drawn of each side, at most; None takes all.
    num_starts: Random ones, and of classes at most so many.
    budget: Of multiply-adds, for starts after their first 15 rounds: as many
      are followed to the end, the best first (of small problems all are).
    seed: Of the draw and the starts.
  """
  samples.check_option('form', form, FORMS)
  found = measure_gap(
    (source_features, source_labels),
    (target_features, target_labels),
    head=head,
    delta=delta,
    l2=l2,
    excess=excess,
    num_samples=num_samples,
    num_starts=num_starts,
    budget=budget,
    seed=seed,
  )
  return float(getattr(found, form))


def measure_gap(
  source: tuple[ArrayLike, ArrayLike],
  target: tuple[ArrayLike, ArrayLike],
  *,
  head: ArrayLike | None = None,
  delta: float = 2.0,
  l2: float = 1e-2,
  excess: str = 'constrained',
  num_samples: int | None = 400,
  num_starts: int = 20,
  budget: float = 6e10,
  seed: int = 0,
) -> TransferGap:
  """Returns all that `transfer_measure` finds; its arguments and errors."""
  samples.check_option('excess', excess, EXCESSES)
  if not 0 <= delta < np.inf or num_starts < 0:
    raise ValueError(
      f'delta={delta} and num_starts={num_starts} must be 0 or more.'
    )
  if not 0 < l2 < np.inf:
    raise ValueError(f'l2={l2}; give a number above 0.')
  domains = data.check(*source, *target)
  losses, centre = _prepared(*data.draw(*domains, num_samples, seed), head, l2)
  search = _Search(centre, delta, num_starts, budget, seed)
  highest, at = search.climb(losses[1], losses[0])
  reverse, _ = search.climb(losses[0], losses[1])
  if excess == 'paper':
    least = [float(losses[0](centre[None])[0][0]), 0.0]
  else:
    least = [search.least(loss) for loss in losses]
  accuracies = [loss.accuracy(at) for loss in losses]
  return TransferGap(highest, reverse, *least, *accuracies)


@dataclasses.dataclass(frozen=True)
class _Search:
  """For optima in the ball around a flat head."""

  centre: np.ndarray
  delta: float
  num_starts: int
  budget: float
  seed: int

  def climb(
    self, up: linear_heads.CrossEntropy, down: linear_heads.CrossEntropy
  ) -> tuple[float, np.ndarray]:
    """Returns the largest up - down that is found, and where."""

    def objective(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
      (first, rises), (second, falls) = up(heads), down(heads)
      return second - first, falls - rises

    starts = self._starts(up)
    ball = self.centre, self.delta
    points, values = linear_heads.minimise_in_ball(
      objective, starts, *ball, rounds=_LOOKS
    )
    each = 2 * starts.shape[1] * (len(up.inputs) + len(down.inputs)) * _EXPECTED
    number = max(1, min(len(starts), int(self.budget // each)))
    order = np.argsort(values, kind='stable')[:number]
    points, values = linear_heads.minimise_in_ball(
      objective, points[order], *ball, rounds=_ROUNDS
    )
    best = int(np.argmin(values))
    return float(-values[best]), points[best]

  def _starts(self, up: linear_heads.CrossEntropy) -> np.ndarray:
    """Returns the head, points where classes are lost, and random ones."""
    counts = np.bincount(up.labels)
    classes = np.argsort(-counts, kind='stable')[: self.num_starts]
    starts = [self.centre]
    for label in classes[counts[classes] > 0]:
      rows = up.labels == label
      part = dataclasses.replace(
        up, inputs=up.inputs[rows], labels=up.labels[rows]
      )
      slope = part(self.centre[None])[1][0]
      norm = np.linalg.norm(slope)
      starts.append(self.centre + self.delta * slope / (norm or 1.0))
    drawn = linear_heads.sphere(
      self.centre, self.delta, self.num_starts, self.seed
    )
    return np.concatenate([starts, drawn])

  def least(self, loss: linear_heads.CrossEntropy) -> float:
    """Returns the least loss in the ball: a convex problem."""
    _, values = linear_heads.minimise_in_ball(
      loss, self.centre[None], self.centre, self.delta, rounds=_ROUNDS
    )
    return float(values[0])


def _prepared(
  source: data.Domain, target: data.Domain, head: ArrayLike | None, l2: float
) -> tuple[list[linear_heads.CrossEntropy], np.ndarray]:
  """Returns the losses of source and target, and the flat head."""
  if head is None:
    source, target = data.share_classes(source, target)
    centre = source.features.mean(axis=0)
    scale = deviations.of(source.features, axis=0)
    # What the source never shows has the target's unit.
    others = deviations.unit(target.features, axis=0)
    scale = np.where(scale > 0, scale, others)
    features = [(each.features - centre) / scale for each in (source, target)]
    labels, number = [source.labels, target.labels], len(source.classes)
    heads = None
  else:
    heads = _checked(head, source, target)
    features = [source.features, target.features]
    labels = [each.classes[each.labels] for each in (source, target)]
    number = len(heads)
  inputs = [np.column_stack([x, np.ones(len(x))]) for x in features]
  basis = _basis(np.concatenate(inputs))
  if basis is not None:
    # Losses see a head in the span of the samples only. What it has outside
    # is left as it is: the ball in the span has the same radius.
    inputs = [x @ basis for x in inputs]
    heads = None if heads is None else heads @ basis
  losses = [
    linear_heads.CrossEntropy(x, y, number)
    for x, y in zip(inputs, labels, strict=True)
  ]
  flat = linear_heads.fit(losses[0], l2) if heads is None else heads.ravel()
  return losses, flat


def _basis(inputs: np.ndarray) -> np.ndarray | None:
  """Returns an orthonormal basis of the rows' span, or None if it is all."""
  if len(inputs) >= inputs.shape[1]:
    return None
  return linalg.qr(inputs.T, mode='economic', check_finite=False)[0]


def _checked(
  head: ArrayLike, source: data.Domain, target: data.Domain
) -> np.ndarray:
  head = np.asarray(head, np.float64)
  width = source.features.shape[1] + 1
  if head.ndim != 2 or head.shape[1] != width or not np.isfinite(head).all():
    raise ValueError(
      f'The head has shape {head.shape}; give finite numbers, classes times '
      f'{width}: a weight for each feature, and a bias.'
    )
  for name, domain in (('source', source), ('target', target)):
    if domain.classes[0] < 0 or domain.classes[-1] >= len(head):
      raise ValueError(
        f'{name} labels are {domain.classes[0]} to {domain.classes[-1]}; the '
        f'head has the classes 0 to {len(head) - 1}.'
      )
  return head
