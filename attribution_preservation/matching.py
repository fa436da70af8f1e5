"""Ways of matching a student's attributions to its teacher's, by name.

Each says what must be known of the teacher, which is computed once for all
images (there is no augmentation), and makes the term of the loss of a batch.
"""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from attribution_preservation import losses
from attribution_preservation.networks import Split, as_scores
from toolkit_basics.registry import Registry

Tensors = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Matching:
  """How attributions are matched; its fields are its options.

  Attributes:
    beta: What the term of the loss is multiplied by, by default.
    needs_labels: Whether images without labels will not do.
  """

  name: ClassVar[str] = ''
  label: ClassVar[str] = ''
  beta: ClassVar[float] = 100.0
  needs_labels: ClassVar[bool] = False

  def known(self, teacher: Split, images: tf.Tensor, labels: tf.Tensor) -> dict:
    """Returns what a batch needs of the teacher, beside its outputs."""
    del teacher, images, labels
    return {}

  def forward(
    self,
    student: Split,
    images: tf.Tensor,
    labels: tf.Tensor,
    known: Tensors,
    seed: tf.Tensor,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the student's outputs in training, and the term of the loss."""
    raise NotImplementedError


_MATCHINGS: Registry[type[Matching]] = Registry('matching')
_register = _MATCHINGS.register_class
names = _MATCHINGS.names
create = _MATCHINGS.create


def label(name: str) -> str:
  """Returns what a way of matching is called in tables and figures."""
  return _MATCHINGS.get(name).label


@_register('naive', label='Naive')
@dataclasses.dataclass(frozen=True)
class Naive(Matching):
  """Plain compression."""

  def forward(self, student, images, labels, known, seed):
    del labels, known, seed
    features = student.body(images, training=True)
    return student.head(features, training=True), tf.constant(0.0)


@_register('ewa', label='EWA')
@dataclasses.dataclass(frozen=True)
class EquallyWeighted(Matching):
  """Activations, equally weighted: attention transfer."""

  def known(self, teacher, images, labels):
    del labels
    features = teacher.body(images, training=False)
    return {'map': losses.equally_weighted(features)}

  def forward(self, student, images, labels, known, seed):
    del labels, seed
    features = student.body(images, training=True)
    outputs = student.head(features, training=True)
    term = losses.match(known['map'], losses.equally_weighted(features))
    return outputs, term


@_register('swa', label='SWA')
@dataclasses.dataclass(frozen=True)
class SensitivityWeighted(Matching):
  """Activations weighted by sensitivity, of the teacher's first class."""

  rectified: bool = True

  def known(self, teacher, images, labels):
    del labels
    features, classes, weights = _sensitivity(teacher, images)
    found = losses.sensitivity_weighted(features, weights, self.rectified)
    return {'map': found, 'class': classes}

  def forward(self, student, images, labels, known, seed):
    del labels
    features = student.body(images, training=True)
    outputs, weights = losses.scores_and_weights(
      lambda maps: student.head(maps, training=True), features, known['class']
    )
    own = losses.sensitivity_weighted(features, weights, self.rectified)
    return outputs, losses.match(self._teacher(known, seed), own)

  def _teacher(self, known: Tensors, seed: tf.Tensor) -> tf.Tensor:
    del seed
    return known['map']


def _sensitivity(teacher: Split, images: tf.Tensor):
  """Returns features, the first class of each image, its channel weights."""
  features = teacher.body(images, training=False)

  def head(maps):
    return teacher.head(maps, training=False)

  classes = tf.argmax(as_scores(head(features)), axis=1, output_type=tf.int32)
  kernel = teacher.linear_kernel
  if kernel is not None:
    weights = losses.linear_channel_weights(kernel, features, classes)
  else:
    weights = losses.channel_weights(head, features, classes)
  return features, classes, weights


@_register('sswa', label='SSWA')
@dataclasses.dataclass(frozen=True)
class StochasticallyWeighted(SensitivityWeighted):
  """SWA with some of the teacher's channels left out, others each batch."""

  rate: float = 0.3

  def known(self, teacher, images, labels):
    del labels
    features, classes, weights = _sensitivity(teacher, images)
    return {'features': features, 'weights': weights, 'class': classes}

  def _teacher(self, known, seed):
    features = known['features']
    mask = losses.channel_mask(features.shape[-1], self.rate, seed)
    return losses.sensitivity_weighted(
      features * mask, known['weights'], self.rectified
    )


@_register('swa_identity', label='SWA, V = identity')
@dataclasses.dataclass(frozen=True)
class Unrectified(SensitivityWeighted):
  """SWA with maps of both signs."""

  rectified: bool = False


@_register('swa_present', label='SWA, every present class', needs_labels=True)
@dataclasses.dataclass(frozen=True)
class EveryPresentClass(Matching):
  """SWA's maps of all classes that the image is labelled with."""

  def known(self, teacher, images, labels):
    features = teacher.body(images, training=False)
    maps, _ = losses.direction_maps(
      lambda a: teacher.head(a, training=False),
      features,
      tf.eye(labels.shape[1]),
    )
    return {'maps': tf.nn.relu(maps)}

  def forward(self, student, images, labels, known, seed):
    del seed
    features = student.body(images, training=True)
    maps, outputs = losses.direction_maps(
      lambda a: student.head(a, training=True),
      features,
      tf.eye(labels.shape[1]),
    )
    own, other = tf.nn.relu(maps), known['maps']
    flat = [tf.reshape(x, (-1, *x.shape[2:])) for x in (other, own)]
    gaps = losses.normalised(flat[0]) - losses.normalised(flat[1])
    each = tf.reduce_mean(tf.square(gaps), axis=1)
    weights = tf.reshape(labels, (-1,))
    # 0 of a batch in which no image has a label.
    sums = tf.reduce_sum(weights * each), tf.reduce_sum(weights)
    return outputs, tf.math.divide_no_nan(*sums)


@_register('input_gradient', label='Input gradient', needs_labels=True)
@dataclasses.dataclass(frozen=True)
class InputGradient(Matching):
  """The gradient of the loss at the input (Zagoruyko and Komodakis, 2017)."""

  beta: ClassVar[float] = 0.1

  def known(self, teacher, images, labels):
    with tf.GradientTape() as tape:
      tape.watch(images)
      outputs = teacher.model(images, training=False)
      loss = losses.multi_label(labels, outputs)
    return {'gradient': tape.gradient(loss, images)}

  def forward(self, student, images, labels, known, seed):
    del seed
    with tf.GradientTape() as tape:
      tape.watch(images)
      features = student.body(images, training=True)
      outputs = student.head(features, training=True)
      loss = losses.multi_label(labels, outputs)
    gradient = tape.gradient(loss, images)
    term = losses.input_gradient_mismatch(known['gradient'], gradient)
    return outputs, term


def directions(outputs: int, most: int) -> np.ndarray:
  """Returns the directions of the outputs whose maps are rows: [m, K].

  All classes, if they are `most` or fewer; else so many random ones.
  """
  if outputs <= most:
    return np.eye(outputs, dtype=np.float32)
  drawn = np.random.default_rng(0).standard_normal((most, outputs))
  return drawn.astype(np.float32)


@_register('subspace', label='Subspace')
@dataclasses.dataclass(frozen=True)
class Subspace(Matching):
  """What the maps of all classes span at the last feature map.

  Not of the paper: instead of one collapsed map, the kernel over positions of
  the signed maps of all directions of the outputs, which no change of basis of
  the classes alters (`losses.kernel_mismatch`).
  """

  beta: ClassVar[float] = 3.0
  most: int = 8

  def _rows(self, network: Split, features: tf.Tensor, training: bool):
    count = network.head.outputs[0].shape[-1]
    return losses.direction_maps(
      lambda maps: network.head(maps, training=training),
      features,
      tf.constant(directions(count, self.most)),
    )

  def known(self, teacher, images, labels):
    del labels
    features = teacher.body(images, training=False)
    return {'rows': self._rows(teacher, features, False)[0]}

  def forward(self, student, images, labels, known, seed):
    del labels, seed
    features = student.body(images, training=True)
    rows, outputs = self._rows(student, features, True)
    return outputs, losses.kernel_mismatch(known['rows'], rows)


@_register('subspace_input', label='Subspace at the input')
@dataclasses.dataclass(frozen=True)
class SubspaceAtInput(Matching):
  """What the gradients of the outputs span at the input.

  Not of the paper: the kernel of J, the Jacobian of the outputs, over pixels
  and channels. Of the rows, `drawn` random combinations are matched in each
  batch, the same of teacher and student.
  """

  beta: ClassVar[float] = 3.0
  most: int = 8
  drawn: int = 2

  def known(self, teacher, images, labels):
    del labels
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(images)
      scores = as_scores(teacher.model(images, training=False))
      rows = directions(scores.shape[1], self.most)
      sums = [tf.linalg.matvec(scores, v) for v in rows]
    found = [tape.gradient(along, images) for along in sums]
    return {'rows': tf.stack(found, axis=1)}

  def forward(self, student, images, labels, known, seed):
    del labels
    count = known['rows'].shape[1]
    mixed = tf.random.stateless_normal((self.drawn, count), seed)
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(images)
      features = student.body(images, training=True)
      outputs = student.head(features, training=True)
      scores = as_scores(outputs)
      rows = mixed @ directions(scores.shape[1], self.most)
      sums = [tf.linalg.matvec(scores, v) for v in tf.unstack(rows)]
    own = tf.stack([tape.gradient(along, images) for along in sums], axis=1)
    wanted = tf.einsum('dm,bmhwc->bdhwc', mixed, known['rows'])
    return outputs, losses.kernel_mismatch(wanted, own)
