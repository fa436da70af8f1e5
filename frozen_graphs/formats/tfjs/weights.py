"""Decodes the weights of a TensorFlow.js model from its shards.

The weights of a group are stored one behind the other, in the order of the
manifest, and cut into shards anywhere. A weight is stored as it is, as float16,
or as uint8 or uint16 q with its own scale and minimum: q * scale + min.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tfjs.files import Model

_MAX_BYTES = 2**31 - 1  # What a protocol buffer can hold.
_MAX_RANK = 32

_TYPES = {
  name: np.dtype(name).newbyteorder('<')
  for name in ('float32', 'float16', 'int32', 'uint16', 'uint8', 'complex64')
} | {'bool': np.dtype(bool)}
# What a weight of a type may be stored as.
_STORAGE = {
  'float32': ('float16', 'uint8', 'uint16'),
  'int32': ('uint8', 'uint16'),
}


@dataclasses.dataclass(frozen=True)
class _Weight:
  """An entry of the manifest."""

  name: str
  shape: tuple[int, ...]
  type: str  # Of the values: a key of _TYPES, or 'string'.
  stored: str  # Of what the shards hold.
  scale: float = 1.0
  minimum: float = 0.0

  @property
  def elements(self) -> int:
    return math.prod(self.shape)

  @property
  def stored_bytes(self) -> int:
    """Size in the shards, of all but strings."""
    return _TYPES[self.stored].itemsize * self.elements

  @property
  def decoded_bytes(self) -> int:
    size = 4 if self.type == 'string' else _TYPES[self.type].itemsize
    return size * self.elements


def decode(model: Model, max_bytes: int = _MAX_BYTES) -> dict[str, np.ndarray]:
  """Returns the weights of a model by name, decoded.

  Args:
    model: Whose manifest names the shards, which lie beside it.
    max_bytes: Of all decoded weights together; more is refused before a shard
      is read.

  Returns:
    Arrays of the types that the manifest states: float32, int32, bool, uint8,
    complex64, or objects of bytes for strings.

  Raises:
    GraphError: If the manifest is damaged, a shard is missing or lies
      elsewhere, or the shards do not hold what the manifest says.
  """
  groups = list(_groups(model))
  entries = [weight for _, group in groups for weight in group]
  names = set()
  for weight in entries:
    if weight.name in names:
      raise GraphError(
        f'{model.path}: the weight {weight.name!r} is in the manifest twice.'
      )
    names.add(weight.name)
  total = sum(weight.decoded_bytes for weight in entries)
  if total > max_bytes:
    largest = max(entries, key=lambda weight: weight.decoded_bytes)
    raise GraphError(
      f'{model.path}: the weights have {total} bytes, more than the '
      f'{max_bytes} allowed; the largest is {largest.name!r} of shape '
      f'{list(largest.shape)}.'
    )
  values = {}
  for shards, group in groups:
    values.update(_decode_group(model.path, shards, group, max_bytes))
  return values


def _groups(
  model: Model,
) -> Iterator[tuple[list[pathlib.Path], list[_Weight]]]:
  """Yields the shards and the weights of each group of the manifest."""
  manifest = model.content.get('weightsManifest', [])
  if not isinstance(manifest, list):
    raise GraphError(f'{model.path}: "weightsManifest" is not a list.')
  for group in manifest:
    if not (
      isinstance(group, dict)
      and isinstance(group.get('paths'), list)
      and isinstance(group.get('weights'), list)
    ):
      raise GraphError(
        f'{model.path}: a group of "weightsManifest" lacks its lists "paths" '
        'and "weights".'
      )
    shards = [_shard(model.path, name) for name in group['paths']]
    yield shards, [_weight(model.path, entry) for entry in group['weights']]


def _shard(path: pathlib.Path, name: Any) -> pathlib.Path:
  """Returns the path of a shard, which must lie in the model's folder."""
  if not isinstance(name, str) or not name or '\0' in name:
    raise GraphError(f'{path}: {name!r} is not the path of a shard.')
  folder = path.parent.resolve()
  shard = (folder / name).resolve()
  if not shard.is_relative_to(folder):
    raise GraphError(
      f'{path}: the shard {name!r} lies outside the folder of the model; it is '
      'refused.'
    )
  if not shard.is_file():
    raise GraphError(
      f'{path}: the shard {name!r} is missing; put it beside {path.name}.'
    )
  return shard


def _weight(path: pathlib.Path, entry: Any) -> _Weight:
  if not isinstance(entry, dict) or not isinstance(entry.get('name'), str):
    raise GraphError(f'{path}: {entry!r} in the manifest is no named weight.')
  where = f'{path}: the weight {entry["name"]!r}'
  shape = entry.get('shape')
  if (
    not isinstance(shape, list)
    or len(shape) > _MAX_RANK
    or any(type(side) is not int or side < 0 for side in shape)
  ):
    raise GraphError(
      f'{where} has the shape {shape!r}, which is no list of at most '
      f'{_MAX_RANK} sides.'
    )
  kind = entry.get('dtype')
  if kind not in (*_TYPES, 'string'):
    raise GraphError(
      f'{where} has the type {kind!r}; known are {[*_TYPES, "string"]}.'
    )
  if entry.get('quantization') is None:
    return _Weight(entry['name'], tuple(shape), kind, kind)
  return _quantized(where, entry, kind, tuple(shape))


def _quantized(
  where: str, entry: Mapping, kind: str, shape: tuple[int, ...]
) -> _Weight:
  quantization = entry['quantization']
  stored = quantization.get('dtype') if isinstance(quantization, dict) else None
  if stored not in _STORAGE.get(kind, ()):
    raise GraphError(
      f'{where} of type {kind} is stored as {quantization!r}; known for {kind} '
      f'are {list(_STORAGE.get(kind, ()))}.'
    )
  if stored == 'float16':
    return _Weight(entry['name'], shape, kind, stored)
  scale, minimum = quantization.get('scale'), quantization.get('min')
  for number in (scale, minimum):
    if type(number) not in (int, float) or not math.isfinite(number):
      raise GraphError(
        f'{where} is stored as {stored} with scale {scale!r} and min '
        f'{minimum!r}; both must be finite numbers.'
      )
  return _Weight(
    entry['name'], shape, kind, stored, float(scale), float(minimum)
  )


def _decode_group(
  path: pathlib.Path,
  shards: Sequence[pathlib.Path],
  group: Sequence[_Weight],
  max_bytes: int,
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields the names and values of a group's weights."""
  size = sum(shard.stat().st_size for shard in shards)
  if size > max_bytes:
    raise GraphError(
      f'{path}: the shards {_listing(shards)} have {size} bytes, more than the '
      f'{max_bytes} allowed.'
    )
  content = memoryview(b''.join(shard.read_bytes() for shard in shards))
  offset = 0
  for weight in group:
    start = offset
    if weight.stored == 'string':
      values, offset = _strings(weight, content, start)
    else:
      offset = start + weight.stored_bytes
    if offset > size:
      raise GraphError(
        f'{path}: the shards {_listing(shards)} hold {size} bytes, but the '
        f'weight {weight.name!r} of shape {list(weight.shape)} ends at byte '
        f'{offset}; a shard is cut off or missing from the manifest.'
      )
    if weight.stored != 'string':
      stored = np.frombuffer(content[start:offset], _TYPES[weight.stored])
      values = _dequantize(stored, weight)
    yield weight.name, values.reshape(weight.shape)
  if offset != size:
    raise GraphError(
      f'{path}: the shards {_listing(shards)} hold {size} bytes, but all their '
      f'weights together take {offset}; model.json and shards do not belong '
      'together.'
    )


def _listing(shards: Sequence[pathlib.Path]) -> str:
  names = ', '.join(shard.name for shard in shards[:3])
  return names + (f' and {len(shards) - 3} more' if len(shards) > 3 else '')


def _dequantize(stored: np.ndarray, weight: _Weight) -> np.ndarray:
  """Returns the values of a weight, as the TensorFlow.js runtime does."""
  if weight.type == weight.stored:
    return stored.astype(stored.dtype.newbyteorder('='))
  if weight.stored == 'float16':
    return stored.astype(np.float32)
  values = stored.astype(np.float64) * weight.scale + weight.minimum
  if weight.type == 'int32':
    values = np.floor(values + 0.5)  # As JavaScript rounds.
  return values.astype(weight.type)


def _strings(
  weight: _Weight, content: memoryview, offset: int
) -> tuple[np.ndarray, int]:
  """Returns strings, each behind its length, and where they say they end."""
  values = np.empty(weight.elements, object)
  for i in range(weight.elements):
    length = int.from_bytes(content[offset : offset + 4], 'little')
    values[i] = bytes(content[offset + 4 : offset + 4 + length])
    offset += 4 + length
  return values, offset
