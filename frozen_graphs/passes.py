"""Forward and backward passes of a checked graph.

A graph made for a fixed batch is given any number of images if that is found to
keep them apart, else the fixed number at a time.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import functools
import re

from absl import logging
import numpy as np
import tensorflow as tf

from frozen_graphs import batching, built, folding, narrowing, session, weights
from frozen_graphs import graph as graph_lib
from frozen_graphs.batch_sizes import BatchSize
from frozen_graphs.built import BuildPlan, Built, Rule, Scope
from frozen_graphs.errors import GraphError, ShortMemoryError, about
from frozen_graphs.graph import SubGraph

# Lines of TensorFlow's messages before the one that tells what is wrong.
_PREAMBLE = re.compile(r'Graph execution error|Detected at|\s|File|Node: ')
_UNKNOWN_SIDE = 64  # Pixels, where a graph with a fixed batch leaves it open.
# How much results of a rule may differ: f(z) / z changes fast near z = 0.
_RULED_TOLERANCE = 2e-2
_SHORT = (tf.errors.ResourceExhaustedError, MemoryError)
_PROBE_BYTES = 2**26  # Of rows computed at once.


@dataclasses.dataclass(frozen=True)
class Result:
  """Of a batch.

  Attributes:
    representation: [n, ...].
    gradients: By rule, [n, height, width, channels]: of the mean over the units
      of each image's representation, with respect to the input.
    layers: By name, the other tensors that were asked for, [n, ...].
  """

  representation: np.ndarray
  gradients: Mapping[Rule, np.ndarray]
  layers: Mapping[str, np.ndarray]


class Passes(contextlib.AbstractContextManager):
  """A graph given to TensorFlow, with a backward pass for each rule.

  Attributes:
    batch_size: Inputs computed at once, at most; see `batch_sizes`.
    batching: `open`, if the graph takes any number of images; `rebatched`, if
      it was made for a fixed number, but takes any and keeps images apart, as
      was tried; `one_at_a_time` or `fixed`, if it does not: it gets one, or the
      number that it was made for.
  """

  def __init__(
    self,
    subgraph: SubGraph,
    *,
    rules: Sequence[Rule] = (),
    unit_rules: Sequence[Rule] = (),
    probe_rules: Sequence[Rule] = (),
    layers: Sequence[str] = (),
    scope: Scope = lambda rule: contextlib.nullcontext(),
    batch_size: int = 32,
    device: str | None = None,
    precision: str = narrowing.SINGLE,
    name: str = 'network',
    sample: Callable[[int, Sequence[int]], np.ndarray] | None = None,
  ):
    """Imports the graph and builds the backward passes.

    Args:
      subgraph: The graph.
      rules: Of the backward passes.
      unit_rules: Those of single units' backward passes, see `unit_gradient`.
      probe_rules: Those of backward passes along directions, see `probe`.
      layers: Names of other tensors [N, ...] that `run` returns.
      scope: A context within which gradients follow a rule.
      batch_size: Inputs computed at once.
      device: For example '/GPU:0'; default: TensorFlow's choice.
      precision: Of products, see `narrowing.narrow`.
      name: For messages.
      sample: Returns inputs [count, *sides] like those to come, or None, on
        which a graph made for a fixed batch is tried; default: uniform noise.

    Raises:
      GraphError: If TensorFlow cannot import or differentiate the graph, or the
        images of a batch influence each other.
    """
    if batch_size < 1:
      raise ValueError(f'batch_size must be at least 1, but is {batch_size}.')
    self.batch_size, self.batching = batch_size, 'open'
    self._name, self._sample = name, sample
    self._built: Built | None = None
    self._plan = BuildPlan(
      *(
        tuple(dict.fromkeys(each))
        for each in (rules, unit_rules, probe_rules, layers)
      ),
      scope=scope,
      # Parts of a mean are too small for float16.
      takes_sums=precision == 'float16',
    )
    self._is_proven = subgraph.input_shape is not None
    self._twin: Callable[[], Passes] | None = None
    if precision == narrowing.SINGLE:
      build = self._build if _is_open(subgraph) else self._build_fixed
      build(subgraph, device)
      return
    options = {'rules': rules, 'scope': scope, 'batch_size': batch_size}
    options |= {'device': device, 'name': name, 'sample': sample}
    self._twin = functools.partial(Passes, subgraph, **options)
    self._build_half(subgraph, precision, device)

  def _build_half(
    self, subgraph: SubGraph, precision: str, device: str | None
  ) -> None:
    if not _is_open(subgraph) and self._batched_like_twin() == 'rebatched':
      subgraph = graph_lib.with_open_batch(subgraph)
    # Folded first, so that weights are rounded once.
    folded = folding.fold(subgraph, self._plan.layers)
    self._build(narrowing.narrow(folded, precision), device)
    if self._is_proven:
      self._twin = None  # It would keep the graph.

  def _batched_like_twin(self, inputs: np.ndarray | None = None) -> str:
    """Finds out how to batch from the graph of single precision.

    Rounding that turns a unit on looks as if images influenced each other.
    """
    assert self._twin is not None
    with self._twin() as twin:
      if inputs is not None:
        twin.prove(inputs)
      self.batch_size, self.batching = twin.batch_size, twin.batching
    return self.batching

  def _build(self, subgraph: SubGraph, device: str | None) -> None:
    session.check_device(device)
    whole, self._weights = subgraph, {}
    if not session.is_gpu(device):  # To which they would go for each batch.
      subgraph, self._weights = weights.taken_out(subgraph)
    plan = dataclasses.replace(self._plan, device=device)
    self._built = built.take(subgraph, plan)
    is_open = session.has_open_pools(self._built.session.graph)
    self._pooled = whole if is_open else None
    self._checked: set[tuple[int, ...]] = set()  # Shapes of inputs.
    self._sizes = BatchSize(self.batch_size, session.is_gpu(device))

  def _build_fixed(self, subgraph: SubGraph, device: str | None) -> None:
    """Builds a graph made for a fixed batch, with an open one if it can be."""
    fixed, *sides = (side or _UNKNOWN_SIDE for side in subgraph.input_shape)
    try:
      self._build(graph_lib.with_open_batch(subgraph), device)
      pair = self._inputs_to_try(2, sides)
      if batching.keeps_images_apart(self._everything, pair):
        logging.info(
          '%s: made for batches of %d, takes any.', self._name, fixed
        )
        self.batching = 'rebatched'
        return
    except (GraphError, ValueError):
      pass  # Something in the graph knows the batch size: as it was made, then.
    self.close()
    self._build(subgraph, device)
    self.batch_size = fixed
    inputs = self._inputs_to_try(fixed, sides)
    if batching.mixes_images(self._everything, inputs):
      raise GraphError(
        f'The graph takes {fixed} images at a time, which influence each '
        'other; freeze it for inference on single images.'
      )
    logging.info('%s: takes %d image(s) at a time.', self._name, fixed)
    self.batching = 'one_at_a_time' if fixed == 1 else 'fixed'

  def _inputs_to_try(self, count: int, sides: Sequence[int]) -> np.ndarray:
    found = self._sample(count, sides) if self._sample else None
    if found is None:
      noise = np.random.default_rng(0).uniform(size=(count, *sides))
      found = noise.astype(self._open.input.dtype.as_numpy_dtype)
    return found

  def prove(self, inputs: np.ndarray) -> None:
    """Finds out whether a graph of unknown input keeps images apart.

    Args:
      inputs: One, or more, as they will come; [n, ...].
    """
    if self._is_proven or not len(inputs):
      return
    if self._twin is not None:
      self._batched_like_twin(inputs)
      self._is_proven, self._twin = True, None
      return
    pair = np.concatenate([inputs[:1], batching.other_than(inputs[:1])])
    try:
      is_apart = batching.keeps_images_apart(self._everything, pair)
    except GraphError:
      is_apart = False
    if not is_apart:
      logging.info('%s: takes one image at a time.', self._name)
      self.batch_size = 1
      self.batching = 'one_at_a_time'
    self._is_proven = True

  def refuse_mixing(self, inputs: np.ndarray) -> None:
    """Raises GraphError if a graph mixes the images that it is given at once.

    One made for a fixed number, or of unknown input, is tried anyway.

    Args:
      inputs: [n, ...], two or more that are not the same.
    """

    def run(inputs: np.ndarray) -> list[batching.GraphOutcome]:
      values = self._fetch(self._open.representation, inputs)
      # What is not finite is no other image's fault.
      return [batching.GraphOutcome(np.nan_to_num(values, posinf=0, neginf=0))]

    if self.batching == 'open' and batching.mixes_images(run, inputs):
      raise GraphError(
        f'{self._name}: what it gives for an image depends on the other images '
        'of a batch, which influence each other; save it for inference on '
        'single images, or choose a representation before they are mixed.'
      )

  def _everything(self, inputs: np.ndarray) -> list[batching.GraphOutcome]:
    """Returns the representation, and the gradients of all rules."""
    graph = self._open
    gradients, representation = self._fetch(
      (graph.gradients, graph.representation), inputs
    )
    self._check_images(representation, inputs)
    return [batching.GraphOutcome(representation)] + [
      batching.GraphOutcome(values, _RULED_TOLERANCE)
      if rule
      else batching.GraphOutcome(values)
      for rule, values in gradients.items()
    ]

  def run(self, inputs: np.ndarray) -> Result:
    """Returns what at most `batch_size` inputs [n, ...] give.

    The batch is filled up, so that every one is of the same size.

    Raises:
      GraphError: If TensorFlow cannot run the graph on them.
    """
    graph = self._open
    wanted = [*graph.gradients.values(), *graph.layers.values()]
    representation, *others = self._by_batches(
      [graph.representation, *wanted], inputs
    )
    gradients = dict(zip(graph.gradients, others, strict=False))
    layers = dict(zip(graph.layers, others[len(gradients) :], strict=True))
    return Result(representation, gradients, layers)

  def gradient(self, rule: Rule, inputs: np.ndarray) -> np.ndarray:
    """Returns the gradient of one rule at at most `batch_size` inputs."""
    (found,) = self._by_batches([self._open.gradients[rule]], inputs)
    return found

  def unit_gradient(
    self, rule: Rule, unit: int, inputs: np.ndarray
  ) -> np.ndarray:
    """Returns the gradient of one unit at at most `batch_size` inputs."""
    graph = self._open
    wanted, feed = [graph.unit_gradients[rule]], {graph.unit: unit}
    (found,) = self._by_batches(wanted, inputs, feed)
    return found

  def _by_batches(
    self,
    wanted: Sequence[tf.Tensor],
    inputs: np.ndarray,
    feed: Mapping | None = None,
  ) -> list[np.ndarray]:
    """Returns tensors [n, ...] of as many inputs at once as memory holds."""
    parts: list[list[np.ndarray]] = []
    start = 0
    while start < len(inputs) or not parts:
      size = self.batch_size
      if self.batching in ('open', 'rebatched'):
        size = min(size, self._sizes.size)
      part = inputs[start : start + size]
      filled = filled_up(part, size)
      self._sizes.begins()
      try:
        found = self._fetch(wanted, filled, feed)
      except ShortMemoryError:
        if not self._sizes.failed():
          raise
        continue
      self._sizes.fitted()
      for values in found:
        self._check_images(values, filled)
      parts.append([values[: len(part)] for values in found])
      start += size
    if len(parts) == 1:
      return parts[0]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]

  def _check_images(self, values: np.ndarray, inputs: np.ndarray) -> None:
    """Raises GraphError if results are not of each image."""
    if values.shape[:1] != inputs.shape[:1]:
      raise GraphError(
        f'{self._name}: the representation has the shape {values.shape} for '
        f'{len(inputs)} images; its first dimension must be the images.'
      )

  def count_units(self, inputs: np.ndarray) -> int:
    """Returns D, the numbers of a representation of inputs [n, ...], n >= 1."""
    sides = self._open.representation.shape[1:]
    if sides.is_fully_defined():
      return sides.num_elements()
    return self.run(inputs[:1]).representation[0].size

  def probe(
    self, rule: Rule, inputs: np.ndarray, directions: np.ndarray
  ) -> np.ndarray:
    """Returns gradients of weighted sums of units: rows v^T J of a Jacobian.

    The K backward passes of an input share its forward pass. So many inputs are
    computed at once that their rows take at most about 64 MB, and no more than
    `batch_size`.

    Args:
      rule: One of `probe_rules`.
      inputs: [n, ...], any number.
      directions: [n, K, D]: of each input K weights v of its D units, in the
        order of the flattened representation.

    Returns:
      [n, K, *sides of the input].

    Raises:
      GraphError: If TensorFlow cannot run the graph on them.
    """
    rows = inputs[:1].nbytes * directions.shape[1]
    size = self.batch_size
    if self.batching in ('open', 'rebatched'):
      size = min(size, self._sizes.size)
      most = max(1, min(size, _PROBE_BYTES // max(1, rows)))
      # So that none is computed only to fill up, as far as that is possible.
      size = -(-len(inputs) // -(-len(inputs) // most))
    found = []
    for start in range(0, len(inputs), size):
      chosen = slice(start, start + size)
      batch = filled_up(inputs[chosen], size)
      along = np.moveaxis(filled_up(directions[chosen], size), 1, 0)
      feed = {self._open.directions: along}
      values = self._fetch(self._open.probes[rule], batch, feed)
      found.append(np.moveaxis(values, 0, 1)[: len(inputs) - start])
    return np.concatenate(found)

  @property
  def _open(self) -> Built:
    if self._built is None:
      raise ValueError(f'{self._name} is closed.')
    return self._built

  def _fetch(self, fetches, inputs: np.ndarray, feed: Mapping | None = None):
    graph = self._open
    if self._pooled is not None and inputs.shape not in self._checked:
      shaped = graph_lib.with_input_shape(self._pooled, inputs.shape)
      with about(self._name), tf.Graph().as_default():
        session.import_graph(shaped)
      self._checked.add(inputs.shape)
    feed = {graph.input: inputs, **self._weights, **(feed or {})}
    try:
      return graph.session.run(fetches, feed)
    except (tf.errors.OpError, MemoryError, RuntimeError, ValueError) as error:
      is_short = isinstance(error, _SHORT)
      kind = ShortMemoryError if is_short else GraphError
      raise kind(
        f'{self._name}: TensorFlow cannot run the graph on inputs of shape '
        f'{inputs.shape}: {_reason(error)}'
      ) from error

  def close(self) -> None:
    """Frees the graph; the passes cannot be run afterwards."""
    if self._built is not None:
      built.give_back(self._built)
      self._built, self._weights = None, {}

  def __exit__(self, *exception) -> None:
    self.close()


def _is_open(subgraph: SubGraph) -> bool:
  """Returns whether a graph takes any number of images, as far as it says."""
  return subgraph.input_shape is None or subgraph.input_shape[0] is None


def filled_up(values: np.ndarray, size: int) -> np.ndarray:
  """Returns values [n, ...] with the last one repeated up to [size, ...]."""
  missing = size - len(values)
  return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])


def _reason(error: Exception) -> str:
  """Returns the line of a message of TensorFlow that says what is wrong."""
  for line in str(getattr(error, 'message', error)).splitlines():
    if line.strip() and not _PREAMBLE.match(line):
      return line.strip()
  return type(error).__name__
