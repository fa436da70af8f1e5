"""Finds and reads the model.json of a TensorFlow.js model."""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import re
from typing import Any

from frozen_graphs import budget
from frozen_graphs.errors import GraphError, explaining

GRAPH_MODEL = 'graph-model'
LAYERS_MODEL = 'layers-model'

_FILE = 'model.json'
_OLD_FILES = ('tensorflowjs_model.pb', 'weights_manifest.json')
_MAX_JSON_BYTES = 2**28  # Ten times the largest one met, of 43,000 nodes.
_HEAD = 2**16  # Bytes that tell the format.
_KIND = re.compile(r'"format"\s*:\s*"(graph|layers)-model"')
# Older converters do not name the format.
_GRAPH = re.compile(r'"modelTopology"\s*:\s*\{\s*"node"')
_LAYERS = re.compile(
  r'"modelTopology"\s*:\s*\{\s*"(class_name|model_config|keras_version)"'
)


@dataclasses.dataclass(frozen=True)
class Model:
  """A parsed model.json."""

  path: pathlib.Path
  content: Mapping[str, Any]

  @property
  def topology(self) -> Mapping[str, Any]:
    return self.content['modelTopology']


def _find(source: str | os.PathLike) -> pathlib.Path:
  """Returns the model.json that `source` is, or is the folder of."""
  path = pathlib.Path(source)
  return path / _FILE if path.is_dir() else path


def is_of_old_converter(source: str | os.PathLike) -> bool:
  """Returns whether `source` is, or is in, what a converter 0.x wrote."""
  path = pathlib.Path(source)
  folder = path if path.is_dir() else path.parent
  is_there = all((folder / name).is_file() for name in _OLD_FILES)
  return is_there and (path == folder or path.name in _OLD_FILES)


def kind(source: str | os.PathLike) -> str | None:
  """Returns GRAPH_MODEL, LAYERS_MODEL or None, from the head of the file."""
  if is_of_old_converter(source):
    return GRAPH_MODEL
  path = _find(source)
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

  Raises:
    GraphError: If it is no model of the expected format (GRAPH_MODEL or
      LAYERS_MODEL), or larger than `max_bytes`.
    OSError: If it cannot be read.
  """
  if is_of_old_converter(source):
    raise GraphError(
      f'{source} was written by a converter of TensorFlow.js 0.x '
      f'({" and ".join(_OLD_FILES)}), whose files are not read. Convert the '
      'original network again, or make a model.json of them with '
      'tools/pb2json_converter.ts of tfjs-converter 1 or later.'
    )
  path = _find(source)
  if not path.exists():
    raise FileNotFoundError(
      f'There is no {path}; pass the {_FILE} of a TensorFlow.js model, or the '
      'folder it is in.'
    )
  text = budget.read(path, max_bytes)
  message = f'{path} is not JSON, or is cut off ({len(text)} bytes)'
  with explaining(message, ValueError, RecursionError):
    content = json.loads(text.decode('utf-8'))
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
