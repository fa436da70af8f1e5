"""How a checked graph is given to TensorFlow, and where it runs."""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import math

import tensorflow as tf

from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.graph import SubGraph
from frozen_graphs.graph_ends import Shape

# Of one image: this, or so many times what the image itself takes. Attention
# over an image of 1024 by 1024 pixels, in patches of 8, is 1000 times as large.
_MAX_TENSOR_BYTES, _MAX_GROWTH = 2**29, 1024
# Their kernels divide by the size of what they make: windows that are larger
# than the image end the process, unless TensorFlow knows that beforehand.
_POOLS = frozenset({'MaxPool', 'MaxPoolV2', 'MaxPool3D', 'MaxPoolWithArgmax'})
_is_for_few_runs = contextvars.ContextVar('is_for_few_runs', default=False)


def import_graph(subgraph: SubGraph) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the input and the representation in the current graph."""
  with explaining('TensorFlow cannot import the graph', Exception):
    source, representation = tf.import_graph_def(
      subgraph.graph_def(),
      return_elements=[subgraph.input_tensor, subgraph.representation_tensor],
      name='',
    )
  check_sizes(source.graph)
  if not representation.dtype.is_floating:
    raise GraphError(
      f'The representation {representation.name!r} has the type '
      f'{representation.dtype.name}; it must be floating-point.'
    )
  return source, representation


def check_sizes(graph: tf.Graph) -> None:
  """Raises GraphError if a graph makes a tensor that no network needs.

  A few bytes can ask to fill, tile or resize to any size, which TensorFlow
  tries for minutes before it gives up, or takes all memory.
  """
  operations = graph.get_operations()
  given = [o.outputs[0] for o in operations if o.type == 'Placeholder']
  image = max(map(_size_of_one, given), default=0)
  limit = max(_MAX_TENSOR_BYTES, _MAX_GROWTH * image)
  for operation in operations:
    if operation.type == 'Const':  # As large as the file has it.
      continue
    for tensor in operation.outputs:
      size = _size_of_one(tensor)
      if size > limit:
        raise GraphError(
          f'The node {operation.name!r} ({operation.type}) makes a tensor of '
          f'shape {tensor.shape}, of {size} bytes for one image; at most '
          f'{limit} are allowed.'
        )


def _size_of_one(tensor: tf.Tensor) -> int:
  """Returns the bytes of a tensor, open sides counting 1."""
  sides = tensor.shape.dims or ()
  return math.prod(side.value or 1 for side in sides) * tensor.dtype.size


def has_open_pools(graph: tf.Graph) -> bool:
  """Returns whether it is not known how large the results of some pools are."""
  return any(
    operation.type in _POOLS
    and not operation.outputs[0].shape[1:].is_fully_defined()
    for operation in graph.get_operations()
  )


def static_shape(graph_def: tf.compat.v1.GraphDef, tensor: str) -> Shape:
  """Returns the shape of a tensor as far as the graph tells it, None if not."""
  with tf.Graph().as_default():
    try:
      (result,) = tf.import_graph_def(graph_def, return_elements=[tensor])
    except Exception:  # What TensorFlow thinks of a graph that is not used.
      return None
  return None if result.shape.rank is None else tuple(result.shape)


def static_shapes(subgraph: SubGraph, names: Sequence[str]) -> list[Shape]:
  """Returns the shapes of the first results of nodes, None where unknown."""
  with tf.Graph().as_default() as graph:
    import_graph(subgraph)
    shapes = [graph.get_tensor_by_name(f'{name}:0').shape for name in names]
  return [None if s.rank is None else tuple(s) for s in shapes]


def devices(names: str | None) -> tuple[str, ...]:
  """Returns the devices of a list such as 'gpu:0,gpu:1'; none of None."""
  found = [name.strip() for name in (names or '').split(',') if name.strip()]
  return tuple(name if name.startswith('/') else f'/{name}' for name in found)


def check_device(device: str | None) -> None:
  if device is None:
    return
  try:
    spec = tf.DeviceSpec.from_string(device)
  except ValueError as error:
    raise ValueError(f'No device {device!r}: {error}') from error
  kind, number = spec.device_type or 'CPU', spec.device_index or 0
  present = len(tf.config.list_physical_devices(kind))
  if number >= present:
    devices = [d.name for d in tf.config.list_physical_devices()]
    raise ValueError(
      f'There is no device {device!r}; present: {", ".join(devices)}.'
    )


def is_gpu(device: str | None) -> bool:
  """Returns whether networks run on a GPU, perhaps by TensorFlow's choice."""
  if device is not None:
    return 'CPU' not in device.upper()
  return bool(tf.config.list_physical_devices('GPU'))


@contextlib.contextmanager
def for_few_runs() -> Iterator[None]:
  """Within it, sessions are made that run their graphs as they are.

  To optimise a large one takes longer than to run it once.
  """
  token = _is_for_few_runs.set(True)
  try:
    yield
  finally:
    _is_for_few_runs.reset(token)


def is_for_few_runs() -> bool:
  """Returns whether sessions are made for few runs."""
  return _is_for_few_runs.get()


def config() -> tf.compat.v1.ConfigProto:
  """Returns the options of sessions."""
  result = tf.compat.v1.ConfigProto(allow_soft_placement=True)
  result.gpu_options.allow_growth = True
  # Grappler's remapper (oneDNN fusions) does not come to an end on the gradient
  # graphs of some large networks, and what it fuses forward is needed backward.
  options = result.graph_options.rewrite_options
  options.remapping = type(options).OFF
  options.disable_meta_optimizer = _is_for_few_runs.get()
  return result
