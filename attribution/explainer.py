"""Explains images through a frozen encoder: NumPy in, NumPy out."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from attribution import layer_marks, overrides
from attribution import methods as methods_lib
from attribution.feature_maps import CutNetwork
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing, PreprocessingError
import frozen_graphs
from frozen_graphs import folding, narrowing
from frozen_graphs.errors import GraphError, about


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
      constant, or `half`, a signal that gets half of the relevance), and of
      linear layers by kind, if a method has rules for them; empty if no method
      overrides gradients.
    batching: Of how many images the graph takes, see `Passes.batching`.
  """

  operations: Mapping[str, int]
  ruled: Mapping[str, int]
  batching: str = 'open'

  @property
  def num_ruled(self) -> int:
    return sum(self.ruled.values())


class Explainer:
  """Computes attribution maps of one encoder; built once, for any N.

  All methods share the forward pass, and methods with the same gradients share
  a backward pass: saliency, gradient_times_input and elrp together take one
  forward and two backward passes. Images are processed in batches of a fixed
  size, the last one filled up.

  Attributes:
    name: Of the encoder, for messages.
    digest: Of the encoder's network.
    input_shape: (h, w, c) of the encoder's input, None where it is open; or
      (c, h, w), if the graph was made so.
    preprocessing: T.
    methods: The methods, in the order of the maps.
    probe_methods: Those of the maps of directions.
  """

  def __init__(
    self,
    graph: frozen_graphs.Network | tf.compat.v1.GraphDef | str | os.PathLike,
    *,
    input_tensor: str | None = None,
    representation_tensor: str | None = None,
    preprocessing: str | Preprocessing = 'range(0, 1)',
    methods: Sequence[str | AttributionMethod] = ('elrp',),
    batch_size: int = 32,
    device: str | None = None,
    precision: str = narrowing.SINGLE,
    per_unit: bool = False,
    probe_methods: Sequence[str | AttributionMethod] = (),
    is_directed: bool = False,
    name: str = 'encoder',
  ):
    """Builds the graph of the encoder and its gradients.

    Args:
      graph: A network, or whatever `frozen_graphs.load` makes one of.
      input_tensor: A float tensor [N, h, w, c] (or [N, c, h, w]); default: the
        network's, as is that of the representation.
      representation_tensor: A tensor [N, ...] computed from it.
      preprocessing: T, from an image to the encoder's input.
      methods: Names or methods.
      batch_size: Images that are processed at once.
      device: For example '/GPU:0'; default: TensorFlow's choice.
      precision: `float32`, or the half precision of convolutions and products
        of matrices, `bfloat16` or `float16`; see `narrowing.narrow`.
      per_unit: Saliency as the mean over units of |gradient of the unit|.
      probe_methods: Methods of the maps of directions, see `probe`; linear in
        one gradient.
      is_directed: Whether maps are those of sums of units with weights that
        `explain` is given, and not of their mean.
      name: Of the encoder, for messages; a network has its own.

    Raises:
      GraphError: If the graph cannot be used, or an operation has no rule.
      ValueError: If another argument is wrong.
    """
    if isinstance(preprocessing, str):
      preprocessing = Preprocessing.parse(preprocessing)
    self.preprocessing = preprocessing
    self.methods = _as_methods(methods, per_unit)
    if is_directed and any(method.per_unit for method in self.methods):
      raise ValueError('`per_unit` and `is_directed` exclude each other.')
    self._is_directed = is_directed
    self.probe_methods = _as_probe_methods(probe_methods)
    # Its weights are not kept: the passes have them.
    network = _as_network(graph, input_tensor, representation_tensor, name)
    self.name, self.digest = network.name, network.digest
    self.input_shape = network.input_shape
    self._operations = dict(network.operations)
    computing = {
      'batch_size': batch_size,
      'device': device,
      'precision': precision,
    }
    self._passes = self._built(network, computing)
    self._cut(network, computing)

  def _cut(
    self, network: frozen_graphs.Network, computing: Mapping[str, Any]
  ) -> None:
    """Makes the networks of the methods that look at feature maps.

    Nothing is left open if one cannot be made.
    """
    self._features: dict[str, CutNetwork] = {}
    try:
      for method in self.methods:
        if method.at_features:
          self._features[method.name] = CutNetwork(
            network,
            getattr(method, 'layer', None),
            is_directed=self._is_directed,
            **computing,
          )
    except BaseException:
      self.close()
      raise

  def _built(
    self, network: frozen_graphs.Network, computing: Mapping[str, Any]
  ) -> frozen_graphs.Passes:
    """Returns the passes that all methods need; notes what has a rule."""
    subgraph, self._ruled = network.subgraph, {}
    every = (*self.methods, *self.probe_methods)
    if any(method.rule for method in every):
      rule = methods_lib.product_rule(every)
      subgraph, self._ruled = overrides.marked(network, rule)
    subgraph = folding.fold(subgraph)  # After it is marked, see there.
    if any(method.by_layer for method in every):
      subgraph, layers = layer_marks.mark_layers(subgraph)
      self._ruled = {**self._ruled, **layers}
    at_input = [m.rule for m in self.methods if not m.at_features]
    along = [method.rule for method in self.probe_methods]
    is_directed = self._is_directed
    with about(self.name):
      return frozen_graphs.Passes(
        subgraph,
        rules=() if is_directed else at_input,
        unit_rules=[m.rule for m in self.methods if m.per_unit],
        probe_rules=[*along, *at_input] if is_directed else along,
        scope=overrides.active_rule,
        name=self.name,
        sample=self._inputs_to_try,
        **computing,
      )

  @property
  def summary(self) -> Summary:
    """What was found in the graph."""
    found = dict(self._operations), dict(self._ruled)
    return Summary(*found, self._passes.batching)

  @property
  def batch_size(self) -> int:
    """Images processed at once."""
    return self._passes.batch_size

  def _inputs_to_try(
    self, count: int, sides: Sequence[int]
  ) -> np.ndarray | None:
    """Returns inputs made of noise, in the range of T if that fits them."""
    rng = np.random.default_rng(0)
    noise = rng.integers(
      256, size=(count, max(sides), max(sides), 3), dtype='u1'
    )
    try:
      inputs = self.preprocessing(noise)
    except PreprocessingError:
      return None  # T wants other images; their range is unknown then.
    return inputs if inputs.shape == (count, *sides) else None

  def explain(
    self,
    images: np.ndarray,
    inverse: bool = True,
    directions: np.ndarray | None = None,
    may_be_infinite: bool = False,
  ) -> Explanation:
    """Returns a map of every method for every image.

    The result for an image does not depend on the other images.

    Args:
      images: [N, H, W, C], uint8 or float in [0, 1].
      inverse: Whether maps are brought back to the images' coordinates.
      directions: If the explainer is directed: the weights [N, D] of the units
        of each image's representation, flattened, whose sum is explained; a
        row of the unit matrix for a single class of a classifier.
      may_be_infinite: Whether maps that are not finite are returned too, to a
        caller who knows what to do with them.

    Raises:
      PreprocessingError: If the images do not fit T or the encoder.
      GraphError: If TensorFlow cannot run the graph on them, or makes maps of
        them that are not finite.
      ValueError: If directions are missing, not wanted, or do not fit.
    """
    images = np.atleast_1d(images)
    directions = self._check_directions(images, directions)
    maps, representations = {m.name: [] for m in self.methods}, []
    if len(images):
      self._passes.prove(self._preprocess(images[:1]))
    # No images at all still meet the check of T, which refuses them.
    for start in range(0, max(1, len(images)), self.batch_size):
      batch = images[start : start + self.batch_size]
      inputs = self._preprocess(batch)
      along = None
      if directions is not None:
        along = directions[start : start + self.batch_size]
      batch_maps, representation = self._explain_batch(inputs, along)
      if not may_be_infinite:
        self._check_finite(batch_maps, start)
      representations.append(representation)
      for name, values in batch_maps.items():
        if inverse:
          values = self.preprocessing.inverse(values, batch.shape[1:])
        maps[name].append(values)
    return Explanation(
      {name: np.concatenate(values) for name, values in maps.items()},
      np.concatenate(representations),
    )

  def _check_finite(self, maps: Mapping[str, np.ndarray], start: int) -> None:
    """Raises GraphError if maps of images `start`, ... are not finite."""
    for name, values in maps.items():
      finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
      if not finite.all():
        image = start + int(finite.argmin())
        raise GraphError(
          f'{self.name}: the attribution map of image {image} by {name} is not '
          'finite. The network overflows, or divides by zero, on the image; '
          'leave it out, or choose a representation before that.'
        )

  def refuse_mixing(self, images: np.ndarray) -> None:
    """Raises GraphError if images [N, H, W, C], N >= 2, influence each other.

    One forward pass of them, and one with others in place of all but the first.
    """
    self._passes.refuse_mixing(self._preprocess(images))

  def count_units(self, images: np.ndarray) -> int:
    """Returns D, the numbers that represent each of the images."""
    inputs = self._preprocess(images[:1])
    self._passes.prove(inputs)
    return self._passes.count_units(inputs)

  def probe(
    self,
    method: str,
    images: np.ndarray,
    directions: np.ndarray,
    inverse: bool = True,
  ) -> np.ndarray:
    """Returns a map for each direction in the space of representations.

    That of a direction v is the method's map of the sum v . R instead of the
    mean over units: a row of v^T J, for the plain gradient. All K backward
    passes of an image share its forward pass.

    Args:
      method: Name of one of `probe_methods`.
      images: [N, H, W, C], uint8 or float in [0, 1].
      directions: Real [N, K, D], the weights of the D units of each image's
        representation, flattened.
      inverse: Whether maps are brought back to the images' coordinates.

    Returns:
      float32 [N, K, H, W, C], or [N, K, h, w, c] in the coordinates of the
      encoder's input.

    Raises:
      PreprocessingError: If the images do not fit T or the encoder.
      GraphError: If TensorFlow cannot run the graph on them.
      ValueError: If the method is none of `probe_methods`, or the directions
        are not finite, or do not fit the images or the representation.
    """
    known = {each.name: each for each in self.probe_methods}
    if method not in known:
      raise ValueError(f'{method!r} is none of the probe_methods, {[*known]}.')
    images, directions = np.asarray(images), _as_directions(directions)
    shape = directions.shape
    if len(shape) != 3 or shape[0] != len(images) or not shape[1]:
      raise ValueError(
        f'directions have the shape {shape}; give [{len(images)} images, K, '
        'units], K at least 1.'
      )
    inputs = self._preprocess(images)
    self._passes.prove(inputs[:1])
    units = self._passes.count_units(inputs)
    if directions.shape[2] != units:
      raise ValueError(
        f'directions have {directions.shape[2]} weights each, but the '
        f'representation has {units} units.'
      )
    rule = known[method].rule
    gradients = self._passes.probe(
      rule, inputs, np.asarray(directions, inputs.dtype)
    )
    maps = known[method].attribute(inputs[:, None], gradients)
    if inverse:
      flat = maps.reshape(-1, *maps.shape[2:])
      flat = self.preprocessing.inverse(flat, images.shape[1:])
      maps = flat.reshape(*maps.shape[:2], *flat.shape[1:])
    return maps.astype(np.float32, copy=False)

  def _preprocess(self, images: np.ndarray) -> np.ndarray:
    try:
      inputs = self.preprocessing(images)
    except PreprocessingError as error:
      raise PreprocessingError(f'{self.name}: {error}') from error
    expected, actual = self.input_shape, inputs.shape[1:]
    if any(e not in (None, a) for e, a in zip(expected, actual, strict=True)):
      raise PreprocessingError(
        f'{self.name}: the encoder takes inputs of shape {expected}, but '
        f'"{self.preprocessing}" makes {actual} of images of shape '
        f'{images.shape[1:]}.'
      )
    return inputs

  def _check_directions(
    self, images: np.ndarray, directions: np.ndarray | None
  ) -> np.ndarray | None:
    if (directions is not None) != self._is_directed:
      raise ValueError(
        'An explainer that `is_directed` needs `directions`; another takes '
        'none.'
      )
    if directions is None:
      return None
    directions = _as_directions(directions)
    wanted = len(images), self.count_units(images)
    if directions.shape != wanted:
      raise ValueError(
        f'directions have the shape {directions.shape}, but must have '
        f'{wanted}, the images and the units of their representation.'
      )
    return directions

  def _explain_batch(
    self, inputs: np.ndarray, directions: np.ndarray | None
  ) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns maps [n, h, w, c] and representations of at most a batch."""
    found = self._passes.run(inputs)
    representation = found.representation
    maps, known = {}, dict(found.gradients)
    for method in self.methods:
      if method.per_unit:
        values = self._mean_over_units(method, inputs, representation[0].size)
      elif method.at_features:
        cut = self._features[method.name]
        values = method.attribute(*cut.gradients(inputs, directions))
        values = cut.enlarged(values, inputs.shape[1:])
      else:
        if method.rule not in known:
          known[method.rule] = self._gradient(method.rule, inputs, directions)
        gradient = self._mean_gradient(
          method, inputs, known[method.rule], directions
        )
        values = method.attribute(inputs, gradient)
      maps[method.name] = values.astype(np.float32, copy=False)
    return maps, representation.astype(np.float32, copy=False)

  def _gradient(
    self, rule, inputs: np.ndarray, directions: np.ndarray | None
  ) -> np.ndarray:
    """Returns a rule's gradient of the mean, or along the directions."""
    if directions is None:
      return self._passes.gradient(rule, inputs)
    along = np.asarray(directions, inputs.dtype)[:, None]
    return self._passes.probe(rule, inputs, along)[:, 0]

  def _mean_gradient(
    self,
    method: AttributionMethod,
    inputs: np.ndarray,
    known: np.ndarray,
    directions: np.ndarray | None,
  ) -> np.ndarray:
    """Returns the mean gradient over a method's points; `known` at `inputs`."""
    total, count = known, 0
    for point in method.points(inputs):
      if point is inputs:
        gradient = known
      else:
        gradient = self._gradient(method.rule, point, directions)
      # One alone stays as it is, but that no zero has a sign.
      kind = np.float64 if count else gradient.dtype
      total = np.add(total if count else 0, gradient, dtype=kind)
      count += 1
    return total if count == 1 else (total / count).astype(inputs.dtype)

  def _mean_over_units(
    self, method: AttributionMethod, inputs: np.ndarray, units: int
  ) -> np.ndarray:
    """Returns the mean of the maps of single units, one at a time."""
    total = np.zeros(inputs.shape, np.float64)
    for unit in range(units):
      gradient = self._passes.unit_gradient(method.rule, unit, inputs)
      total += method.attribute(inputs, gradient)
    return total / units

  def close(self) -> None:
    """Frees the session; the explainer cannot be used afterwards."""
    self._passes.close()
    for cut in self._features.values():
      cut.close()

  def __enter__(self) -> 'Explainer':
    return self

  def __exit__(self, *exception) -> None:
    self.close()


def _as_network(
  graph, input_tensor: str | None, representation: str | None, name: str
) -> frozen_graphs.Network:
  if not isinstance(graph, frozen_graphs.Network):
    with about(name):
      return frozen_graphs.load(
        graph, input=input_tensor, representation=representation, name=name
      )
  if representation or input_tensor:
    return graph.at(representation or graph.representation_tensor, input_tensor)
  return graph


def _as_methods(
  methods: Sequence[str | AttributionMethod], per_unit: bool
) -> tuple[AttributionMethod, ...]:
  if isinstance(methods, str) or not isinstance(methods, Iterable):
    raise ValueError(f'methods must be a list of methods, not {methods!r}.')
  created = [
    methods_lib.create(m) if isinstance(m, str) else m for m in methods
  ]
  if not created:
    raise ValueError('methods is an empty list; give one or more.')
  for method in created:
    if not isinstance(method, AttributionMethod):
      raise ValueError(
        f'{method!r:.60} is no method; give names, or what '
        'attribution.methods.create returns.'
      )
  names = [method.name for method in created]
  if len(set(names)) != len(names):
    raise ValueError(f'A method is asked for twice: {", ".join(names)}.')
  return tuple(m.for_each_unit() if per_unit else m for m in created)


def _as_directions(directions: np.ndarray) -> np.ndarray:
  """Returns directions as an array; raises ValueError if they are none."""
  directions = np.asarray(directions)
  if directions.dtype.kind not in 'iufb' or not np.isfinite(directions).all():
    raise ValueError('directions must be real and finite numbers.')
  return directions


def _as_probe_methods(
  methods: Sequence[str | AttributionMethod],
) -> tuple[AttributionMethod, ...]:
  if not methods:
    return ()
  created = _as_methods(methods, False)
  for method in created:
    methods_lib.check_directed(method)
  return created
