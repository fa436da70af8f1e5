"""Reads the weights of PyTorch's .pth and .pt files, without PyTorch.

Both containers of `torch.save` are read: the one since PyTorch 1.6, a zip
archive of data.pkl and one entry a storage; and the older one, in which five
pickles are followed by the raw storages. The pickles are interpreted as data,
see `pickles`.
"""

from collections.abc import Callable
import math
import os
import re
import struct
from typing import Any, BinaryIO
import zipfile

import numpy as np

from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats.torch import pickles
from frozen_graphs.formats.torch.pickles import (
  BFLOAT16,
  SAVE_WEIGHTS,
  Storage,
  TensorView,
)

MAX_BYTES = 4 * 2**30

_ZIP_MAGIC = b'PK\x03\x04'
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_PICKLE_BYTES = 2**26
# All that the module raises for what is wrong in an archive.
_ZIP_ERRORS = (
  zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError,
  ValueError, struct.error,
)  # fmt: skip

# Where training scripts put the weights beside other things.
_NESTED_KEYS = ('state_dict', 'model_state_dict', 'model', 'net', 'network')
_MAX_NESTING = 4

# Returns the bytes of a storage.
_Reader = Callable[[Storage], bytes]


def load_state_dict(
  path: str | os.PathLike, max_bytes: int = MAX_BYTES
) -> dict[str, np.ndarray]:
  """Reads the tensors of a file that `torch.save` wrote.

  Args:
    path: The file. It holds a state dict; or a dictionary that has one under
      'state_dict', 'model', or as its only dictionary of tensors.
    max_bytes: Neither the file nor its tensors may be larger.

  Returns:
    Contiguous, perhaps read-only arrays by name, in the order of the file.
    Types are those of the file; bfloat16, which NumPy lacks, becomes float32
    with the same values. Entries that are no tensors are left out.

  Raises:
    GraphError: If the file is no such file, is cut off or too large, or asks
      for anything but tensors and plain containers; nothing in it is executed.
    OSError: If it cannot be read.
  """
  with about(os.fspath(path)):
    size = os.path.getsize(path)
    if size > max_bytes:
      raise GraphError(
        f'it has {size} bytes, more than the {max_bytes} allowed.'
      )
    with open(path, 'rb') as file:
      is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
      file.seek(0)
      if not is_zip:
        return _arrays(*_open_legacy(file, size), max_bytes)
      with (
        explaining('the zip archive is damaged or cut off', *_ZIP_ERRORS),
        zipfile.ZipFile(file) as archive,
      ):
        return _arrays(*_open_zip(archive, size), max_bytes)


def _open_zip(archive: zipfile.ZipFile, size: int) -> tuple[Any, _Reader]:
  """Returns the unpickled content, and how its storages are read."""
  entries = {entry.filename: entry for entry in archive.infolist()}
  if len(entries) != len(archive.infolist()):
    raise GraphError('the zip archive has several entries of one name.')
  for entry in entries.values():
    if entry.compress_type != zipfile.ZIP_STORED:
      raise GraphError(
        f'the entry {entry.filename!r} is compressed, which torch.save never '
        'does.'
      )
  if sum(entry.file_size for entry in entries.values()) > size:
    raise GraphError('the entries of the zip archive overlap.')
  names = [name for name in entries if re.fullmatch('[^/]*/data.pkl', name)]
  if len(names) != 1:
    raise GraphError(
      'the zip archive has no single data.pkl, so torch.save did not write it.'
    )
  prefix = names[0].removesuffix('data.pkl')
  if f'{prefix}constants.pkl' in entries:
    raise GraphError(
      f'it is a TorchScript program, not a file of weights. {SAVE_WEIGHTS}'
    )
  if f'{prefix}byteorder' in entries:
    order = archive.read(f'{prefix}byteorder')
    if order != b'little':
      raise GraphError(f'its byte order is {order[:20]!r}, not little-endian.')
  length = entries[names[0]].file_size
  if length > _MAX_PICKLE_BYTES:
    raise GraphError(f'data.pkl has {length} bytes.')
  with archive.open(names[0]) as file:
    content, _ = pickles.read(file, length)

  def read(storage: Storage) -> bytes:
    entry = entries.get(f'{prefix}data/{storage.key}')
    if entry is None:
      raise GraphError(f'its storage {storage.key!r} is missing.')
    return archive.read(entry)

  return content, read


def _open_legacy(file: BinaryIO, size: int) -> tuple[Any, _Reader]:
  """Returns the unpickled content, and how its storages are read."""
  try:
    magic, _ = pickles.read(file, size)
  except GraphError:
    magic = None
  if magic != _LEGACY_MAGIC:
    raise GraphError(
      'it is neither a zip archive nor begins as files of torch.save do; is '
      'it a complete .pth or .pt file?'
    )
  protocol, _ = pickles.read(file, size)
  system, _ = pickles.read(file, size)
  if protocol != _LEGACY_PROTOCOL:
    raise GraphError(f'its protocol is not {_LEGACY_PROTOCOL}.')
  if not isinstance(system, dict) or system.get('little_endian') is not True:
    raise GraphError('its byte order is not little-endian.')
  content, known = pickles.read(file, size)
  keys, _ = pickles.read(file, size)
  if not isinstance(keys, list) or not all(
    type(key) is str and key in known for key in keys
  ):
    raise GraphError('its list of storages is damaged.')
  positions = {}
  for key in keys:
    header = file.read(8)
    if len(header) < 8:
      break  # Cut off: the first variable that is missing will say so.
    if struct.unpack('<q', header)[0] != known[key].size:
      raise GraphError(f'its storage {key!r} has an unexpected size.')
    positions[key] = file.tell()
    file.seek(known[key].size * known[key].dtype.itemsize, os.SEEK_CUR)

  def read(storage: Storage) -> bytes:
    first = known[storage.key]
    if (first.kind, first.size) != (storage.kind, storage.size):
      raise GraphError(f'its storage {storage.key!r} has two types.')
    length = storage.size * storage.dtype.itemsize
    position = positions.get(storage.key)
    if position is None or position + length > size:
      raise GraphError('its numbers are missing; the file is cut off.')
    file.seek(position)
    return file.read(length)

  return content, read


def _state_dict(content: Any) -> dict[str, Any]:
  """Returns the dictionary of tensors, wherever training scripts put it."""
  for _ in range(_MAX_NESTING):
    if not isinstance(content, dict):
      break
    inner = {
      key: value for key, value in content.items() if _holds_tensors(value)
    }
    named = [key for key in _NESTED_KEYS if key in inner]
    if not named and any(type(v) is TensorView for v in content.values()):
      return content
    if not named and len(inner) != 1:
      break
    content = inner[(named or list(inner))[0]]
  found = f'a {type(content).__name__}'
  if isinstance(content, dict):
    found = f'a dictionary of {[k for k in content if type(k) is str][:20]}'
  raise GraphError(f'no state dict found, but {found}. {SAVE_WEIGHTS}')


def _holds_tensors(value: Any) -> bool:
  """Returns whether a dictionary holds a tensor, perhaps in inner ones."""
  seen, stack = set(), [value]
  while stack:
    value = stack.pop()
    if type(value) is TensorView:
      return seen != set()
    if type(value) is dict and id(value) not in seen:
      seen.add(id(value))
      stack.extend(value.values())
  return False


def _arrays(
  content: Any, read: _Reader, max_bytes: int
) -> dict[str, np.ndarray]:
  """Returns the tensors as arrays; each storage is read once."""
  storages: dict[str, bytes] = {}
  arrays, total = {}, 0
  for name, tensor in _state_dict(content).items():
    if type(tensor) is not TensorView or type(name) is not str:
      continue
    with about(f'variable {name!r}'):
      total += math.prod(tensor.shape) * tensor.storage.dtype.itemsize
      if total > max_bytes:
        raise GraphError(f'the tensors exceed the {max_bytes} bytes allowed.')
      key = tensor.storage.key
      if key not in storages:
        storages[key] = read(tensor.storage)
      arrays[name] = _array(tensor, storages[key])
  return arrays


def _array(tensor: TensorView, content: bytes) -> np.ndarray:
  """Returns a tensor, given the bytes of the whole storage it is a view of."""
  storage = tensor.storage
  if len(content) != storage.size * storage.dtype.itemsize:
    raise GraphError(
      f'its storage {storage.key!r} has {len(content)} bytes, not '
      f'{storage.size} elements of {storage.kind}.'
    )
  if storage.start + storage.length > storage.size:
    raise GraphError(f'its part of storage {storage.key!r} goes beyond it.')
  steps = zip(tensor.shape, tensor.strides, strict=True)
  used = 1 + sum((size - 1) * stride for size, stride in steps)
  used = 0 if 0 in tensor.shape else used
  if tensor.offset + used > storage.length:
    raise GraphError(
      f'it reaches to element {tensor.offset + used} of a storage of '
      f'{storage.length}.'
    )
  elements = np.frombuffer(content, storage.dtype)
  view = np.lib.stride_tricks.as_strided(
    elements[storage.start + tensor.offset :],
    tensor.shape,
    [stride * storage.dtype.itemsize for stride in tensor.strides],
    writeable=False,
  )
  array = np.ascontiguousarray(view).reshape(tensor.shape)
  if storage.kind == BFLOAT16:
    return (array.astype(np.uint32) << 16).view(np.float32)
  return array
