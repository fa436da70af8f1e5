"""What a file of Keras may name and hold, before Keras is given it."""

from collections.abc import Iterator
import re
from typing import Any

from frozen_graphs.errors import GraphError, UnsafeGraphError

MAX_BYTES = 2**31 - 1  # Of a file, of its parts, and of a model's weights.
_MAX_DEPTH = 64  # Of JSON; a model in a model is 4 deeper.
_MAX_CALLS = 20_000
_MAX_SIDE = 2**22  # Keras 3 draws weights of any size before it has them.
WAY_OUT = 'If you trust it, load it in Python and convert the model object.'

# Modules of Keras, old and new, that only define parts of networks.
_FUNCTIONS = (
  r'(tf_)?keras(\.src)?\.(activations|constraints|initializers|losses|metrics|'
  r'ops|regularizers)(\.\w+)*|builtins'
)
_CLASSES = (
  r'(tf_)?keras(\.src)?(\.engine|\.legacy)?(\.(activations|constraints|'
  r'dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|'
  r'random|regularizers|functional|sequential|training|mixed_precision)'
  r'(\.\w+)*)?'
)
_APPLICATIONS = r'(tf_)?keras(\.src)?\.applications\.'
# Layers that networks of keras.applications have for themselves.
_OF_APPLICATIONS = (
  rf'{_APPLICATIONS}convnext LayerScale|'
  rf'{_APPLICATIONS}convnext StochasticDepth|'
  rf'{_APPLICATIONS}inception_resnet_v2 CustomScaleLayer'
)
# They hold Python code or pickles, call any method, or read other files.
_REFUSED = {
  name: reason
  for reason, names in (
    ('holds Python code', 'Lambda __lambda__ FlaxLayer JaxLayer'),
    ('names a type of Python', '__typespec__'),
    ('holds a pickle', 'TorchModuleWrapper'),
    ('loads another file', 'TFSMLayer'),
    ('may read another file', 'DenseFeatures SequenceFeatures'),
    ('may read another file', 'StringLookup IntegerLookup TextVectorization'),
    ('calls what it names', 'ClassMethod InstanceMethod InstanceProperty'),
    ('holds a graph of its own', 'TensorFlowOpLayer'),
  )
  for name in names.split()
}
# Layers of Keras 2 that call a function of TensorFlow, and those that compute.
_CALLS = ('TFOpLambda', 'SlicingOpLambda')
_COMPUTES = re.compile(
  r'(compat\.v1\.)?(?!nn\.fixed_unigram)(('  # Which reads a file.
  r'__operators__|image|keras\.activations|linalg|math|nn)\.\w+|abs|add_n|'
  r'argmax|argmin|boolean_mask|broadcast_to|cast|clip_by_norm|clip_by_value|'
  r'concat|convert_to_tensor|cumsum|einsum|exp|expand_dims|floor|gather|'
  r'gather_nd|greater|greater_equal|identity|less|less_equal|matmul|maximum|'
  r'meshgrid|minimum|multiply|negative|norm|ones_like|one_hot|pad|pow|rank|'
  r'realdiv|reduce_(all|any|logsumexp|max|mean|min|prod|std|sum|variance)|'
  r'repeat|reshape|reverse|roll|round|shape|sigmoid|sign|size|slice|split|'
  r'sqrt|square|squeeze|stack|stop_gradient|strided_slice|subtract|tanh|'
  r'tensordot|tile|transpose|truediv|unstack|where|zeros_like)'
)


def check_config(config: Any) -> None:
  """Raises UnsafeGraphError unless a configuration names parts of Keras only.

  Raises:
    GraphError: If it does not describe a model.
    UnsafeGraphError: If it names anything else.
  """
  if not isinstance(config, dict):
    raise GraphError('its configuration does not describe a model.')
  for entry in objects(config):
    if 'class_name' not in entry:
      continue
    name = str(entry.get('name') or _member_of(entry, 'name') or '')
    what = f'{name[:60]!r} ({str(entry["class_name"])[:60]})'
    _check_sizes(entry, what)
    # Keras looks for the second where a module does not have the first.
    names = [entry['class_name'], entry.get('registered_name') or 'None']
    names = [str(name).rpartition('>')[2] for name in names]
    for name in names:
      if name in _REFUSED:
        raise UnsafeGraphError(
          f'the layer {what} {_REFUSED[name]}; such a file is refused. '
          f'{WAY_OUT}'
        )
    if set(names) & set(_CALLS):
      function = str(_member_of(entry, 'function'))
      if not _COMPUTES.fullmatch(function):
        raise UnsafeGraphError(
          f'the layer {what} calls {function[:60]!r}, which is not known to '
          f'compute and do nothing else; it is refused. {WAY_OUT}'
        )
    module = entry.get('module')
    if module is not None and not _is_of_keras(str(module), entry, names):
      raise UnsafeGraphError(
        f'{what} is from the module {str(module)[:60]!r}, and is not a part of '
        f'Keras; such a file is refused. {WAY_OUT}'
      )


def _check_sizes(entry: dict, what: str) -> None:
  """Raises GraphError if a layer is to have more of something than any has."""
  config = entry.get('config')
  for key, value in config.items() if isinstance(config, dict) else ():
    is_size = isinstance(value, int) and 'seed' not in key
    if is_size and not -_MAX_SIDE <= value <= _MAX_SIDE:
      raise GraphError(
        f'{what} has {key}={value:.4g}; at most {_MAX_SIDE} are allowed.'
      )


def _is_of_keras(module: str, entry: dict, names: list[str]) -> bool:
  """Returns whether an object is a part of networks that Keras itself has."""
  if names[0] == 'function':
    names = [str(entry.get('config')), *names[1:]]
    modules, allowed = _FUNCTIONS, r'\w+'
  elif re.match(_APPLICATIONS, module):
    modules, allowed = _OF_APPLICATIONS, r'\w+'
    module = f'{module} {names[0]}'
  else:
    modules, allowed = _CLASSES, r'[A-Z]\w*'
  return bool(re.fullmatch(modules, module)) and all(
    re.fullmatch(allowed, name) for name in names
  )


def objects(value: Any) -> Iterator[dict]:
  """Yields every JSON object within a value.

  Raises:
    GraphError: If they are nested too deep, or describe too many calls: models
      in models that are each used twice would be called 2^n times.
  """
  stack = [(value, 0, 1)]
  calls = 0
  while stack:
    value, depth, uses = stack.pop()
    if isinstance(value, dict):
      nodes = value.get('inbound_nodes')
      uses *= max(len(nodes), 1) if isinstance(nodes, list) else 1
      calls += uses if 'inbound_nodes' in value else 0
      if depth > _MAX_DEPTH or calls > _MAX_CALLS:
        raise GraphError(
          f'its models are nested more than {_MAX_DEPTH // 4} deep, or call '
          f'more than {_MAX_CALLS} layers.'
        )
      yield value
      value = list(value.values())
    if isinstance(value, list):
      stack.extend((item, depth + 1, uses) for item in value)


def _member_of(entry: dict, key: str) -> Any:
  config = entry.get('config')
  return config.get(key) if isinstance(config, dict) else None


def check_hdf5(file: Any) -> None:
  """Raises GraphError if an h5py.File's arrays are too large or elsewhere."""
  import h5py

  size = 0

  def is_elsewhere(name, link):
    return name if link.type == h5py.h5l.TYPE_EXTERNAL else None

  def check_array(name, array):
    nonlocal size
    if isinstance(array, h5py.Dataset):
      size += array.nbytes
      if array.external or array.is_virtual:
        raise UnsafeGraphError(f'its array {name!r} is in another file.')
    if size > MAX_BYTES:
      raise GraphError('its arrays take more than 2 GiB.')

  name = file.id.links.visit(is_elsewhere, info=True)
  if name is not None:
    raise UnsafeGraphError(f'its part {name!r} is in another file.')
  file.visititems(check_array)
