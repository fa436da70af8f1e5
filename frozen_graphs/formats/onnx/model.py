"""Loads an ONNX model as a frozen graph.

Only the package `onnx` is needed, to parse the file. No activation is fused or
turned into something else, so that epsilon-LRP finds it; activations stay
[N, H, W, C] in memory, since TensorFlow's kernels for CPUs have no other.

Tensors are named `<Op>_<n>`, the operations of a type counted from 0 in the
order of the file: `Relu_48` is what the 49th Relu computes. The names that the
file gives its nodes are aliases; where it gives none, that of what they return.
"""

from collections.abc import Mapping, Sequence
import os

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError, about
from frozen_graphs.formats import converter
from frozen_graphs.formats.onnx import file as onnx_file
from frozen_graphs.formats.onnx import registry as onnx_registry
from frozen_graphs.formats.onnx.values import Operand, Value, as_value
from frozen_graphs.frozen import FrozenNetwork

LAYOUTS = ('auto', 'channels_first', 'channels_last')
_IMAGE_CHANNELS = (1, 3, 4)


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a file of an ONNX model, by its name."""
  return str(path).lower().endswith('.onnx') and os.path.isfile(path)


def load(
  path: str | os.PathLike,
  *,
  outputs: Sequence[str] | None = None,
  fixed_inputs: Mapping[str, np.ndarray] | None = None,
  image_size: int | tuple[int, int] | None = None,
  layout: str = 'auto',
  representation: str | None = None,
  partial: bool = False,
  max_bytes: int = onnx_file.MAX_BYTES,
) -> FrozenNetwork:
  """Loads an ONNX model.

  Args:
    path: Of the model; weights outside of it lie beside it.
    outputs: Names of tensors or nodes of the file, or `<Op>_<n>`: only what
      they need is converted. By default the file's outputs.
    fixed_inputs: Values of inputs that are no image, such as a choice of style.
    image_size: (height, width), or one number for both, where the file leaves
      that open and an operation needs it.
    layout: Of inputs of four dimensions in the file. By default, channels are
      where one of 1, 3 and 4 stands, else first.
    representation: The tensor of interest: if the file's outputs cannot be
      converted, only what it needs is.
    partial: Convert what can be, and leave the rest out.
    max_bytes: A larger model is refused before it is read.

  Returns:
    The network. Images are fed as [N, H, W, C] whatever the file's layout; the
    outputs have the axes of the file.

  Raises:
    GraphError: If the file is damaged, holds an operation that is not known or
      quantised numbers, or needs an argument.
    OSError: If it cannot be read.
  """
  graph = onnx_file.read(path, max_bytes)
  with about(path):
    if layout not in LAYOUTS:
      raise GraphError(f'layout must be one of {LAYOUTS}, not {layout!r}.')
    if isinstance(image_size, int):
      image_size = image_size, image_size
    shapes = {name: entry.shape for name, entry in graph.inputs.items()}

    def convert(names: Sequence[str] | None, partial: bool) -> FrozenNetwork:
      new = _OnnxConverter(graph, fixed_inputs or {}, image_size, layout)
      what = f'ONNX model {path}'
      return new.convert(shapes, graph.outputs, names, what, partial)

    return converter.as_far_as_needed(convert, outputs, representation, partial)


class _OnnxConverter(converter.Converter[str]):
  """Converts one file; operands are by the names of tensors."""

  _COMPUTED = Value

  def __init__(
    self,
    graph: onnx_file.OnnxGraph,
    fixed_inputs: Mapping[str, np.ndarray],
    image_size: tuple[int, int] | None,
    layout: str,
  ):
    super().__init__(
      graph.nodes,
      [node.op for node in graph.nodes],
      [node.name or next(iter(node.outputs), '') for node in graph.nodes],
      {'': None, **graph.weights, **_fixed(graph, fixed_inputs)},
    )
    self._graph, self._layout = graph, layout
    self._image_size = image_size

  def _find(self, name: str) -> Sequence[str]:
    """Returns the tensors that are called so, or that a node called so has."""
    for i, node in enumerate(self._graph.nodes):
      if name in node.outputs:
        return [name]
      if name in (self._names[i], self._aliases[i], node.name):
        return list(filter(None, node.outputs))
    known = [key for node in self._graph.nodes for key in node.outputs]
    raise self._missing('tensor or node', name, known, self._graph.outputs)

  def _input(self, key: str) -> Value:
    """Adds a Placeholder; of images it has the channels last."""
    stated = self._graph.inputs[key]
    shape = stated.shape
    if shape is None:
      raise GraphError(f'the input {key!r} has no stated rank.')
    order = tuple(range(len(shape)))
    if len(shape) == 4:
      channels = self._channels_axis(shape)
      sides = [axis for axis in (1, 2, 3) if axis != channels]
      order = (0, *sides, channels)
      if self._image_size:
        sizes = dict(zip(sides, self._image_size, strict=True))
        shape = [s or sizes.get(axis) for axis, s in enumerate(shape)]
    tensor = self._named.input(
      key, tf.as_dtype(stated.dtype), [shape[axis] for axis in order]
    )
    return Value(tensor, order)

  def _channels_axis(self, shape: Sequence[int | None]) -> int:
    if self._layout != 'auto':
      return 1 if self._layout == 'channels_first' else 3
    is_last = shape[3] in _IMAGE_CHANNELS and shape[1] not in _IMAGE_CHANNELS
    return 3 if is_last else 1

  def _add(self, number: int) -> None:
    node = self._graph.nodes[number]
    operands = [self._operand(name, str(node)) for name in node.inputs]
    with self._named_operation(number) as made:
      results = onnx_registry.convert(node, operands)
      values = [r for r in results if isinstance(r, Value)]
      if len(values) == len(results):
        made.extend(value.tensor for value in values)
    named = zip(node.outputs, results, strict=False)
    self._operands |= {name: result for name, result in named if name}

  def _output(self, key: str) -> tuple[str, tf.Tensor]:
    operand = self._operand(key, 'The output')
    return key, as_value(operand).in_onnx_order()

  def _operand(self, name: str, user: str) -> Operand | None:
    if name not in self._operands:
      raise GraphError(
        f'{user} needs the tensor {name!r}, which is not computed: the network '
        'has it for training only, or it is not supported.'
      )
    return self._operands[name]


def _fixed(
  graph: onnx_file.OnnxGraph, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns inputs that are constants, checked."""
  result = {}
  for name, value in values.items():
    if name not in graph.inputs:
      raise GraphError(f'it has no input {name!r}, but {sorted(graph.inputs)}.')
    expected = graph.inputs[name]
    result[name] = np.asarray(value, expected.dtype)
    shape = expected.shape or result[name].shape
    if not tf.TensorShape(shape).is_compatible_with(result[name].shape):
      raise GraphError(
        f'the input {name!r} has the shape {shape}, not that of its fixed '
        f'value, {result[name].shape}.'
      )
  return result
