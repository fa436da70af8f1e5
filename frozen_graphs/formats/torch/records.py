"""What PyTorch's pickles may describe: tensors, storages, plain containers.

The names that a file may ask for stand in two tables: of the functions that
make tensors and containers, with what takes their place here, and of storages.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import numpy as np

from frozen_graphs.errors import GraphError

SAVE_WEIGHTS = (
  "Save the weights alone, with torch.save(model.state_dict(), 'FILE')."
)

# Bits of a type that NumPy lacks are read as integers; see `torch_files`.
BFLOAT16 = 'bfloat16'

_STORAGES = {
  'HalfStorage': '<f2',
  'FloatStorage': '<f4',
  'DoubleStorage': '<f8',
  'BFloat16Storage': BFLOAT16,
  'CharStorage': '<i1',
  'ByteStorage': '<u1',
  'ShortStorage': '<i2',
  'IntStorage': '<i4',
  'LongStorage': '<i8',
  'BoolStorage': '|b1',
}


@dataclasses.dataclass(frozen=True)
class Storage:
  """A stretch of numbers in the file, that tensors are views of.

  Attributes:
    key: Its name in the file.
    kind: NumPy's type of the elements, or BFLOAT16.
    size: Elements of the whole storage.
    start: Where this one begins, if it is a part of the whole; in elements.
    length: Elements of this part.
  """

  key: str
  kind: str
  size: int
  start: int
  length: int

  @property
  def dtype(self) -> np.dtype:
    return np.dtype('<u2' if self.kind == BFLOAT16 else self.kind)


@dataclasses.dataclass(frozen=True)
class TensorView:
  """A tensor: a view of a storage; offset and strides are in elements."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class Ignored:
  """Something harmless that is no tensor, such as a NumPy scalar."""


@dataclasses.dataclass(frozen=True)
class Name:
  """A name that the file asks for and that the tables below know."""

  text: str


_IGNORED = frozenset({
  '_codecs encode',
  'numpy dtype',
  'numpy.core.multiarray scalar',
  'numpy._core.multiarray scalar',
  'torch Size',
  'torch device',
})  # fmt: skip


def _is_size(value: Any) -> bool:
  return type(value) is int and 0 <= value < 2**48


def _sizes(value: Any) -> tuple[int, ...]:
  if (
    type(value) not in (tuple, list)
    or len(value) > 32
    or not all(_is_size(item) for item in value)
  ):
    raise GraphError('a tensor has a shape or strides that are none.')
  return tuple(value)


def _tensor(*arguments) -> TensorView:
  """`torch._utils._rebuild_tensor_v2`, and its predecessor."""
  storage, offset, shape, strides = arguments[:4]
  shape, strides = _sizes(shape), _sizes(strides)
  if (
    type(storage) is not Storage
    or not _is_size(offset)
    or len(shape) != len(strides)
  ):
    raise GraphError('a tensor is not made of a storage, offset and shape.')
  return TensorView(storage, offset, shape, strides)


def _parameter(tensor: Any, *_) -> TensorView:
  """`torch._utils._rebuild_parameter`."""
  if type(tensor) is not TensorView:
    raise GraphError('a parameter is not made of a tensor.')
  return tensor


def _ordered_dict(pairs: Any = None) -> dict:
  """`collections.OrderedDict`, empty or of pairs as Python 2 wrote it."""
  pairs = [] if pairs is None else pairs
  if type(pairs) is not list:
    raise GraphError('an ordered dictionary is not made of pairs.')
  result = {}
  for key, value in pairs:
    set_item(result, key, value)
  # So that one list cannot be made into many dictionaries, to fill the memory.
  pairs.clear()
  return result


CALLS: Mapping[str, Callable[..., Any]] = {
  'torch._utils _rebuild_tensor': _tensor,
  'torch._utils _rebuild_tensor_v2': _tensor,
  'torch._utils _rebuild_parameter': _parameter,
  'collections OrderedDict': _ordered_dict,
  **{name: lambda *_: Ignored() for name in _IGNORED},
}
STORAGE_NAMES = {
  f'{module} {name}': kind
  for module in ('torch', 'torch.cuda')
  for name, kind in _STORAGES.items()
}


def set_item(container: Any, key: Any, value: Any) -> None:
  """Sets an item of a dictionary."""
  # Only plain keys: hashing what is deeply nested could exhaust the C stack.
  if type(container) is not dict or type(key) not in (str, int, float, bool):
    raise GraphError('a dictionary has a key that is no text or number.')
  container[key] = value


def storage_of(identity: Any) -> Storage:
  """Returns the storage of a persistent id, as `torch.save` writes them."""
  match identity:
    case ('storage', Name(name), str(key), _, size, *view) if (
      name in STORAGE_NAMES and _is_size(size) and len(view) < 2
    ):
      pass
    case ('module', *_):
      raise GraphError(
        'it holds a whole model with its Python code, which is not run. '
        + SAVE_WEIGHTS
      )
    case _:
      raise GraphError('it refers to something that is no storage of a tensor.')
  match view:
    case [] | [None]:
      start, length = 0, size
    case [(_, start, length)] if _is_size(start) and _is_size(length):
      pass
    case _:
      raise GraphError(f'the part of storage {key!r} is not described.')
  return Storage(key, STORAGE_NAMES[name], size, start, length)
