"""Explains images through a frozen encoder: NumPy in, NumPy out."""

from collections import Counter
from collections.abc import Mapping, Sequence
import dataclasses
import os

from absl import logging
import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution import overrides
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing, PreprocessingError
from frozen_graphs import batching, session
from frozen_graphs import graph as graph_lib
from frozen_graphs.errors import GraphError, UnsupportedOpError

_UNKNOWN_SIDE = 64  # Pixels, where a graph with a fixed batch leaves it open.


@dataclasses.dataclass(frozen=True)
class Explanation:
  """What `Explainer.explain` returns.

  Attributes:
    maps: By method, float32 [N, H, W, C] in the coordinates of the images, or
      [N, h, w, c] in those of the encoder's input.
    representation: float32 [N, ...], from the same forward pass.
  """

  maps: Mapping[str, np.ndarray]
  representation: np.ndarray


@dataclasses.dataclass(frozen=True)
class Summary:
  """What an explainer found in its graph.

  Attributes:
    operations: Number of nodes between input and representation by op type.
    ruled: Number of activations by name whose gradient is overridden, and of
      operands of products by what they are (`gate` and `normaliser`, held
      constant, or `half`, a signal that gets half of the relevance); empty if
      no method overrides gradients.
    batching: `open`, if the graph takes any number of images; `rebatched`, if
      it was made for a fixed number, but takes any and keeps images apart, as
      was tried; `one_at_a_time` or `fixed`, if it does not: it gets one, or
      the number that it was made for.
  """

  operations: Mapping[str, int]
  ruled: Mapping[str, int]
  batching: str = 'open'

  @property
  def num_ruled(self) -> int:
    return sum(self.ruled.values())


# How much results of a rule may differ: f(z) / z changes fast near z = 0.
_RULED_TOLERANCE = 2e-2


class Explainer:
  """Computes attribution maps of one encoder; built once, for any N.

  All methods share the forward pass, and methods with the same gradients share
  a backward pass: saliency, gradient_times_input and elrp together take one
  forward and two backward passes. Images are processed in batches of a fixed
  size, the last one filled up. A graph made for a fixed batch is given any if
  that is found to keep images apart, else the fixed number at a time. If the
  graph does not tell what it was made for, that is found out at the first
  images.

  Attributes:
    name: Of the encoder, for messages.
    preprocessing: T.
    methods: The methods, in the order of the maps.
    batch_size: Images processed at once.
    input_shape: (h, w, c) of the encoder's input, None where it is open; or
      (c, h, w), if the graph was made so.
    summary: What was found in the graph.
  """

  def __init__(
    self,
    graph: tf.compat.v1.GraphDef | str | os.PathLike,
    *,
    input_tensor: str,
    representation_tensor: str,
    preprocessing: str | Preprocessing = 'range(0, 1)',
    methods: Sequence[str | AttributionMethod] = ('elrp',),
    batch_size: int = 32,
    device: str | None = None,
    per_unit: bool = False,
    name: str = 'encoder',
  ):
    """Builds the graph of the encoder and its gradients.

    Args:
      graph: A frozen graph, which is not changed, or the path of one.
      input_tensor: A float tensor [N, h, w, c] (or [N, c, h, w]).
      representation_tensor: A tensor [N, ...] computed from it.
      preprocessing: T, from an image to the encoder's input.
      methods: Names or methods.
      batch_size: Images that are processed at once.
      device: For example '/GPU:0'; default: TensorFlow's choice.
      per_unit: Saliency as the mean over units of |gradient of the unit|.
      name: Of the encoder, for messages.

    Raises:
      GraphError: If the graph cannot be used, or an operation has no rule.
      ValueError: If another argument is wrong.
    """
    if batch_size < 1:
      raise ValueError(f'batch_size must be at least 1, but is {batch_size}.')
    self.name = name
    self.preprocessing = (
      Preprocessing.parse(preprocessing)
      if isinstance(preprocessing, str)
      else preprocessing
    )
    self.methods = _as_methods(methods, per_unit)
    try:
      if not isinstance(graph, tf.compat.v1.GraphDef):
        graph = graph_lib.load_graph_def(graph)
      subgraph = graph_lib.extract(
        graph, input_tensor, representation_tensor, overrides.op_types()
      )
      if subgraph.input_shape is None:
        subgraph = _with_inferred_shape(subgraph, graph, input_tensor)
      fixed, *shape = _checked_input_shape(subgraph)
      self.input_shape = tuple(shape)
      self.batch_size = batch_size
      operations = Counter(node.op for node in subgraph.nodes.values())
      ruled = {}
      if any(method.rule for method in self.methods):
        subgraph, ruled = overrides.mark_activations(
          subgraph, methods_lib.product_rule(self.methods)
        )
      self._is_proven = subgraph.input_shape is not None
      way = 'open'
      if fixed is None:
        self._build(subgraph, device)
      else:
        way = self._build_fixed(subgraph, fixed, device)
      self.summary = Summary(dict(operations), dict(ruled), way)
    except GraphError as error:
      raise type(error)(f'{name}: {error}') from error

  def _build(self, subgraph: graph_lib.SubGraph, device: str | None) -> None:
    """Imports the graph and adds a backward pass for each rule."""
    session.check_device(device)
    with tf.Graph().as_default() as graph, tf.device(device):
      self._input, self._representation = session.import_graph(subgraph)
      count = tf.shape(self._input)[0]
      units = tf.reshape(self._representation, [count, -1])
      target = tf.reduce_mean(units, axis=1)
      self._gradients = {}
      for rule in dict.fromkeys(method.rule for method in self.methods):
        with overrides.active_rule(rule):
          self._gradients[rule] = self._gradient(target)
      self._unit, self._unit_gradients = None, {}
      for rule in {m.rule for m in self.methods if m.per_unit}:
        self._unit = tf.compat.v1.placeholder(tf.int32, [], 'unit')
        with overrides.active_rule(rule):
          self._unit_gradients[rule] = self._gradient(
            tf.gather(units, self._unit, axis=1)
          )
    self._session = tf.compat.v1.Session(graph=graph, config=session.config())

  def _build_fixed(
    self, subgraph: graph_lib.SubGraph, fixed: int, device: str | None
  ) -> str:
    """Builds a graph made for a fixed batch, with an open one if it can be.

    Returns:
      `rebatched`, `one_at_a_time` or `fixed`.
    """
    try:
      self._build(graph_lib.with_open_batch(subgraph), device)
      if batching.keeps_images_apart(self._everything, self._probe(2)):
        logging.info('%s: made for batches of %d, takes any.', self.name, fixed)
        return 'rebatched'
    except (GraphError, ValueError):
      pass  # Something in the graph knows the batch size: as it was made, then.
    self.close()
    self._build(subgraph, device)
    self.batch_size = fixed
    if batching.mixes_images(self._everything, self._probe(fixed)):
      raise GraphError(
        f'The graph takes {fixed} images at a time, which influence each '
        'other; freeze it for inference on single images.'
      )
    logging.info('%s: takes %d image(s) at a time.', self.name, fixed)
    return 'one_at_a_time' if fixed == 1 else 'fixed'

  def _prove(self, inputs: np.ndarray) -> None:
    """Finds out whether a graph of unknown input keeps images apart."""
    pair = np.concatenate([inputs[:1], batching.other_than(inputs[:1])])
    try:
      is_apart = batching.keeps_images_apart(self._everything, pair)
    except GraphError:
      is_apart = False
    if not is_apart:
      logging.info('%s: takes one image at a time.', self.name)
      self.batch_size = 1
      self.summary = dataclasses.replace(self.summary, batching='one_at_a_time')
    self._is_proven = True

  def _probe(self, count: int) -> np.ndarray:
    """Returns inputs made of noise, in the range of T if that fits them."""
    sides = [side or _UNKNOWN_SIDE for side in self.input_shape]
    rng = np.random.default_rng(0)
    image_shape = (count, max(sides), max(sides), 3)
    try:
      probe = self.preprocessing(
        rng.integers(256, size=image_shape, dtype='u1')
      )
      if probe.shape == (count, *sides):
        return probe
    except PreprocessingError:
      pass  # T wants other images; their range is unknown then.
    noise = rng.uniform(size=(count, *sides))
    return noise.astype(self._input.dtype.as_numpy_dtype)

  def _everything(self, inputs: np.ndarray) -> list[batching.Result]:
    """Returns the representation, and the gradients of all rules."""
    gradients, representation = self._run(
      (self._gradients, self._representation), inputs
    )
    return [batching.Result(representation)] + [
      batching.Result(values, _RULED_TOLERANCE)
      if rule
      else batching.Result(values)
      for rule, values in gradients.items()
    ]

  def _gradient(self, target: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of `target` [N], of every image by itself."""
    try:
      (gradient,) = tf.gradients(target, self._input)
    except LookupError as error:
      raise UnsupportedOpError(
        f'An operation of the graph has no gradient: {error}'
      ) from error
    if gradient is None:
      raise GraphError(
        f'{self._representation.name!r} has no gradient with respect to '
        f'{self._input.name!r}: every way between them passes an operation '
        'that blocks gradients.'
      )
    return tf.convert_to_tensor(gradient)

  def explain(self, images: np.ndarray, inverse: bool = True) -> Explanation:
    """Returns a map of every method for every image.

    The result for an image does not depend on the other images.

    Args:
      images: [N, H, W, C], uint8 or float in [0, 1].
      inverse: Whether maps are brought back to the images' coordinates.

    Raises:
      PreprocessingError: If the images do not fit T or the encoder.
      GraphError: If TensorFlow cannot run the graph on them.
    """
    if self._session is None:
      raise ValueError(f'{self.name}: the explainer is closed.')
    images = np.atleast_1d(images)
    maps = {method.name: [] for method in self.methods}
    representations = []
    if not self._is_proven and len(images):
      self._prove(self._preprocess(images[:1]))
    # No images at all still meet the check of T, which refuses them.
    for start in range(0, max(1, len(images)), self.batch_size):
      batch = images[start : start + self.batch_size]
      inputs = self._preprocess(batch)
      batch_maps, representation = self._explain_batch(inputs)
      representations.append(representation)
      for name, values in batch_maps.items():
        if inverse:
          values = self.preprocessing.inverse(values, batch.shape[1:])
        maps[name].append(values)
    return Explanation(
      {name: np.concatenate(values) for name, values in maps.items()},
      np.concatenate(representations),
    )

  def _preprocess(self, images: np.ndarray) -> np.ndarray:
    try:
      inputs = self.preprocessing(images)
    except PreprocessingError as error:
      raise PreprocessingError(f'{self.name}: {error}') from error
    expected = self.input_shape
    actual = inputs.shape[1:]
    if any(e not in (None, a) for e, a in zip(expected, actual, strict=True)):
      raise PreprocessingError(
        f'{self.name}: the encoder takes inputs of shape {expected}, but '
        f'"{self.preprocessing}" makes {actual} of images of shape '
        f'{images.shape[1:]}.'
      )
    return inputs

  def _explain_batch(
    self, inputs: np.ndarray
  ) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns maps [n, h, w, c] and representations of at most a batch."""
    count = len(inputs)
    filling = np.repeat(inputs[-1:], self.batch_size - count, axis=0)
    inputs = np.concatenate([inputs, filling])
    gradients, representation = self._run(
      (self._gradients, self._representation), inputs
    )
    if representation.shape[:1] != inputs.shape[:1]:
      raise GraphError(
        f'{self.name}: the representation has the shape '
        f'{representation.shape} for {len(inputs)} images; its first '
        'dimension must be the images.'
      )
    units = representation[0].size
    maps = {}
    for method in self.methods:
      if method.per_unit:
        values = self._mean_over_units(method, inputs, units)
      else:
        gradient = self._mean_gradient(method, inputs, gradients[method.rule])
        values = method.attribute(inputs, gradient)
      maps[method.name] = values[:count].astype(np.float32, copy=False)
    return maps, representation[:count].astype(np.float32, copy=False)

  def _mean_gradient(
    self, method: AttributionMethod, inputs: np.ndarray, known: np.ndarray
  ) -> np.ndarray:
    """Returns the mean gradient over the method's points, one at a time.

    Args:
      method: Says at which points.
      inputs: [N, ...].
      known: The gradient at `inputs`.
    """
    total, count = np.zeros(inputs.shape, np.float64), 0
    for point in method.points(inputs):
      if point is inputs:
        gradient = known
      else:
        gradient = self._run(self._gradients[method.rule], point)
      total += gradient
      count += 1
    return (total / count).astype(inputs.dtype)

  def _mean_over_units(
    self, method: AttributionMethod, inputs: np.ndarray, units: int
  ) -> np.ndarray:
    """Returns the mean of the maps of single units, one at a time."""
    total = np.zeros(inputs.shape, np.float64)
    for unit in range(units):
      gradient = self._run(
        self._unit_gradients[method.rule], inputs, {self._unit: unit}
      )
      total += method.attribute(inputs, gradient)
    return total / units

  def _run(self, fetches, inputs: np.ndarray, feed: Mapping | None = None):
    try:
      return self._session.run(fetches, {self._input: inputs, **(feed or {})})
    except tf.errors.OpError as error:
      raise GraphError(
        f'{self.name}: TensorFlow cannot run the graph on inputs of shape '
        f'{inputs.shape}: {error.message.splitlines()[0]}'
      ) from error

  def close(self) -> None:
    """Frees the session; the explainer cannot be used afterwards."""
    if self._session is not None:
      self._session.close()
      self._session = None
      # The tensors would keep the graph, with all its constants.
      self._input = self._representation = self._unit = None
      self._gradients = self._unit_gradients = {}

  def __enter__(self) -> 'Explainer':
    return self

  def __exit__(self, *exception) -> None:
    self.close()


def _as_methods(
  methods: Sequence[str | AttributionMethod], per_unit: bool
) -> tuple[AttributionMethod, ...]:
  if isinstance(methods, str) or not methods:
    raise ValueError(f'methods must be a list of methods, not {methods!r}.')
  created = [
    methods_lib.create(m) if isinstance(m, str) else m for m in methods
  ]
  if len({method.name for method in created}) != len(created):
    names = ', '.join(method.name for method in created)
    raise ValueError(f'A method is asked for twice: {names}.')
  if per_unit:
    created = [m.for_each_unit() for m in created]
  return tuple(created)


def _with_inferred_shape(
  subgraph: graph_lib.SubGraph,
  graph_def: tf.compat.v1.GraphDef,
  input_tensor: str,
) -> graph_lib.SubGraph:
  """Returns the graph with its input's shape, if what is before it tells."""
  try:
    before, tensor = graph_lib.upstream(graph_def, input_tensor)
  except GraphError:
    return subgraph  # Operations that TensorFlow is not to be given.
  shape = session.static_shape(before, tensor)
  return graph_lib.with_input_shape(subgraph, shape) if shape else subgraph


def _checked_input_shape(
  subgraph: graph_lib.SubGraph,
) -> tuple[int | None, ...]:
  if subgraph.input_type not in (tf.float16, tf.float32, tf.float64):
    behind = graph_lib.first_floats(subgraph)
    raise GraphError(
      f'The input {subgraph.input_tensor!r} has the type '
      f'{subgraph.input_type.name}, through which no gradient flows; choose '
      'the first floating-point image tensor behind it as the input: '
      f'{", ".join(behind[:5]) or "there is none"}.'
    )
  shape = subgraph.input_shape
  if shape is None:
    return (None,) * 4
  if len(shape) != 4:
    raise GraphError(
      f'The input {subgraph.input_tensor!r} has the shape {shape}; images '
      'need [N, height, width, channels].'
    )
  return shape
