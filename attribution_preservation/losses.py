"""Losses that hold a compressed network's attribution maps to its teacher's.

Park, Yang, Hwang and Yang, "Attribution Preservation in Network Compression for
Reliable Network Interpretation" (NeurIPS 2020, arXiv 2010.15054). Feature maps
are A [B, h, w, C]; teacher and student may differ in C. A collapsed map is

    M = V(sum_c u_c A_c^p)

with u_c = 1 / C, p = 2 and V the identity (EWA, which is the attention transfer
of Zagoruyko and Komodakis, arXiv 1612.03928); or with u_c the sum over space of
d y_k / d A_c, p = 1 and V the ReLU (SWA: Grad-CAM's map of the class k, up to a
factor that `match` removes). All are functions of tensors, of any float type.
"""

from collections.abc import Callable

import tensorflow as tf

from attribution_preservation.networks import as_scores

_FLOOR = 1e-12  # Of norms: a map that is zero everywhere stays zero.
# From feature maps to outputs, [B, K] or of a grid: see `networks.as_scores`.
Head = Callable[[tf.Tensor], tf.Tensor]


def normalised(maps: tf.Tensor) -> tf.Tensor:
  """Returns each image's map, flattened, at unit norm: [B, ...] to [B, n].

  A map that is zero everywhere stays zero, and so does its gradient.
  """
  flat = tf.reshape(maps, (tf.shape(maps)[0], -1))
  squares = tf.reduce_sum(tf.square(flat), axis=1, keepdims=True)
  return flat * tf.math.rsqrt(tf.maximum(squares, _FLOOR**2))


def match(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
  """Returns the mean squared difference of maps [B, h, w] at unit norm.

  1 / (B h w) sum_b || M^T_b / |M^T_b| - M^S_b / |M^S_b| ||^2: at most 2 / (h w)
  where no map has negative values.
  """
  return tf.reduce_mean(tf.square(normalised(teacher) - normalised(student)))


def equally_weighted(features: tf.Tensor) -> tf.Tensor:
  """Returns EWA's map: the mean over channels of squares, [B, h, w]."""
  return tf.reduce_mean(tf.square(features), axis=-1)


def sensitivity_weighted(
  features: tf.Tensor, weights: tf.Tensor, rectified: bool = True
) -> tf.Tensor:
  """Returns SWA's map, [B, h, w].

  Args:
    features: A, [B, h, w, C].
    weights: u, [B, C].
    rectified: Whether V is the ReLU; else the identity.
  """
  maps = tf.einsum('bhwc,bc->bhw', features, weights)
  return tf.nn.relu(maps) if rectified else maps


def channel_weights(
  head: Head, features: tf.Tensor, classes: tf.Tensor
) -> tf.Tensor:
  """Returns u, the sum over space of d y_k / d A_c, of any head: [B, C].

  Where a GradientTape is around, gradients flow through the weights too.

  Args:
    head: From feature maps to the outputs.
    features: A, [B, h, w, C].
    classes: k of each image, int [B].
  """
  return scores_and_weights(head, features, classes)[1]


def scores_and_weights(
  head: Head, features: tf.Tensor, classes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the outputs and `channel_weights`, of one pass of the head."""
  with tf.GradientTape() as tape:
    tape.watch(features)
    outputs = head(features)
    chosen = tf.gather(as_scores(outputs), classes, axis=1, batch_dims=1)
  gradient = tape.gradient(chosen, features)
  return outputs, tf.reduce_sum(gradient, axis=(1, 2))


def linear_channel_weights(
  kernel: tf.Tensor, features: tf.Tensor, classes: tf.Tensor
) -> tf.Tensor:
  """Returns `channel_weights` of a linear head, in closed form.

  Args:
    kernel: Of the head on flattened features, [h * w * C, K].
    features: A, [B, h, w, C].
    classes: k of each image, int [B].
  """
  shape = (*features.shape[1:], kernel.shape[1])
  summed = tf.reduce_sum(tf.reshape(kernel, shape), axis=(0, 1))
  return tf.gather(tf.transpose(summed), classes)


def channel_mask(
  channels: int, rate: float, seed: tf.Tensor, dtype: tf.DType = tf.float32
) -> tf.Tensor:
  """Returns SSWA's mask [C]: int(rate * C) channels, drawn at random, are 0.

  It multiplies the teacher's activations; their weights stay those of the
  whole network.

  Args:
    channels: C.
    rate: In [0, 1).
    seed: Two integers; equal seeds give equal masks.
    dtype: Of the mask.
  """
  drawn = tf.random.stateless_uniform((channels,), seed)
  order = tf.argsort(tf.argsort(drawn))
  return tf.cast(order >= int(rate * channels), dtype)


def direction_maps(
  head: Head, features: tf.Tensor, directions: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns a signed map of each direction of the scores, and the outputs.

  That of a direction v is sum_c u_c A_c with u_c the sum over space of
  d (v . y) / d A_c: one row of what the network's attributions span.

  Args:
    head: From feature maps to the outputs.
    features: A, [B, h, w, C].
    directions: [m, K].

  Returns:
    [B, m, h, w], and the outputs.
  """
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(features)
    outputs = head(features)
    scores = as_scores(outputs)
    sums = [tf.linalg.matvec(scores, v) for v in tf.unstack(directions)]
  rows = []
  for along in sums:
    weights = tf.reduce_sum(tape.gradient(along, features), axis=(1, 2))
    rows.append(sensitivity_weighted(features, weights, rectified=False))
  return tf.stack(rows, axis=1), outputs


def kernel_mismatch(teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
  """Returns 1 - ||T S'||^2 / (||T T'|| ||S S'||), a mean over images.

  The norms are Frobenius's; each image's rows, T and S, span what the network's
  attributions reach. The value is in [0, 1]: 0 if and only if the kernels T'T
  and S'S over pixels are multiples of each other, whatever the bases of the
  rows; 1 where nothing is shared, or one side is zero.

  Args:
    teacher: T, [B, m, ...], any number of pixels.
    student: S, [B, n, ...], as many pixels.
  """
  # At unit norm: fourth powers of very small or large values are 0 or infinite.
  teacher, student = (
    tf.reshape(normalised(rows), (tf.shape(rows)[0], rows.shape[1], -1))
    for rows in (teacher, student)
  )

  def energy(a, b):
    product = tf.matmul(a, b, transpose_b=True)
    return tf.reduce_sum(tf.square(product), axis=(1, 2))

  both = energy(teacher, teacher) * energy(student, student)
  shared = energy(teacher, student) * tf.math.rsqrt(tf.maximum(both, _FLOOR**2))
  return tf.reduce_mean(1 - shared)


def input_gradient_mismatch(
  teacher: tf.Tensor, student: tf.Tensor
) -> tf.Tensor:
  """Returns half the distance of gradients of the loss at the input.

  1 / (2 B) sum_b || J^S_b - J^T_b ||, J the gradient of each image's own loss
  (arXiv 1612.03928, section 3.2). Shapes are [B, H, W, C].
  """
  flat = tf.reshape(student - teacher, (tf.shape(student)[0], -1))
  squares = tf.reduce_sum(tf.square(flat), axis=1)
  return 0.5 * tf.reduce_mean(tf.sqrt(tf.maximum(squares, _FLOOR**2)))


def multi_label(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
  """Returns the binary cross-entropy of each image, mean over classes: [B]."""
  losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
  return tf.reduce_mean(losses, axis=1)


def distillation(
  labels: tf.Tensor,
  teacher: tf.Tensor,
  student: tf.Tensor,
  temperature: float = 4.0,
  alpha: float = 0.9,
) -> tf.Tensor:
  """Returns alpha T^2 KL + (1 - alpha) BCE, for labels that do not exclude.

  KL is between sigmoid(y / T) of teacher and student, each class a distribution
  of two outcomes; a mean over images and classes. As in the released code, the
  student's logarithms are of p + 1e-7.

  Args:
    labels: 0 or 1, [B, K].
    teacher: Logits, [B, K].
    student: Logits, [B, K].
    temperature: T.
    alpha: In [0, 1].
  """
  p = tf.sigmoid(teacher / temperature)
  q = tf.sigmoid(student / temperature)
  tiny = tf.constant(1e-7, p.dtype)
  divergence = tf.zeros_like(p)
  for target, found in ((p, q), (1 - p, 1 - q)):
    # x log x is 0 at 0, which rounding can reach.
    own = tf.math.xlogy(target, target)
    divergence += own - target * tf.math.log(found + tiny)
  soft = temperature**2 * tf.reduce_mean(divergence)
  return alpha * soft + (1 - alpha) * tf.reduce_mean(
    multi_label(labels, student)
  )
