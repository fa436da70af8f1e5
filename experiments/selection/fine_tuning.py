"""Fine-tuning a frozen encoder: its kernels and biases become variables again.

Batch normalisation keeps its statistics. The head is that of the readouts: one
hidden layer on the whole representation.
"""

import contextlib
import dataclasses
import itertools
import math

import numpy as np
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from experiments.selection import truth
from experiments.selection.targets import Target
from frozen_graphs import graph, session
from taskonomy_models.encoder import Encoder
from taskonomy_models.mini import training as mini_training

_HIDDEN = 64
_STANDARDISED_BY = 100  # Images.

# Which inputs of an operation are weights.
_WEIGHTS = {
  'Conv2D': (1,),
  'DepthwiseConv2dNative': (1,),
  'MatMul': (1,),
  'BiasAdd': (1,),
  'FusedBatchNormV3': (1, 2),
}


@dataclasses.dataclass(frozen=True)
class FineTuning:
  """How encoders are fine-tuned.

  Attributes:
    steps: Of Adam, the rate falling to 0 along a cosine.
    batch_size: Images a step.
    learning_rate: Of the encoder at the first step; of the head, three times
      as much.
  """

  steps: int = 100
  batch_size: int = 32
  learning_rate: float = 1e-3


def weights(subgraph: graph.SubGraph) -> list[str]:
  """Returns the tensors that are weights: stored numbers that layers take."""
  found = {}
  for node in subgraph.nodes.values():
    for number in _WEIGHTS.get(node.op, ()):
      source = subgraph.nodes[node.input[number].partition(':')[0]]
      stored = source
      if source.op == 'Cast':  # Weights that are stored in half precision.
        stored = subgraph.nodes[source.input[0].partition(':')[0]]
      if stored.op == 'Const':
        found[f'{source.name}:0'] = None
  return list(found)


class TunedNetwork:
  """An encoder with a head, to be trained on one target."""

  def __init__(
    self, encoder: Encoder, target: Target, recipe: FineTuning, seed: int
  ):
    """Builds the graph of a training step.

    Raises:
      ValueError: If the encoder has no weights that can be trained.
    """
    self._target, self._recipe = target, recipe
    self._preprocessing = Preprocessing.parse(encoder.preprocessing)
    subgraph = encoder.load().subgraph
    if (subgraph.input_shape or (None,))[0] is not None:
      subgraph = graph.with_open_batch(subgraph)
    names = weights(subgraph)
    if not names:
      raise ValueError(
        f'{encoder.name}: no weights of a convolution or a dense layer are '
        'stored in the graph, so that it cannot be fine-tuned.'
      )
    values = _values(subgraph, names)
    with tf.Graph().as_default() as built:
      self._build(subgraph, dict(zip(names, values, strict=True)), seed)
    self._session = tf.compat.v1.Session(graph=built, config=session.config())
    self._session.run(self._start)

  def _build(
    self, subgraph: graph.SubGraph, values: dict[str, np.ndarray], seed: int
  ) -> None:
    v1 = tf.compat.v1
    tuned = {
      name: v1.Variable(value, use_resource=True)
      for name, value in values.items()
    }
    self._input, features = tf.import_graph_def(
      subgraph.graph_def(),
      input_map={name: tf.identity(v) for name, v in tuned.items()},
      return_elements=[subgraph.input_tensor, subgraph.representation_tensor],
      name='',
    )
    self._features = features
    self._mean = v1.placeholder_with_default(0.0, [])
    self._scale = v1.placeholder_with_default(1.0, [])
    shape = features.shape[1:]
    if not shape.is_fully_defined():
      features = tf.reduce_mean(features, axis=[1, 2])
      shape = features.shape[1:]
    x = (tf.reshape(features, [-1, shape.num_elements()]) - self._mean) * (
      self._scale
    )
    rng = np.random.default_rng(seed)
    outputs = 1 if self._target.values is not None else self._target.num_classes
    head, sizes = [], (shape.num_elements(), _HIDDEN, outputs)
    for number, (rows, columns) in enumerate(itertools.pairwise(sizes)):
      kernel = rng.normal(0, math.sqrt(2 / rows), (rows, columns))
      head += [
        v1.Variable(kernel.astype(np.float32), use_resource=True),
        v1.Variable(np.zeros(columns, np.float32), use_resource=True),
      ]
      x = tf.matmul(x if number == 0 else tf.nn.relu(x), head[-2]) + head[-1]
    self._outputs = x
    self._rate = v1.placeholder(tf.float32, [])
    if self._target.values is None:
      self._wanted = v1.placeholder(tf.int32, [None])
      loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=self._wanted, logits=x
      )
    else:
      self._wanted = v1.placeholder(tf.float32, [None])
      loss = tf.square(x[:, 0] - self._wanted)
    loss = tf.reduce_mean(loss)
    self._step = tf.group(
      v1.train.AdamOptimizer(self._rate).minimize(
        loss, var_list=list(tuned.values())
      ),
      v1.train.AdamOptimizer(3 * self._rate).minimize(loss, var_list=head),
    )
    self._start = v1.global_variables_initializer()

  def train(self, images: np.ndarray, rows: np.ndarray, seed: int) -> None:
    """Trains on the images of some positions in `target.rows`."""
    target, recipe = self._target, self._recipe
    wanted = target.labels[rows]
    if target.values is not None:
      values = target.values[rows]
      self._unit = float(values.mean()), float(values.std() or 1.0)
      wanted = (values - self._unit[0]) / self._unit[1]
    inputs = images[target.rows[rows]]
    known = self._session.run(
      self._features,
      {self._input: self._preprocessing(inputs[:_STANDARDISED_BY])},
    )
    self._standardise = {
      self._mean: known.mean(),
      self._scale: 1 / (known.std() + 1e-6),
    }
    rng = np.random.default_rng([seed, 3])
    size = min(recipe.batch_size, len(rows))
    batches = mini_training.batches(rng, len(rows), size)
    for step in range(recipe.steps):
      chosen = next(batches)
      rate = mini_training.cosine(step, recipe.steps)
      self._session.run(
        self._step,
        {
          self._input: self._preprocessing(inputs[chosen]),
          self._wanted: wanted[chosen],
          self._rate: rate * recipe.learning_rate,
          **self._standardise,
        },
      )

  def predict(self, images: np.ndarray) -> np.ndarray:
    """Returns logits [n, C], or values [n, 1], after `train`."""
    outputs = []
    for start in range(0, len(images), 50):
      inputs = self._preprocessing(images[start : start + 50])
      fed = {self._input: inputs, **self._standardise}
      outputs.append(self._session.run(self._outputs, fed))
    outputs = np.concatenate(outputs)
    if self._target.values is None:
      return outputs
    return outputs * self._unit[1] + self._unit[0]

  def close(self) -> None:
    self._session.close()


def fine_tune(
  encoder: Encoder,
  target: Target,
  images: np.ndarray,
  num_train: int,
  recipe: FineTuning,
  seed: int,
) -> float:
  """Returns the `truth.performance` on test images of a fine-tuned encoder.

  Args:
    encoder: Where to start from.
    target: The task.
    images: uint8 [N, S, S, 3].
    num_train: How many of the first images may be trained on.
    recipe: How.
    seed: Of the head and the batches.
  """
  train, held_out, test = truth.split(target, num_train, seed)
  network = TunedNetwork(encoder, target, recipe, seed)
  with contextlib.closing(network):
    # Nothing is chosen on the way, so that all may be trained on.
    network.train(images, np.concatenate([train, held_out]), seed)
    outputs = network.predict(images[target.rows[test]])
  return truth.performance(target, test, outputs)


def _values(subgraph: graph.SubGraph, names: list[str]) -> list[np.ndarray]:
  with tf.Graph().as_default() as stored:
    session.import_graph(subgraph)
    with tf.compat.v1.Session(graph=stored, config=session.config()) as run:
      return run.run(names)
