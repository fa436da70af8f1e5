"""Verifies nodes against what their types are defined to be.

TensorFlow checks much of this itself, but ends the process over the rest: it
is meant for graphs that TensorFlow has written.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import re
from typing import Any

import numpy as np
import tensorflow as tf

from frozen_graphs import constants, op_definitions, tensors
from frozen_graphs.errors import GraphError
from frozen_graphs.tensors import NodeDef

_MAX_NAME = 4096  # Characters; TensorFlow's own patterns end it far beyond.
_MAX_RANK = 254  # Of a shape; TensorFlow's own bound.
_OF_WINDOWS = frozenset({'ksize', 'ksizes', 'strides', 'dilations', 'rates'})
_MAX_WINDOW = 2**15  # Pixels; pooling kernels overflow before they check.
_MAX_BATCH_AXES = 4  # TensorFlow ends the process over more than there are.
MAX_BOX = 1e6  # Of a side of an image; the kernel takes NaN for a place.
_LEGAL = re.compile(r'[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*')
_FIELDS = {
  'string': 's',
  'int': 'i',
  'float': 'f',
  'bool': 'b',
  'type': 'type',
  'shape': 'shape',
  'tensor': 'tensor',
  'func': 'func',
}


class NodeChecks:
  """Checks the nodes of one graph, each after those that it takes."""

  def __init__(self):
    self._made: dict[str, tuple[tf.DType, ...]] = {}
    self._constants: dict[str, NodeDef] = {}

  def check(self, node: NodeDef) -> None:
    """Checks a node, and remembers what it makes.

    Raises:
      GraphError: If its name, an attribute, the number or the types of its
        operands are not as the operation has them.
    """
    if len(node.name) > _MAX_NAME or not _LEGAL.fullmatch(node.name):
      raise GraphError(
        f'The graph has a node named {node.name[:60]!r} ({len(node.name)} '
        'characters), which TensorFlow does not allow.'
      )
    definition = op_definitions.of(node)
    for name, entry in definition.attributes.items():
      _check_attribute(node, entry, op_definitions.attribute(node, name))
    if node.op == 'Const':
      constants.check(node)
      self._constants[node.name] = node
    self._check_inputs(node, definition)
    if node.op == 'CropAndResize':
      self._check_boxes(node)
    self._made[node.name] = op_definitions.output_types(node)

  def _check_inputs(
    self, node: NodeDef, definition: op_definitions.Definition
  ) -> None:
    wanted = [
      kind
      for argument in definition.inputs
      for kind in op_definitions.argument_types(node, argument)
    ]
    given = list(tensors.data_inputs(node))
    if len(given) != len(wanted):
      raise GraphError(
        f'Node {node.name!r} ({node.op}) needs {len(wanted)} operands, but has '
        f'{len(given)}; the file is damaged.'
      )
    for (name, number), kind in zip(given, wanted, strict=True):
      if name not in self._made:
        continue
      made = self._made[name]
      if not 0 <= number < len(made):
        raise GraphError(
          f'Node {node.name!r} takes the tensor {number} of {name!r}, which '
          f'has {len(made)}; the file is damaged.'
        )
      if made[number].base_dtype.as_datatype_enum != kind:
        raise GraphError(
          f'Node {node.name!r} ({node.op}) takes {name!r} as '
          f'{op_definitions.dtype(kind, node).name}, but it is '
          f'{made[number].name}; the file is damaged.'
        )

  def _check_boxes(self, node: NodeDef) -> None:
    """Raises GraphError if parts of images are numbers that overflow."""
    boxes = self._constants.get(tensors.producers(node)[1])
    if boxes is None:
      return  # They are computed; see `kernels`.
    values = constants.value(boxes)
    if not (np.abs(values) <= MAX_BOX).all():
      raise GraphError(
        f'Node {node.name!r} ({node.op}) cuts boxes out of images that are no '
        'such parts; the file is damaged.'
      )


def _check_attribute(node: NodeDef, entry: Any, value: Any) -> None:
  """Raises GraphError unless an attribute is what its definition says."""
  kind, is_list = _kind(entry.type)
  problem = None
  if value.WhichOneof('value') != ('list' if is_list else kind):
    problem = f'is no {entry.type}'
  elif is_list:
    problem = _problem_of_list(entry, kind, value.list)
  elif entry.has_minimum and value.i < entry.minimum:
    problem = f'is {value.i}, less than {entry.minimum}'
  elif entry.name == 'batch_dims' and abs(value.i) > _MAX_BATCH_AXES:
    problem = f'is {value.i}; at most {_MAX_BATCH_AXES} are allowed'
  if problem is None and entry.name in _OF_WINDOWS and is_list:
    problem = _problem_of_window(value.list.i)
  if problem is None and (of_kind := _PROBLEMS.get(kind)):
    values = getattr(value.list, kind) if is_list else [getattr(value, kind)]
    problem = next(filter(None, (of_kind(entry, v) for v in values)), None)
  if problem:
    raise GraphError(
      f'The attribute {entry.name!r} of node {node.name!r} ({node.op}) '
      f'{problem}; the file is damaged.'
    )


@functools.cache
def _kind(text: str) -> tuple[str, bool]:
  """Returns the field of a type of attributes, and whether it is a list."""
  inner = text.removeprefix('list(').removesuffix(')')
  return _FIELDS[inner], inner != text


def _problem_of_list(entry: Any, kind: str, values: Any) -> str | None:
  others = [field.name for field, _ in values.ListFields()]
  if set(others) - {kind}:
    return f'is a list of {others}'
  count = len(getattr(values, kind))
  if entry.has_minimum and count < entry.minimum:
    return f'has {count} elements, less than {entry.minimum}'
  return None


def _problem_of_window(sides: Sequence[int]) -> str | None:
  if all(0 <= side <= _MAX_WINDOW for side in sides):
    return None
  return f'is {list(sides)[:8]}; at most {_MAX_WINDOW} are allowed'


def _problem_of_choice(field: str, entry: Any, value: Any) -> str | None:
  if not entry.HasField('allowed_values'):
    return None
  allowed = getattr(entry.allowed_values.list, field)
  return None if value in allowed else f'is {str(value)[:60]}'


def _problem_of_type(entry: Any, value: int) -> str | None:
  try:
    kind = tf.as_dtype(value)
  except TypeError:
    return f'is {value}, which is no type'
  if kind != kind.base_dtype:
    return 'is a reference'
  return _problem_of_choice('type', entry, value)


def _problem_of_shape(entry: Any, value: Any) -> str | None:
  sides = [dim.size for dim in value.dim]
  if len(sides) > _MAX_RANK or min(sides, default=0) < -1:
    return f'is no shape, but {sides[:8]}'
  size = 1
  for side in sides:
    size *= max(side, 1)
  return f'is {sides[:8]}, which is too large' if size >= 2**62 else None


_PROBLEMS: Mapping[str, Callable[[Any, Any], str | None]] = {
  's': functools.partial(_problem_of_choice, 's'),
  'type': _problem_of_type,
  'shape': _problem_of_shape,
}
