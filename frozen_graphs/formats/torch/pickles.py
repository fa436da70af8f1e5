"""Reads the pickles of PyTorch's files as data: nothing in them can be run.

Python's unpickler imports and calls what a file names. The one here is it,
left with the opcodes that `torch.save` writes for tensors and plain containers.
A name in the file is looked up in two tables: of the functions that make
tensors and containers, with what takes their place here, and of storages. It is
never imported, so that there is nothing to be called.
"""

from collections.abc import Callable, Mapping
import dataclasses
import pickle
import pickletools
from typing import Any, BinaryIO

import numpy as np

from frozen_graphs.errors import GraphError, explaining

_MAX_READS = 10_000_000  # An opcode takes one or two.
_MAX_LINE = 4096
_DAMAGES = (
  AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError,
  OverflowError, pickle.UnpicklingError,
)  # fmt: skip

# Those that Python's unpickler interprets; four more are interpreted below.
_OPCODES = frozenset({
  'PROTO', 'FRAME', 'STOP', 'MARK', 'GLOBAL', 'STACK_GLOBAL', 'BINPERSID',
  'BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT',
  'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES',
  'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8',
  'NONE', 'NEWTRUE', 'NEWFALSE', 'EMPTY_TUPLE', 'EMPTY_LIST', 'EMPTY_DICT',
  'TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'APPEND', 'APPENDS',
  'MEMOIZE', 'BINPUT', 'LONG_BINPUT', 'BINGET', 'LONG_BINGET',
})  # fmt: skip

SAVE_WEIGHTS = (
  "Save the weights alone, with torch.save(model.state_dict(), 'FILE')."
)

# Bits of a type that NumPy lacks are read as integers; see `files`.
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
class _Name:
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
    _put(result, key, value)
  # So that one list cannot be made into many dictionaries, to fill the memory.
  pairs.clear()
  return result


_CALLS: Mapping[str, Callable[..., Any]] = {
  'torch._utils _rebuild_tensor': _tensor,
  'torch._utils _rebuild_tensor_v2': _tensor,
  'torch._utils _rebuild_parameter': _parameter,
  'collections OrderedDict': _ordered_dict,
  **{name: lambda *_: Ignored() for name in _IGNORED},
}
_STORAGE_NAMES = {
  f'{module} {name}': kind
  for module in ('torch', 'torch.cuda')
  for name, kind in _STORAGES.items()
}


def _put(container: Any, key: Any, value: Any) -> None:
  """Sets an item of a dictionary."""
  # Only plain keys: hashing what is deeply nested could exhaust the C stack.
  if type(container) is not dict or type(key) not in (str, int, float, bool):
    raise GraphError('a dictionary has a key that is no text or number.')
  container[key] = value


def _storage_of(identity: Any) -> Storage:
  """Returns the storage of a persistent id, as `torch.save` writes them."""
  match identity:
    case ('storage', _Name(name), str(key), _, size, *view) if (
      name in _STORAGE_NAMES and _is_size(size) and len(view) < 2
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
  return Storage(key, _STORAGE_NAMES[name], size, start, length)


class _Dispatch(dict[int, Callable]):
  """What interprets each opcode."""

  def __missing__(self, code: int) -> None:
    opcode = pickletools.code2op.get(chr(code))
    raise GraphError(
      f'it uses the pickle opcode {opcode.name if opcode else code}, which '
      'torch.save never writes for tensors; nothing of it was executed.'
    )


# The one that is written in Python: that in C does not let opcodes be chosen.
class _Unpickler(pickle._Unpickler):
  dispatch = _Dispatch({
    ord(opcode.code): pickle._Unpickler.dispatch[ord(opcode.code)]
    for opcode in pickletools.opcodes
    if opcode.name in _OPCODES
  })  # fmt: skip

  def __init__(self, file: '_Bounded'):
    super().__init__(file, encoding='latin-1')
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str) -> _Name:
    text = f'{module} {name}'
    if text not in {*_CALLS, *_STORAGE_NAMES}:
      raise GraphError(
        f'it asks for {text.replace(" ", ".")!r}, which is no part of a '
        'tensor or a plain container; it is refused, and nothing of the file '
        f'was executed. {SAVE_WEIGHTS}'
      )
    return _Name(text)

  def persistent_load(self, identity: Any) -> Storage:
    storage = _storage_of(identity)
    self.storages.setdefault(storage.key, storage)
    return storage

  def _reduce(self) -> None:
    arguments, name = self.stack.pop(), self.stack.pop()
    if (
      type(name) is not _Name
      or name.text not in _CALLS
      or type(arguments) is not tuple
    ):
      raise GraphError('it calls something that cannot be called.')
    self.append(_CALLS[name.text](*arguments))

  def _build(self) -> None:
    """Drops the attributes of a dictionary, such as versions of modules."""
    self.stack.pop()
    if type(self.stack[-1]) not in (dict, Ignored):
      raise GraphError('it sets attributes of what has none.')

  def _set_item(self) -> None:
    value, key = self.stack.pop(), self.stack.pop()
    _put(self.stack[-1], key, value)

  def _set_items(self) -> None:
    items = self.pop_mark()
    for key, value in zip(items[::2], items[1::2], strict=True):
      _put(self.stack[-1], key, value)

  dispatch[pickle.REDUCE[0]] = _reduce
  dispatch[pickle.BUILD[0]] = _build
  dispatch[pickle.SETITEM[0]] = _set_item
  dispatch[pickle.SETITEMS[0]] = _set_items


class _Bounded:
  """A file that is not read beyond an end, nor in more steps than allowed."""

  def __init__(self, file: BinaryIO, end: int):
    self._file, self._end = file, end
    self._reads = 0

  def read(self, size: int) -> bytes:
    self._reads += 1
    if self._reads > _MAX_READS:
      raise GraphError(f'its pickle takes more than {_MAX_READS} reads.')
    if size > self._end - self._file.tell():
      raise EOFError
    return self._file.read(size)

  def readline(self) -> bytes:
    line = self._file.readline(_MAX_LINE)
    if not line.endswith(b'\n'):
      raise EOFError
    return line


def read(file: BinaryIO, end: int) -> tuple[Any, dict[str, Storage]]:
  """Reads the pickle at a file's position.

  Args:
    file: Is left behind the pickle.
    end: Position that the pickle does not go beyond.

  Returns:
    What it describes: plain containers, texts and numbers, `TensorView` and
    `Ignored`. And its storages by key; of those with one key, the first.

  Raises:
    GraphError: If it is damaged, or asks for anything else; the message does
      not name the file.
  """
  unpickler = _Unpickler(_Bounded(file, end))
  with explaining('its pickle is damaged or cut off', *_DAMAGES):
    return unpickler.load(), unpickler.storages
