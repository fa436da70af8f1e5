"""Reads the description of a Keras 2 model: its layers and what feeds them."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

from frozen_graphs.errors import GraphError

MODELS = ('Functional', 'Model', 'Sequential')

# A tensor: the name of a layer, which of its uses, which of its outputs.
Key = tuple[str, int, int]


@dataclasses.dataclass(frozen=True)
class Entry:
  """A layer as a model's configuration describes it.

  Attributes:
    name: Unique in its model.
    kind: The name of its class.
    config: Its options; of a model in the model, its configuration.
    inbound: For each use of it, what it is given; see `references`.
  """

  name: str
  kind: str
  config: Any
  inbound: Sequence[Any]


def described_model(topology: Mapping) -> tuple[str, Any]:
  """Returns the class and the configuration of the whole model."""
  version = str(topology.get('keras_version', ''))
  if version.startswith('3'):
    raise GraphError(
      f'The model was written by Keras {version}, whose configuration is not '
      'read; save it for TensorFlow.js with tf-keras (Keras 2).'
    )
  described = topology.get('model_config', topology)
  kind = member(described, 'class_name')
  if kind not in MODELS:
    raise GraphError(
      f'The model is of the class {kind!r}; known are {list(MODELS)}.'
    )
  return kind, member(described, 'config')


def member(described: Any, key: str) -> Any:
  """Returns what an object in the JSON has under `key`, which it must have."""
  if not isinstance(described, dict) or key not in described:
    raise GraphError(
      f'A model or layer is described without {key!r}: {str(described)[:80]}'
    )
  return described[key]


def entries(described: Any) -> Iterator[Entry]:
  """Yields the layers of a model."""
  if not isinstance(described, list):
    raise GraphError('The layers of a model are not a list.')
  for entry in described:
    kind, config = member(entry, 'class_name'), member(entry, 'config')
    options = config if isinstance(config, dict) else {}
    name = entry.get('name') or options.get('name') or kind
    if not isinstance(name, str) or not isinstance(kind, str):
      raise GraphError(f'A layer has the name {name!r} and class {kind!r}.')
    if kind not in MODELS and not isinstance(config, dict):
      raise GraphError(f'The layer {name!r} has no options: {config!r}.')
    inbound = entry.get('inbound_nodes') or []
    if not isinstance(inbound, list):
      raise GraphError(f'The layer {name!r} has the inputs {inbound!r}.')
    yield Entry(name, kind, config, inbound)


def references(described: Any) -> list[Key]:
  """Returns the tensors that [layer, use, output, options] lists name.

  Args:
    described: A list of such lists, or one of them.
  """
  if isinstance(described, list) and described:
    described = [described] if isinstance(described[0], str) else described
  keys = []
  for reference in described if isinstance(described, list) else [described]:
    if (
      not isinstance(reference, list)
      or [type(part) for part in reference[:3]] != [str, int, int]
      or any(_matters(options) for options in reference[3:])
    ):
      raise GraphError(
        f'{str(reference)[:80]} names no tensor as [layer, use, output]; other '
        'arguments of a layer are not known.'
      )
    keys.append(tuple(reference[:3]))
  return keys


def _matters(options: Any) -> bool:
  """Returns whether a layer's call has arguments besides tensors."""
  if not isinstance(options, dict):
    return True
  return any(
    value not in (None, False) or name not in ('training', 'mask')
    for name, value in options.items()
  )
