"""LRP's gamma rule: what speaks for a unit counts for more."""

import dataclasses

import numpy as np
import tensorflow as tf

from attribution import methods, products
from attribution.layer_marks import CONVOLUTION, Layer
from attribution.methods import AttributionMethod, EpsilonRule


@dataclasses.dataclass(frozen=True)
class GammaRule(EpsilonRule):
  """The epsilon rule, and the gamma rule in layers of some kinds.

  Attributes:
    convolution: Gamma of convolutions; 0 keeps the epsilon rule.
    dense: Gamma of other layers.
  """

  convolution: float = 0.0
  dense: float = 0.0

  def layer_gradient(
    self, layer: Layer, gradient: tf.Tensor
  ) -> tf.Tensor | None:
    """Returns the gradient at what a layer is given, None for its own."""
    is_convolution = layer.kind == CONVOLUTION
    gamma = self.convolution if is_convolution else self.dense
    if not gamma:
      return None
    gamma = tf.constant(gamma, layer.z.dtype)

    def favoured(w: tf.Tensor) -> tf.Tensor:
      return w + gamma * tf.nn.relu(w)

    def disfavoured(w: tf.Tensor) -> tf.Tensor:
      return w - gamma * tf.nn.relu(-w)

    def sums(first, second) -> tf.Tensor:
      """Contributions of one sign enlarged: of a > 0 by `first`."""
      found = layer.apply(tf.nn.relu(layer.a), first, first)
      if layer.is_given_positive:
        return found
      # The bias is in the first term.
      negative = -tf.nn.relu(-layer.a)
      return found + layer.apply(negative, second, tf.zeros_like)

    enlarged = tf.where(
      layer.z > 0, sums(favoured, disfavoured), sums(disfavoured, favoured)
    )
    share = layer.z / methods.stabilize(enlarged, self.epsilon)
    (found,) = tf.gradients(enlarged, layer.a, gradient * share)
    return found


def _check(values: dict[str, float]) -> None:
  for name, value in values.items():
    if not 0 <= value < np.inf:
      raise ValueError(f'{name} is {value}, but must be 0 or more.')


@methods.register_method('gamma_lrp')
@dataclasses.dataclass(frozen=True)
class GammaLRP(AttributionMethod):
  """LRP with the gamma rule in every layer (Montavon et al., 2019).

  For a unit z_k = sum_j a_j w_jk + b_k of a layer, with w+ = max(0, w),

    R_j = sum_k a_j (w_jk + gamma w+_jk) / (sum_i a_i (w_ik + gamma w+_ik)
          + b_k + gamma b+_k) R_k

  if all a_j >= 0 and z_k > 0. In general (Andeol et al., 2021), contributions
  a_j w_jk of the sign of z_k, and a bias of that sign, are enlarged by 1 +
  gamma. gamma = 0 is the epsilon rule; as it grows, only what speaks for a unit
  gets relevance. Activations have the epsilon rule, products that of `elrp`.
  """

  by_layer = True
  gamma: float = 0.25
  epsilon: float = 1e-4  # Stabilizer, in the unit of the pre-activation z.
  products: str = products.RULES[0]

  def __post_init__(self):
    _check({'gamma': self.gamma})
    methods.EpsilonLRP(self.epsilon, self.products)  # Checks them.

  @property
  def rule(self) -> GammaRule:
    return GammaRule(self.epsilon, self.gamma, self.gamma)

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return inputs * gradients


@methods.register_method('lrp_by_kind')
@dataclasses.dataclass(frozen=True)
class ByKindLRP(AttributionMethod):
  """LRP with a rule for each kind of layer, a composite as it is used.

  Convolutions have the gamma rule and dense layers the epsilon rule: Montavon
  et al. (2019) use gamma where a network sees parts of an image, and epsilon
  above. `dense_gamma` > 0 puts gamma into dense layers as well, which Achtibat
  et al. (2024) do in vision transformers. Activations have the epsilon rule,
  and products that of `elrp`.
  """

  by_layer = True
  convolution_gamma: float = 0.25
  dense_gamma: float = 0.0
  epsilon: float = 1e-4  # Stabilizer, in the unit of the pre-activation z.
  products: str = products.RULES[0]

  def __post_init__(self):
    _check(
      {
        'convolution_gamma': self.convolution_gamma,
        'dense_gamma': self.dense_gamma,
      }
    )
    methods.EpsilonLRP(self.epsilon, self.products)  # Checks them.

  @property
  def rule(self) -> GammaRule:
    return GammaRule(self.epsilon, self.convolution_gamma, self.dense_gamma)

  def attribute(self, inputs: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return inputs * gradients
