"""Attribution methods: from gradients to maps.

All methods explain the mean over all units of the representation. The mean
over units of `gradient * input` (or of relevance) over each unit is the same
thing, because both are linear in the gradient; for saliency it is not, see
there.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import numbers
import types

import numpy as np
import tensorflow as tf

from attribution import products
from attribution.overrides import Rule
from toolkit_basics.registry import Registry


@dataclasses.dataclass(frozen=True)
class AttributionMethod:
  """How a map is computed from gradients; its fields are its options."""

  name = ''  # Set when the method is registered.
  # Whether maps are made from the gradient of each unit, and then averaged.
  per_unit = False
  # Whether maps are linear in the gradient at the input itself.
  is_linear = True
  # How relevance passes products; see `attribution.products`.
  products = products.RULES[0]
  # Whether the rule says how relevance passes linear layers too; see
  # `attribution.layer_marks`.
  by_layer = False
  # Whether gradients are taken at a feature map inside of the network, which
  # then stands for the input; see `attribution.feature_maps`.
  at_features = False

  def for_each_unit(self) -> 'AttributionMethod':
    """Returns the method with maps made for each unit, and then averaged.

    That is the method itself, where maps are linear in the gradient.
    """
    return self

  @property
  def rule(self) -> Rule | None:
    """What replaces the derivative of an activation; None for nothing.

    Methods with equal rules share a backward pass.
    """
    return None

  def points(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the inputs [N, ...] at which gradients are taken and averaged."""
    yield inputs

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Returns maps.

    Args:
      inputs: The encoder's inputs, [N, ...].
      gradients: d(mean over units) / d(inputs), mean over the points.
    """
    raise NotImplementedError


_METHODS: Registry[type[AttributionMethod]] = Registry(
  'attribution method', 'attribution.layerwise'
)
register_method = _METHODS.register_class  # A decorator: name by flag value.
names = _METHODS.names
create = _METHODS.create  # From a name, and options, which are its fields.


def create_all(
  method_names: Sequence[str], **options
) -> tuple[AttributionMethod, ...]:
  """Returns methods, each with those of the `options` that are its own.

  Raises:
    ValueError: If an option belongs to no registered method.
  """
  known = set().union(*(_options(cls) for _, cls in _METHODS.items()))
  if unknown := sorted(set(options) - known):
    raise ValueError(
      f'No attribution method has the option {", ".join(unknown)}; options '
      f'are {", ".join(sorted(known))}.'
    )
  created = []
  for name in method_names:
    own = _options(_METHODS.get(name)) & options.keys()
    created.append(create(name, **{key: options[key] for key in own}))
  return tuple(created)


def check_directed(method: AttributionMethod) -> None:
  """Raises ValueError if a method has no maps of directions."""
  at_input = type(method).points is AttributionMethod.points
  if not (method.is_linear and at_input):
    raise ValueError(
      f'{method.name} is not linear in one gradient, so that it has no maps '
      'of directions; use gradient, gradient_times_input or elrp.'
    )


def product_rule(methods: Sequence[AttributionMethod]) -> str:
  """Returns how relevance passes products for all methods of an explainer.

  Raises:
    ValueError: If two methods with rules want different things: they share a
      graph, in which it is written.
  """
  rules = {method.products for method in methods if method.rule}
  if len(rules) > 1:
    raise ValueError(
      f'Methods with different rules for products, {sorted(rules)}, need an '
      'explainer each.'
    )
  return rules.pop() if rules else products.RULES[0]


def _options(cls: type[AttributionMethod]) -> set[str]:
  return {field.name for field in dataclasses.fields(cls)}


@register_method('saliency')
@dataclasses.dataclass(frozen=True)
class Saliency(AttributionMethod):
  """The absolute gradient (Simonyan et al., 2014).

  By default |d mean / d x|, the absolute value of the gradient of the mean
  over all units, as one backward pass gives and the paper's released code
  computes. Taken literally, the paper's formula is the mean over units of
  |d unit / d x|, which is never smaller; `per_unit=True` computes that, with
  one backward pass for every unit.
  """

  is_linear = False
  per_unit: bool = False

  def for_each_unit(self) -> AttributionMethod:
    return dataclasses.replace(self, per_unit=True)

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return np.abs(gradients)


@register_method('gradient')
@dataclasses.dataclass(frozen=True)
class Gradient(AttributionMethod):
  """The gradient with its sign: what moves the units, and which way.

  Not a method of the paper. Its maps of random directions span what the
  representation reacts to; see `attribution.probes`.
  """

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    del inputs
    return gradients


@register_method('gradient_times_input')
@dataclasses.dataclass(frozen=True)
class GradientTimesInput(AttributionMethod):
  """Gradient times input (Shrikumar et al., 2016)."""

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return inputs * gradients


def stabilize(z: tf.Tensor, epsilon: float) -> tf.Tensor:
  """Returns z moved away from zero by `epsilon`; zero counts as positive."""
  epsilon = tf.constant(epsilon, z.dtype)
  return z + tf.where(z >= 0, epsilon, -epsilon)


def _relu_ratio(z: tf.Tensor, f_z: tf.Tensor, epsilon: float) -> tf.Tensor:
  # f(z) is z, or 0 whatever is below it.
  return f_z / (f_z + epsilon)


def _relu6_ratio(z: tf.Tensor, f_z: tf.Tensor, epsilon: float) -> tf.Tensor:
  return f_z / (tf.nn.relu(z) + epsilon)


def _odd_ratio(z: tf.Tensor, f_z: tf.Tensor, epsilon: float) -> tf.Tensor:
  # f(z) has the sign of z, which a quotient of both loses.
  return tf.abs(f_z) / (tf.abs(z) + epsilon)


# f(z) / (z + epsilon sign(z)) of activations by op type, to the last bit, in
# fewer operations on each element.
_RATIOS = types.MappingProxyType(
  {
    'Relu': _relu_ratio,
    'Relu6': _relu6_ratio,
    'Elu': _odd_ratio,
    'Selu': _odd_ratio,
    'Softsign': _odd_ratio,
    'Tanh': _odd_ratio,
  }
)


def epsilon_ratio(z: tf.Tensor, f_z: tf.Tensor, epsilon: float) -> tf.Tensor:
  """Returns f(z) / (z + epsilon sign(z)), with sign(0) = 1.

  Args:
    z: What an activation is given.
    f_z: What it makes of it, of the same shape.
    epsilon: The stabilizer.
  """
  if f_z.op.type in _RATIOS and f_z.op.inputs[0] is z:
    return _RATIOS[f_z.op.type](z, f_z, tf.constant(epsilon, z.dtype))
  return f_z / stabilize(z, epsilon)


@dataclasses.dataclass(frozen=True)
class EpsilonRule:
  """f'(z) becomes f(z) / (z + epsilon sign(z)), with sign(0) = 1."""

  epsilon: float

  def __call__(
    self, z: tf.Tensor, f_z: tf.Tensor, gradient: tf.Tensor
  ) -> tf.Tensor:
    return gradient * epsilon_ratio(z, f_z, self.epsilon)


@register_method('elrp')
@dataclasses.dataclass(frozen=True)
class EpsilonLRP(AttributionMethod):
  """Layer-wise Relevance Propagation, epsilon rule (Bach et al., 2015).

  In the modified chain rule of Ancona et al. (2018), which replaces the
  derivative of every activation and keeps all other gradients. Where f(0) is
  not 0, as for a sigmoid, the ratio is as large as f(0) / epsilon near z = 0:
  that is the definition.
  """

  epsilon: float = 1e-4  # Stabilizer, in the unit of the pre-activation z.
  # How relevance passes products of two branches; see `attribution.products`.
  products: str = products.RULES[0]

  def __post_init__(self):
    if self.products not in products.RULES:
      raise ValueError(
        f'products is {self.products!r}, but must be one of {products.RULES}.'
      )
    with np.errstate(over='ignore', under='ignore'):
      is_positive = 0 < np.float32(self.epsilon) < np.inf
    if not is_positive:
      raise ValueError(
        f'epsilon must be positive and finite in float32, but is '
        f'{self.epsilon}.'
      )

  @property
  def rule(self) -> Rule:
    return EpsilonRule(self.epsilon)

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return inputs * gradients


@register_method('integrated_gradients')
@dataclasses.dataclass(frozen=True)
class IntegratedGradients(AttributionMethod):
  """Integrated gradients (Sundararajan et al., 2017) by a right Riemann sum.

  The gradient is averaged over the points baseline + a (input - baseline), for
  a = 1/steps, 2/steps, ..., 1. The maps' sum tends to the difference between
  the target at the input and at the baseline as `steps` grows.
  """

  is_linear = False  # In the gradient at many points.
  steps: int = 100
  # In the units of the encoder's input, after T: a number, or an array that
  # broadcasts to [height, width, channels].
  baseline: float | np.ndarray = 0.0

  def __post_init__(self):
    if not isinstance(self.steps, numbers.Integral) or self.steps < 1:
      raise ValueError(
        f'steps must be a whole number of at least 1, but is {self.steps!r}.'
      )
    if not np.all(np.isfinite(self.baseline)):
      raise ValueError(f'baseline must be finite, but is {self.baseline}.')

  def points(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
    baseline = self._baseline_of(inputs)
    for step in range(1, self.steps):
      alpha = inputs.dtype.type(step / self.steps)
      yield baseline + alpha * (inputs - baseline)
    yield inputs  # a = 1, where the gradient is known already.

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return (inputs - self._baseline_of(inputs)) * gradients

  def _baseline_of(self, inputs: np.ndarray) -> np.ndarray:
    """Returns the baseline, the same for all inputs, in their type."""
    baseline = np.asarray(self.baseline, inputs.dtype)
    try:
      return np.broadcast_to(baseline, (1, *inputs.shape[1:]))
    except ValueError as error:
      raise ValueError(
        f'baseline has the shape {baseline.shape}, which does not broadcast to '
        f'that of an input, {inputs.shape[1:]}.'
      ) from error


@register_method('grad_cam')
@dataclasses.dataclass(frozen=True)
class GradCAM(AttributionMethod):
  """Grad-CAM (Selvaraju et al., 2017), at a feature map A [h, w, C].

  The positive part of sum_c w_c A_c, w_c the mean over positions of the
  gradient at A_c: what spoke for the target, and where. The explainer enlarges
  maps to the images, and gives each of their channels an equal part.
  """

  at_features = True
  is_linear = False
  # The tensor of the feature map; default: the result of the last activation
  # whose maps have several positions.
  layer: str | None = None

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return np.maximum((inputs * weights).sum(axis=-1, keepdims=True), 0)
