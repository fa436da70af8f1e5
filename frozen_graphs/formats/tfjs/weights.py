"""Decodes the weights of a TensorFlow.js model from its shards.

The weights of a group are stored one behind the other, in the order of the
manifest, and cut into shards anywhere. A weight is stored as it is, as float16,
or as uint8 or uint16 q with its own scale and minimum: q * scale + min.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from frozen_graphs import budget
from frozen_graphs.errors import GraphError, about
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
  with about(model.path):
    groups = list(_groups(model))
    entries = [weight for _, group in groups for weight in group]
    for name, count in Counter(weight.name for weight in entries).items():
      if count > 1:
        raise GraphError(f'the weight {name!r} is in the manifest twice.')
    total = sum(weight.decoded_bytes for weight in entries)
    if total > max_bytes:
      largest = max(entries, key=lambda weight: weight.decoded_bytes)
      raise GraphError(
        f'the weights have {total} bytes, more than the {max_bytes} allowed; '
        f'the largest is {largest.name!r} of shape {list(largest.shape)}.'
      )
    shards = [shard for group, _ in groups for shard in group]
    if len(shards) > len(set(shards)):
      raise GraphError('"weightsManifest" lists a shard twice.')
    spent = budget.active(lambda: sum(shard.stat().st_size for shard in shards))
    return {
      name: value
      for shards, group in groups
      for name, value in _decode_group(shards, group, max_bytes, spent)
    }


def _groups(
  model: Model,
) -> Iterator[tuple[list[pathlib.Path], list[_Weight]]]:
  """Yields the shards and the weights of each group of the manifest."""
  manifest = model.content.get('weightsManifest', [])
  spent = budget.active()
  if not isinstance(manifest, list):
    raise GraphError('"weightsManifest" is not a list.')
  for group in manifest:
    match group:
      case {'paths': [*paths], 'weights': [*entries]}:
        if len(paths) > len(set(map(str, paths))):
          raise GraphError('"weightsManifest" lists a shard twice.')
        shards = [_shard(model.path, name) for name in paths]
        spent.check_time('Finding the shards')
        yield shards, [_weight(entry) for entry in entries]
      case _:
        raise GraphError(
          'a group of "weightsManifest" lacks its lists "paths" and "weights".'
        )


def _shard(path: pathlib.Path, name: Any) -> pathlib.Path:
  """Returns the path of a shard, which must lie in the model's folder."""
  if not isinstance(name, str) or not name or '\0' in name:
    raise GraphError(f'{name!r} is not the path of a shard.')
  folder = path.parent.resolve()
  shard = (folder / name).resolve()
  if not shard.is_relative_to(folder):
    raise GraphError(
      f'the shard {name!r} lies outside the folder of the model; it is refused.'
    )
  if not shard.is_file():
    raise GraphError(
      f'the shard {name!r} is missing; put it beside {path.name}.'
    )
  return shard


def _weight(entry: Any) -> _Weight:
  if not isinstance(entry, dict) or not isinstance(entry.get('name'), str):
    raise GraphError(f'{entry!r} in the manifest is no named weight.')
  with about(f'the weight {entry["name"]!r}'):
    shape, kind = entry.get('shape'), entry.get('dtype')
    if (
      not isinstance(shape, list)
      or len(shape) > _MAX_RANK
      or any(type(side) is not int or side < 0 for side in shape)
    ):
      raise GraphError(
        f'its shape {shape!r} is no list of at most {_MAX_RANK} sides.'
      )
    if kind not in (*_TYPES, 'string'):
      raise GraphError(
        f'its type is {kind!r}; known are {[*_TYPES, "string"]}.'
      )
    stored = _stored_as(kind, entry.get('quantization'))
    return _Weight(entry['name'], tuple(shape), kind, *stored)


def _stored_as(kind: str, quantization: Any) -> tuple[str, float, float]:
  """Returns how a weight of a type is stored, with scale and minimum."""
  if quantization is None:
    return kind, 1.0, 0.0
  stored = quantization.get('dtype') if isinstance(quantization, dict) else None
  known = _STORAGE.get(kind, ())
  if stored not in known:
    raise GraphError(
      f'it is of type {kind}, stored as {quantization!r}; known for {kind} are '
      f'{list(known)}.'
    )
  if stored == 'float16':
    return stored, 1.0, 0.0
  scale, minimum = quantization.get('scale'), quantization.get('min')
  for number in (scale, minimum):
    if type(number) not in (int, float) or not math.isfinite(number):
      raise GraphError(
        f'it is stored as {stored} with scale {scale!r} and min {minimum!r}; '
        'both must be finite numbers.'
      )
  return stored, float(scale), float(minimum)


def _decode_group(
  shards: Sequence[pathlib.Path],
  group: Sequence[_Weight],
  max_bytes: int,
  spent: budget.Budget,
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields the names and values of a group's weights."""
  size = sum(shard.stat().st_size for shard in shards)
  names = ', '.join(shard.name for shard in shards[:3])
  names += f' and {len(shards) - 3} more' if len(shards) > 3 else ''
  with about(f'the shards {names} have {size} bytes'):
    if size > max_bytes:
      raise GraphError(f'more than the {max_bytes} allowed.')
    content = memoryview(b''.join(budget.read(s, max_bytes) for s in shards))
    offset = 0
    for weight in group:
      spent.charge(f'the weight {weight.name!r}', size=weight.decoded_bytes)
      decode_values = _strings if weight.stored == 'string' else _numbers
      values, offset = decode_values(weight, content, offset)
      if offset > size:
        raise GraphError(
          f'the weight {weight.name!r} of shape {list(weight.shape)} ends at '
          f'byte {offset}; a shard is cut off or missing from the manifest.'
        )
      yield weight.name, values.reshape(weight.shape)
    if offset != size:
      raise GraphError(
        f'all their weights together take {offset}; model.json and shards do '
        'not belong together.'
      )


def _numbers(
  weight: _Weight, content: memoryview, start: int
) -> tuple[np.ndarray, int]:
  """Returns numbers, as the TensorFlow.js runtime does, and their end."""
  end = start + _TYPES[weight.stored].itemsize * weight.elements
  if end > len(content):
    return np.zeros(0), end
  values = np.frombuffer(content[start:end], _TYPES[weight.stored])
  if weight.type != weight.stored != 'float16':
    values = values.astype(np.float64) * weight.scale + weight.minimum
    if weight.type == 'int32':
      values = np.floor(values + 0.5)  # As JavaScript rounds.
  return values.astype(weight.type), end


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
