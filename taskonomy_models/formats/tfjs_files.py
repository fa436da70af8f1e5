"""Reads what TensorFlow.js stores: a model.json and its shards of weights.

The weights of a group are stored one behind the other, in the order of the
manifest, and cut into shards anywhere. A weight is stored as it is, as float16,
or as uint8 or uint16 q with its own scale and minimum: q * scale + min.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import json
import math
import os
import pathlib
import re
from typing import Any

import numpy as np

from attribution.errors import GraphError

GRAPH_MODEL = 'graph-model'
LAYERS_MODEL = 'layers-model'

_FILE = 'model.json'
_MAX_BYTES = 2**31 - 1  # What a protocol buffer can hold.
_MAX_JSON_BYTES = 2**28  # Ten times the largest one met, of 43,000 nodes.
_MAX_RANK = 32
_HEAD = 2**16  # Bytes that tell the format.
_KIND = re.compile(r'"format"\s*:\s*"(graph|layers)-model"')
# Older converters do not name the format.
_GRAPH = re.compile(r'"modelTopology"\s*:\s*\{\s*"node"')
_LAYERS = re.compile(
  r'"modelTopology"\s*:\s*\{\s*"(class_name|model_config|keras_version)"'
)

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
class Model:
  """A parsed model.json.

  Attributes:
    path: Of the file.
    content: Of the file.
  """

  path: pathlib.Path
  content: Mapping[str, Any]

  @property
  def topology(self) -> Mapping[str, Any]:
    return self.content['modelTopology']


def find(source: str | os.PathLike) -> pathlib.Path:
  """Returns the model.json that `source` is, or is the folder of."""
  path = pathlib.Path(source)
  return path / _FILE if path.is_dir() else path


def kind(source: str | os.PathLike) -> str | None:
  """Returns GRAPH_MODEL, LAYERS_MODEL or None, from the head of the file."""
  path = find(source)
  if path.suffix != '.json' or not path.is_file():
    return None
  with open(path, 'rb') as file:
    head = file.read(_HEAD).decode('utf-8', errors='replace')
  if match := _KIND.search(head):
    return f'{match[1]}-model'
  if _GRAPH.search(head):
    return GRAPH_MODEL
  return LAYERS_MODEL if _LAYERS.search(head) else None


def read(
  source: str | os.PathLike, expected: str, max_bytes: int = _MAX_JSON_BYTES
) -> Model:
  """Returns the model of `source`, a model.json or its folder.

  Args:
    source: A path.
    expected: GRAPH_MODEL or LAYERS_MODEL.
    max_bytes: A larger file is refused before it is read.

  Raises:
    GraphError: If it is no TensorFlow.js model of the expected format.
    OSError: If it cannot be read.
  """
  path = find(source)
  if not path.exists():
    raise FileNotFoundError(
      f'There is no {path}; pass the {_FILE} of a TensorFlow.js model, or the '
      'folder it is in.'
    )
  size = path.stat().st_size
  if size > max_bytes:
    raise GraphError(
      f'{path} has {size} bytes, more than the {max_bytes} allowed.'
    )
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except (ValueError, RecursionError) as error:
    raise GraphError(
      f'{path} is not JSON, or is cut off ({size} bytes): {error}'
    ) from error
  topology = content.get('modelTopology') if isinstance(content, dict) else None
  if not isinstance(topology, dict):
    raise GraphError(
      f'{path} is no TensorFlow.js model: it has no object "modelTopology".'
    )
  found = GRAPH_MODEL if 'node' in topology else LAYERS_MODEL
  if found != expected:
    raise GraphError(
      f'{path} is a TensorFlow.js {found}, not a {expected}; load it as that.'
    )
  return Model(path, content)


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
    """Size in the shards; of strings only what their lengths take."""
    if self.stored == 'string':
      return 4 * self.elements
    return _TYPES[self.stored].itemsize * self.elements

  @property
  def decoded_bytes(self) -> int:
    size = 4 if self.type == 'string' else _TYPES[self.type].itemsize
    return size * self.elements


def weights(model: Model, max_bytes: int = _MAX_BYTES) -> dict[str, np.ndarray]:
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
  if kind != 'string' and kind not in _TYPES:
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
  _check_size(path, shards, size, group)
  content = memoryview(b''.join(shard.read_bytes() for shard in shards))
  offset = 0
  for weight in group:
    if weight.stored == 'string':
      values, offset = _strings(weight, content, offset)
      if offset > size:
        raise GraphError(
          f'{path}: the shards {_listing(shards)} hold {size} bytes, but the '
          f'strings of the weight {weight.name!r} go on to byte {offset}; a '
          'shard is cut off.'
        )
    else:
      end = offset + weight.stored_bytes
      values = np.frombuffer(content[offset:end], _TYPES[weight.stored])
      values, offset = _dequantize(values, weight), end
    yield weight.name, values.reshape(weight.shape)
  if offset != size:
    raise GraphError(_too_much(path, shards, size, offset))


def _check_size(
  path: pathlib.Path,
  shards: Sequence[pathlib.Path],
  size: int,
  group: Sequence[_Weight],
) -> None:
  """Raises GraphError, before anything is read, if the shards do not fit."""
  needed = 0
  for weight in group:
    needed += weight.stored_bytes
    if needed > size:
      raise GraphError(
        f'{path}: the shards {_listing(shards)} hold {size} bytes, but the '
        f'weight {weight.name!r} of shape {list(weight.shape)} ends at byte '
        f'{needed}; a shard is cut off or missing from the manifest.'
      )
  has_strings = any(weight.stored == 'string' for weight in group)
  if size != needed and not has_strings:
    raise GraphError(_too_much(path, shards, size, needed))


def _too_much(
  path: pathlib.Path, shards: Sequence[pathlib.Path], size: int, needed: int
) -> str:
  return (
    f'{path}: the shards {_listing(shards)} hold {size} bytes, but all their '
    f'weights together take {needed}; model.json and shards do not belong '
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
