"""Loads a TensorFlow Lite model as a frozen graph.

Only the package `tflite` is needed, the bindings of the file format. An
activation that is fused into an operation is split off, so that epsilon-LRP
finds it. Weights that are stored in 16 bits or as integers become the 32 bits
that they stand for ("dynamic range" files are computed more exactly here than
by TensorFlow Lite, which rounds their activations as it goes). Networks whose
activations are integers are refused: no gradient flows through them.

Tensors are named `<Op>_<n>`, after the type of operation that TensorFlow has
for the last step, counted from 0 in the order of the file: `Relu6_31` is the
32nd result of a Relu6, fused or not. The file's own names are aliases.
"""

from collections.abc import Sequence
import os

import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError, about
from frozen_graphs.formats import converter
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite import registry as tflite_registry
from frozen_graphs.formats.tflite.registry import Operand
from frozen_graphs.frozen import FrozenNetwork


def matches(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a file of a model, by its name."""
  return str(path).lower().endswith(('.tflite', '.lite')) and os.path.isfile(
    path
  )


def load(
  path: str | os.PathLike,
  *,
  outputs: Sequence[str] | None = None,
  representation: str | None = None,
  partial: bool = False,
  max_bytes: int = tflite_file.MAX_BYTES,
) -> FrozenNetwork:
  """Loads a TensorFlow Lite model.

  Args:
    path: Of the model.
    outputs: Names of tensors, as the file or this module gives them: only what
      they need is converted. By default the file's outputs.
    representation: The tensor of interest: if the file's outputs cannot be
      converted, only what it needs is.
    partial: Convert what can be, and leave the rest out.
    max_bytes: A larger file is refused before it is read.

  Returns:
    The network; images are fed as [N, H, W, C].

  Raises:
    GraphError: If the file is damaged, holds an operation that is not known, or
      computes with quantised numbers.
    OSError: If it cannot be read.
  """
  graph = tflite_file.read(path, max_bytes)
  with about(path):
    shapes = {number: graph.tensors[number].shape for number in graph.inputs}

    def convert(names: Sequence[str] | None, partial: bool) -> FrozenNetwork:
      what = f'TensorFlow Lite model {path}'
      new = _TfliteConverter(graph)
      return new.convert(shapes, graph.outputs, names, what, partial)

    return converter.as_far_as_needed(convert, outputs, representation, partial)


class _TfliteConverter(converter.Converter[int]):
  """Converts one file; operands are by the numbers of tensors."""

  _COMPUTED = tf.Tensor

  def __init__(self, graph: tflite_file.TfliteGraph):
    super().__init__(
      graph.operators,
      [tflite_registry.kind(operator) for operator in graph.operators],
      [graph.tensors[o.outputs[0]].name for o in graph.operators],
      {-1: None},
    )
    self._graph = graph

  def _find(self, name: str) -> Sequence[int]:
    for number, tensor in enumerate(self._graph.tensors):
      if tensor.name == name:
        return [number]
    for i, operator in enumerate(self._graph.operators):
      if name in (self._names[i], self._aliases[i]):
        return operator.outputs[:1]
    named = [tensor.name for tensor in self._graph.tensors]
    ends = [named[number] for number in self._graph.outputs]
    raise self._missing('tensor', name, named, ends)

  def _input(self, key: int) -> tf.Tensor:
    tensor = self._graph.tensors[key]
    _refuse_quantised(tensor)
    return self._named.input(
      tensor.name, tf.as_dtype(tensor.dtype), tensor.shape
    )

  def _add(self, number: int) -> None:
    operator = self._graph.operators[number]
    result = self._graph.tensors[operator.outputs[0]]
    # What changes the type of weights alone may be given quantised ones.
    retypes = operator.op in ('DEQUANTIZE', 'CAST')
    checked = operator.inputs[:1] if retypes else (
      *operator.inputs, *operator.outputs
    )  # fmt: skip
    for tensor in checked:
      if tensor >= 0:
        _refuse_quantised(self._graph.tensors[tensor])
    operands = [self._operand(tensor) for tensor in operator.inputs]
    if retypes and isinstance(operands[0], np.ndarray):
      self._operands[operator.outputs[0]] = operands[0].astype(result.dtype)
      return
    with self._named_operation(number) as made:
      if retypes:
        results = (tf.cast(operands[0], result.dtype),)
      else:
        results = tflite_registry.convert(operator, operands, result.name)
      made.extend(results)
    self._operands |= dict(zip(operator.outputs, results, strict=False))

  def _output(self, key: int) -> tuple[str, tf.Tensor]:
    tensor = tf.convert_to_tensor(self._operand(key))
    return self._graph.tensors[key].name, tensor

  def _operand(self, number: int) -> Operand | None:
    """Returns an operand, a constant as an array of the computed type."""
    if number not in self._operands:
      tensor = self._graph.tensors[number]
      if tensor.is_quantised:
        self._operands[number] = _dequantised(tensor)
      else:
        self._operands[number] = tensor.array.astype(tensor.dtype)
    return self._operands[number]


def _refuse_quantised(tensor: tflite_file.TfliteTensor) -> None:
  """Raises GraphError for activations that are integers; weights may be."""
  if tensor.is_quantised and tensor.array is None:
    raise GraphError(
      f'the tensor {tensor.name!r} is quantised ({tensor.kind}). No gradient '
      'flows through a quantised network; take the file of which at most '
      'the weights are quantised.'
    )


def _dequantised(tensor: tflite_file.TfliteTensor) -> np.ndarray:
  """Returns the weights that quantised ones stand for."""
  if tensor.kind not in ('INT8', 'UINT8', 'INT16', 'INT32'):
    raise GraphError(
      f'the tensor {tensor.name!r} is quantised to {tensor.kind}, which is not '
      'supported.'
    )
  shape = [1] * tensor.array.ndim
  if tensor.scale.size > 1 or tensor.zero.size > 1:
    side = tensor.array.shape[tensor.axis : tensor.axis + 1]
    if not side == tensor.scale.shape == tensor.zero.shape:
      raise GraphError(
        f'the tensor {tensor.name!r} of shape {tensor.array.shape} has '
        f'{tensor.scale.size} scales; the file is damaged.'
      )
    shape[tensor.axis] = -1
  difference = tensor.array.astype(np.float64) - tensor.zero.reshape(shape)
  return (difference * tensor.scale.reshape(shape)).astype(np.float32)
