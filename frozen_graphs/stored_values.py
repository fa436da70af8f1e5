"""Reads the values of a graph's variables from a checkpoint, as data."""

from collections.abc import Callable, Mapping
import dataclasses
import re

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

# The message's only home; not one of TensorFlow's private Python modules.
from tensorflow.core.protobuf import trackable_object_graph_pb2

from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.tensors import NodeDef

# What TensorFlow's reader of checkpoints raises, besides its own errors.
_READ_ERRORS = (
  tf.errors.OpError, IndexError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
_OBJECTS = '_CHECKPOINTABLE_OBJECT_GRAPH'


@dataclasses.dataclass(frozen=True)
class Stored:
  """Where a checkpoint holds a variable: a tensor, or a part of one."""

  key: str
  part: str = ''  # As RestoreV2 has it: '4 2 0,2:-', or empty for the whole.


def reader(
  checkpoint: str | None, stored: Mapping[str, Stored]
) -> Callable[[NodeDef], np.ndarray]:
  """Returns what gives `variables.freeze` the values in a checkpoint.

  It raises GraphError if the checkpoint is damaged, or lacks a variable.

  Args:
    checkpoint: Its prefix; None if there is none.
    stored: Where variables are stored, see `variables.stored_variables`.
  """
  readers = []

  def value_of(node: NodeDef) -> np.ndarray:
    if not readers:
      readers.append(_open(checkpoint, node.name))
    name = node.attr['shared_name'].s.decode() or node.name
    return _value(readers[0], stored.get(node.name, Stored(name)), node)

  return value_of


def _open(checkpoint: str | None, needed: str):
  if checkpoint is None:
    raise GraphError(
      f'The graph has variables, for example {needed!r}, but there is no '
      'checkpoint with their values.'
    )
  message = f'{checkpoint} is no checkpoint, or is damaged or incomplete'
  with explaining(message, *_READ_ERRORS):
    return tf.train.load_checkpoint(checkpoint)


def _value(reader, stored: Stored, node: NodeDef) -> np.ndarray:
  keys = [stored.key]
  if not reader.has_tensor(stored.key):
    keys = _keys_of_objects(reader, stored.key)
  if not keys:
    raise GraphError(
      f'The checkpoint has no tensor {stored.key!r}, which is the value of the '
      f'variable {node.name!r}; it belongs to another graph.'
    )
  if len(keys) > 1:
    raise GraphError(
      f'The checkpoint has {len(keys)} variables named {stored.key!r} '
      f'({", ".join(keys)}), and nothing says which is meant. Save a Keras '
      'model with model.export(FOLDER), or convert the model itself in Python.'
    )
  value = np.asarray(_read(reader, keys[0]))
  if stored.part:
    value = value[_slices(stored.part)]
  shape = tf.TensorShape(node.attr['shape'].shape)
  if not shape.is_compatible_with(value.shape):
    raise GraphError(
      f'The variable {node.name!r} has the shape {shape}, but the checkpoint '
      f'holds {value.shape}; it belongs to another graph.'
    )
  return value


def _read(reader, key: str):
  with explaining(f'The checkpoint is damaged at {key!r}', *_READ_ERRORS):
    return reader.get_tensor(key)


def _keys_of_objects(reader, name: str) -> list[str]:
  """Returns where a checkpoint of objects holds the variables of a name.

  `tf.saved_model.save` of a Keras 3 model restores copies of the variables, and
  has the signatures use the originals, which only the objects lead to.
  """
  if not reader.has_tensor(_OBJECTS):
    return []
  message = f'The checkpoint is damaged at {_OBJECTS!r}'
  with explaining(message, DecodeError, TypeError, ValueError):
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
      _read(reader, _OBJECTS)
    )
  return sorted({
    attribute.checkpoint_key
    for node in objects.nodes
    for attribute in node.attributes
    if attribute.full_name == name
    and reader.has_tensor(attribute.checkpoint_key)
  })  # fmt: skip


def _slices(part: str) -> tuple[slice, ...]:
  """Returns what '4 2 0,2:-' means: rows 0 and 1 of a [4, 2] tensor."""
  slices = []
  for extent in part.split(' ')[-1].split(':'):
    if match := re.fullmatch(r'(\d+),(\d+)', extent):
      start, length = map(int, match.groups())
      slices.append(slice(start, start + length))
    elif extent == '-':
      slices.append(slice(None))
    else:
      raise GraphError(f'The restore nodes name a part {part!r} of a variable.')
  return tuple(slices)
