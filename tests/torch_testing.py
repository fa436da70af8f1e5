"""Writes files as `torch.save` does, opcode by opcode, without PyTorch."""

import collections
from collections.abc import Mapping, Sequence
import dataclasses
import io
import pickle
import struct
from typing import Any
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {}}
_STORAGES = {
  np.dtype(np.float16): 'HalfStorage',
  np.dtype(np.float32): 'FloatStorage',
  np.dtype(np.float64): 'DoubleStorage',
  np.dtype(np.int64): 'LongStorage',
}


@dataclasses.dataclass(frozen=True)
class Global:
  """A name that the file asks for; `by_stack` writes it as protocol 4 does."""

  module: str
  name: str
  by_stack: bool = False


@dataclasses.dataclass(frozen=True)
class Call:
  """A call of something with arguments, by the opcode REDUCE."""

  function: Any
  arguments: tuple = ()


@dataclasses.dataclass(frozen=True)
class Persistent:
  """A persistent id."""

  identity: Any


@dataclasses.dataclass(frozen=True)
class Raw:
  """Opcodes as they are."""

  content: bytes


def encode(value: Any) -> bytes:
  """Returns the opcodes that make a value."""
  if isinstance(value, Raw):
    return value.content
  if isinstance(value, Global):
    if value.by_stack:
      return encode(value.module) + encode(value.name) + pickle.STACK_GLOBAL
    return pickle.GLOBAL + f'{value.module}\n{value.name}\n'.encode()
  if isinstance(value, Call):
    return encode(value.function) + encode(value.arguments) + pickle.REDUCE
  if isinstance(value, Persistent):
    return encode(value.identity) + pickle.BINPERSID
  if isinstance(value, dict):
    items = b''.join(encode(item) for pair in value.items() for item in pair)
    return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
  if isinstance(value, tuple):
    return pickle.MARK + b''.join(map(encode, value)) + pickle.TUPLE
  if isinstance(value, list):
    items = b''.join(map(encode, value))
    return pickle.EMPTY_LIST + pickle.MARK + items + pickle.APPENDS
  return pickle.dumps(value, 2)[2:-1]  # Without PROTO and STOP.


def pickled(value: Any) -> bytes:
  return pickle.PROTO + b'\x02' + encode(value) + pickle.STOP


def storage(
  key: str,
  size: int,
  kind: str = 'FloatStorage',
  view: Sequence[Any] | None = None,
) -> Persistent:
  """Returns the reference to a storage; with a view as older files have it."""
  extra = () if view is None else (tuple(view),)
  return Persistent(
    ('storage', Global('torch', kind), key, 'cpu', size, *extra)
  )


def tensor(
  source: Any, offset: int, shape: Sequence[int], strides: Sequence[int]
) -> Call:
  """Returns the call that makes a tensor."""
  hooks = Call(Global('collections', 'OrderedDict'))
  function = Global('torch._utils', '_rebuild_tensor_v2')
  return Call(
    function, (source, offset, tuple(shape), tuple(strides), False, hooks)
  )


def tensors(arrays: Mapping[str, np.ndarray]) -> tuple[dict, dict[str, bytes]]:
  """Returns the dictionary of contiguous tensors, and their storages."""
  content, storages = collections.OrderedDict(), {}
  for number, (name, array) in enumerate(arrays.items()):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    source = storage(str(number), array.size, _STORAGES[array.dtype])
    strides = [step // array.itemsize for step in array.strides]
    content[name] = tensor(source, 0, array.shape, strides)
    storages[str(number)] = array.tobytes()
  return dict(content), storages


def zip_file(
  content: Any,
  storages: Mapping[str, bytes],
  others: Mapping[str, bytes] | None = None,
  compression: int = zipfile.ZIP_STORED,
) -> bytes:
  """Returns a file of the container since PyTorch 1.6."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', compression) as archive:
    archive.writestr('archive/data.pkl', pickled(content))
    entries = {'archive/byteorder': b'little', **(others or {})}
    entries |= {f'archive/data/{key}': data for key, data in storages.items()}
    for name, data in entries.items():
      archive.writestr(name, data)
  return file.getvalue()


def legacy_file(
  content: Any,
  storages: Mapping[str, bytes],
  sizes: Mapping[str, int] | None = None,
  system: Any = None,
) -> bytes:
  """Returns a file of the older container; `sizes` in elements of 4 bytes."""
  parts = [pickled(MAGIC), pickled(1001), pickled(system or SYSTEM)]
  parts += [pickled(content), pickled(list(storages))]
  for key, data in storages.items():
    size = sizes[key] if sizes else len(data) // 4
    parts += [struct.pack('<q', size), data]
  return b''.join(parts)


def save(path: str, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays as `torch.save` would write a state dict today."""
  with open(path, 'wb') as file:
    file.write(zip_file(*tensors(arrays)))
