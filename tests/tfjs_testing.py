"""What tests share: models of TensorFlow.js, written from scratch."""

import base64
from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs.frozen import FrozenNetwork

_TYPES = {'float32': 'DT_FLOAT', 'int32': 'DT_INT32', 'bool': 'DT_BOOL'}


def attribute(value: Any) -> dict:
  """Returns an attribute of a node in JSON."""
  match value:
    case bool():
      return {'b': value}
    case int():
      return {'i': str(value)}
    case float():
      return {'f': value}
    case str() if value.startswith('DT_'):
      return {'type': value}
    case str():
      return {'s': base64.b64encode(value.encode()).decode()}
    case [str(), *_]:
      items = [base64.b64encode(v.encode()).decode() for v in value]
      return {'list': {'s': items}}
    case list():
      return {'list': {'i': [str(v) for v in value]} if value else {}}
  raise TypeError(value)


def node(name: str, op: str, inputs: Sequence[str] = (), **attributes) -> dict:
  """Returns a node in JSON."""
  return {
    'name': name,
    'op': op,
    'input': list(inputs),
    'attr': {key: attribute(value) for key, value in attributes.items()},
  }


def shape(sides: Sequence[int]) -> dict:
  return {'dim': [{'size': str(side)} for side in sides]}


def placeholder(name: str, sides: Sequence[int], kind: str = 'DT_FLOAT'):
  result = node(name, 'Placeholder', dtype=kind)
  result['attr']['shape'] = {'shape': shape(sides)}
  return result


def constant(name: str, value: np.ndarray, kind: str | None = None) -> dict:
  """Returns a constant without its value, which is a weight."""
  kind = kind or _TYPES[str(value.dtype)]
  result = node(name, 'Const', dtype=kind)
  tensor = {'dtype': kind, 'tensorShape': shape(value.shape)}
  result['attr']['value'] = {'tensor': tensor}
  return result


def stored(
  name: str, value: np.ndarray, storage: str | None = None
) -> tuple[dict, bytes]:
  """Returns a weight's entry in the manifest and what the shards hold."""
  kind = 'string' if value.dtype == object else str(value.dtype)
  entry = {'name': name, 'shape': list(value.shape), 'dtype': kind}
  if kind == 'string':
    content = b''.join(
      len(text).to_bytes(4, 'little') + text for text in value.ravel()
    )
    return entry, content
  if storage is None:
    return entry, value.astype(value.dtype.newbyteorder('<')).tobytes()
  entry['quantization'] = {'dtype': storage, 'original_dtype': kind}
  if storage == 'float16':
    return entry, value.astype('<f2').tobytes()
  low, high = float(value.min()), float(value.max())
  scale = (high - low) / np.iinfo(storage).max or 1.0
  entry['quantization'].update(min=low, scale=scale)
  numbers = np.round((value.astype(np.float64) - low) / scale)
  dtype = np.dtype(storage).newbyteorder('<')
  return entry, numbers.astype(dtype).tobytes()


def write(
  folder: str | pathlib.Path,
  topology: Mapping,
  weights: Mapping[str, np.ndarray],
  storage: Mapping[str, str] | None = None,
  shard_bytes: int = 1000,
  **more: Any,
) -> pathlib.Path:
  """Writes a model and returns the path of its model.json.

  Args:
    folder: Where to.
    topology: The network.
    weights: By name.
    storage: By name, for weights that are not stored as they are.
    shard_bytes: Where the shards are cut.
    **more: Other members of the file.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  pairs = [
    stored(name, value, (storage or {}).get(name))
    for name, value in weights.items()
  ]
  content = b''.join(data for _, data in pairs)
  cuts = range(0, max(1, len(content)), shard_bytes)
  paths = [f'shard{i}of{len(cuts)}.bin' for i in range(len(cuts))]
  for path, start in zip(paths, cuts, strict=True):
    (folder / path).write_bytes(content[start : start + shard_bytes])
  manifest = [{'paths': paths, 'weights': [entry for entry, _ in pairs]}]
  kind = 'graph' if 'node' in topology else 'layers'
  model = {
    'format': f'{kind}-model',
    'generatedBy': 'test',
    'convertedBy': None,
    **more,
    'modelTopology': topology,
    'weightsManifest': manifest,
  }
  path = folder / 'model.json'
  path.write_text(json.dumps(model), encoding='utf-8')
  return path


def change(path: pathlib.Path, function) -> None:
  """Changes a written model.json: `function` is given its content."""
  content = json.loads(path.read_text(encoding='utf-8'))
  function(content)
  path.write_text(json.dumps(content), encoding='utf-8')


def run(
  network: FrozenNetwork | tf.compat.v1.GraphDef,
  outputs: str | Sequence[str],
  feeds: Mapping[str, np.ndarray] | None = None,
):
  """Returns tensors of a network by name."""
  graph_def = getattr(network, 'graph_def', network)
  with tf.Graph().as_default() as graph:
    copy = tf.compat.v1.GraphDef.FromString(graph_def.SerializeToString())
    tf.import_graph_def(copy, name='')
    with tf.compat.v1.Session(graph=graph) as session:
      return session.run(outputs, feeds or {})
