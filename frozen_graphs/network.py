"""One network: a frozen graph from images to a representation, loaded once."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from frozen_graphs import folding, narrowing, operations, session
from frozen_graphs import graph as graph_lib
from frozen_graphs.budget import Budget
from frozen_graphs.errors import GraphError, about, at_the_door
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.graph import SubGraph
from frozen_graphs.graph_ends import Shape
from frozen_graphs.passes import Passes, Result
from toolkit_basics import memory

_LISTED = 12
_LARGE = 2**24  # Bytes of a graph that is worth a file.
T = TypeVar('T')


class Network(contextlib.AbstractContextManager):
  """A frozen graph, its input and its representation.

  The file was read when the network was loaded. The graph is checked and cut to
  [input, representation] at the first look at it, and given to TensorFlow when
  it is first run; each happens once.

  Attributes:
    name: For messages.
    inputs: Names of the tensors that images can be fed to, likeliest first.
    outputs: Names of the tensors that the source calls its outputs.
    source: Format and origin.
    graph_def: The whole graph.
  """

  def __init__(
    self,
    frozen: FrozenNetwork,
    input: str | None = None,
    representation: str | None = None,
    name: str = 'network',
  ):
    """Takes a network that a format has read.

    Args:
      frozen: The network.
      input: The tensor of the images; default: its first input.
      representation: The tensor of interest; None if it is chosen later, or
        the source was cut there.
      name: For messages.
    """
    self.name = name
    self.frozen = frozen
    self.inputs, self.outputs = frozen.inputs, frozen.outputs
    self.source, self.graph_def = frozen.source, frozen.graph_def
    self._input = input
    self._representation = representation or frozen.representation or None
    self._forward: Passes | None = None
    self._built_for: tuple | None = None
    self._derived: dict[Hashable, Any] = {}

  def __repr__(self) -> str:
    ends = f'{self._input or (self.inputs or ("?",))[0]} to '
    return f'<Network {self.name}: {ends}{self._representation or "?"}>'

  @functools.cached_property
  def digest(self) -> str:
    """The sha256 of the file, or of the graph if it is none of its own."""
    if self.frozen.digest:
      return self.frozen.digest
    found = hashlib.sha256()
    for part in graph_lib.serialized(self.graph_def):
      found.update(part)
    return found.hexdigest()

  @functools.cached_property
  def size(self) -> int:
    """Bytes of the graph, or of its file if it is one of its own."""
    parts = graph_lib.serialized(self.graph_def)  # ByteSize takes the memory.
    return self.frozen.size or sum(map(len, parts))

  @property
  def input_tensor(self) -> str:
    """Name of the tensor that images are fed to.

    Raises:
      GraphError: If nothing says which it is.
    """
    if self._input is None and not self.inputs:
      raise GraphError(
        'Nothing says where images go in; name the tensor (input).'
      )
    return self._input or self.inputs[0]

  @property
  def representation_tensor(self) -> str:
    """Name of the representation.

    Raises:
      GraphError: If it was not chosen; the message lists some.
    """
    if self._representation is None:
      layers = [n.name for n in self.graph_def.node if n.name.endswith('_out')]
      listed = [f'{n}:0' for n in layers[-_LISTED:]] or self.outputs[:_LISTED]
      raise GraphError(
        'The representation is not given. Choose the most compact tensor '
        'between the part that sees the image and the part that answers. The '
        f'last ones are: {", ".join(listed)}. `python -m '
        'taskonomy_models.inspect` ranks all tensors of a graph.'
      )
    return self._representation

  def at(self, representation: str, input: str | None = None) -> 'Network':
    """Returns the same network with another representation, or input."""
    return Network(self.frozen, input or self._input, representation, self.name)

  def derived(self, key: Hashable, make: Callable[[SubGraph], T]) -> T:
    """Returns what is made of the graph; it is made once for each key."""
    if key not in self._derived:
      self._derived[key] = make(self.subgraph)
    return self._derived[key]

  def assume_input_shape(self, shape: tuple[int | None, ...]) -> None:
    """States [N, height, width, channels], if the graph does not."""
    if self.subgraph.input_shape is None:
      self.subgraph = graph_lib.with_input_shape(self.subgraph, shape)

  @functools.cached_property
  def subgraph(self) -> SubGraph:
    """The checked graph between input and representation.

    Raises:
      GraphError: If the graph cannot be used, see `graph.extract`; or its input
        is no batch of images in floating point.
    """
    what = ': '.join(dict.fromkeys((self.name, self.source)))
    spent = Budget(self.size)
    with at_the_door(what, 'be cut'), about(what), spent.spent():
      subgraph = graph_lib.extract(
        self.graph_def, self.input_tensor, self.representation_tensor
      )
      if subgraph.input_shape is None:
        subgraph = self._with_inferred_shape(subgraph)
      _check_input(subgraph)
    return subgraph

  def _with_inferred_shape(self, subgraph: SubGraph) -> SubGraph:
    """Returns the graph with its input's shape, if what is before it tells."""
    try:
      before, tensor = graph_lib.upstream(self.graph_def, self.input_tensor)
    except GraphError:
      return subgraph  # Operations that TensorFlow is not to be given.
    shape = session.static_shape(before, tensor)
    return graph_lib.with_input_shape(subgraph, shape) if shape else subgraph

  @property
  def input_shape(self) -> tuple[int | None, ...]:
    """[height, width, channels] of the input, None where it is open.

    Or [channels, height, width], if the graph was made so.
    """
    return (self.subgraph.input_shape or (None,) * 4)[1:]

  @property
  def operations(self) -> Mapping[str, int]:
    """Number of nodes by op type, between input and representation."""
    return Counter(node.op for node in self.subgraph.nodes.values())

  def activations(self) -> dict[str, tuple[int | None, ...]]:
    """Returns the shapes of the results of activations, in order, by tensor."""
    kinds = set(operations.activations())
    names = [n for n, node in self.subgraph.nodes.items() if node.op in kinds]
    return {
      f'{name}:0': shape
      for name, shape in zip(
        names, session.static_shapes(self.subgraph, names), strict=True
      )
      if shape is not None
    }

  @property
  def representation_shape(self) -> Shape:
    """Of the representation, [N, ...], None if the graph does not tell it."""
    graph_def = self.subgraph.graph_def()
    return session.static_shape(graph_def, self.subgraph.representation_tensor)

  def passes(self, layers: Sequence[str] = (), **options) -> Passes:
    """Returns forward and backward passes of the folded graph.

    Args:
      layers: See `Passes`, as are other options.
      **options: Others of `Passes`.
    """
    subgraph = self.subgraph
    with at_the_door(self.name, 'be given to TensorFlow'), about(self.name):
      subgraph = folding.fold(subgraph, layers)
      return Passes(subgraph, name=self.name, layers=layers, **options)

  def run(
    self,
    inputs: np.ndarray,
    batch_size: int = 32,
    device: str | None = None,
    precision: str = narrowing.SINGLE,
  ) -> np.ndarray:
    """Returns the representations of inputs, [n, ...], batch by batch.

    Args:
      inputs: [n, height, width, channels], as the graph takes them; at least
        one.
      batch_size: Inputs computed at once.
      device: For example '/GPU:0'; default: TensorFlow's choice.
      precision: Of products, see `narrowing.narrow`.

    Raises:
      GraphError: If TensorFlow cannot run the graph on them.
    """
    if self._built_for != (batch_size, device, precision):
      self.close()
      self._forward = self.passes(
        batch_size=batch_size, device=device, precision=precision
      )
      self._built_for = batch_size, device, precision
    results = _batch_by_batch(self._forward, inputs)
    return np.concatenate([result.representation for result in results])

  def gradients(
    self, inputs: np.ndarray, batch_size: int = 32
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gradient of the mean over units, and the representations.

    Args:
      inputs: [n, height, width, channels].
      batch_size: Inputs computed at once.

    Returns:
      [n, height, width, channels] and [n, ...].
    """
    passes = self.passes(rules=(None,), batch_size=batch_size)
    with self.aside(), passes:
      found = list(_batch_by_batch(passes, inputs))
    return (
      np.concatenate([each.gradients[None] for each in found]),
      np.concatenate([each.representation for each in found]),
    )

  @contextlib.contextmanager
  def aside(self) -> Iterator[None]:
    """Within it a large graph lies in a file, and only passes can be run.

    Passes have weights of their own. So memory need not hold two copies of
    them, if nobody but this network has the graph. Afterwards it is the same.
    """
    if self.size < _LARGE:
      yield
      return
    shape = self.subgraph.input_shape
    with tempfile.TemporaryFile() as file:
      sizes = [file.write(p) for p in graph_lib.serialized(self.graph_def)]
      self._derived.clear()
      del self.subgraph
      self._hold(graph_lib.GraphDef())
      memory.give_back()
      try:
        yield
      finally:
        memory.give_back()  # What the passes have taken.
        file.seek(0)
        graph_def = graph_lib.GraphDef()
        for size in sizes:
          graph_def.MergeFromString(file.read(size))
        self._hold(graph_def)
        if shape is not None:
          self.assume_input_shape(shape)

  def _hold(self, graph_def: tf.compat.v1.GraphDef) -> None:
    self.frozen = dataclasses.replace(self.frozen, graph_def=graph_def)
    self.graph_def = graph_def

  def close(self) -> None:
    """Frees what TensorFlow holds; the network can be run again."""
    if self._forward is not None:
      self._forward.close()
      self._forward = self._built_for = None

  def __exit__(self, *exception) -> None:
    self.close()


def of_subgraph(subgraph: SubGraph, name: str, source: str) -> Network:
  """Returns a network of a graph that is cut and checked already.

  Args:
    subgraph: The graph.
    name: For messages.
    source: What it was made from.
  """
  ends = subgraph.input_tensor, subgraph.representation_tensor
  frozen = FrozenNetwork(subgraph.graph_def(), ends[:1], (), source)
  network = Network(frozen, *ends, name)
  network.subgraph = subgraph
  return network


def _batch_by_batch(passes: Passes, inputs: np.ndarray) -> Iterator[Result]:
  if not len(inputs):
    raise GraphError(f'There are no inputs: their shape is {inputs.shape}.')
  passes.prove(inputs[:1])
  for start in range(0, len(inputs), passes.batch_size):
    yield passes.run(inputs[start : start + passes.batch_size])


def _check_input(subgraph: SubGraph) -> None:
  if subgraph.input_type not in (tf.float32, tf.float64):
    behind = graph_lib.first_floats(subgraph)
    raise GraphError(
      f'The input {subgraph.input_tensor!r} has the type '
      f'{subgraph.input_type.name}, through which no gradient flows; choose '
      'the first floating-point image tensor behind it as the input: '
      f'{", ".join(behind[:5]) or "there is none"}.'
    )
  shape = subgraph.input_shape
  if shape is not None and len(shape) != 4:
    raise GraphError(
      f'The input {subgraph.input_tensor!r} has the shape {shape}; images '
      'need [N, height, width, channels].'
    )
