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

from frozen_graphs import named_graph
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tflite import file as tflite_file
from frozen_graphs.formats.tflite import (
  layers,  # noqa: F401 (registers operations)
  ops,  # noqa: F401
)
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
  max_bytes: int = tflite_file.MAX_BYTES,
) -> FrozenNetwork:
  """Loads a TensorFlow Lite model.

  Args:
    path: Of the model.
    outputs: Names of tensors, as the file or this module gives them: only what
      they need is converted. By default the file's outputs.
    max_bytes: A larger file is refused before it is read.

  Returns:
    The network; images are fed as [N, H, W, C].

  Raises:
    GraphError: If the file is damaged, holds an operation that is not known, or
      computes with quantised numbers.
    OSError: If it cannot be read.
  """
  graph = tflite_file.read(path, max_bytes)
  try:
    graph_def, inputs, names = _Converter(graph).convert(outputs)
  except GraphError as error:
    raise GraphError(f'{path}: {error}') from error
  return FrozenNetwork(
    graph_def, inputs, names, f'TensorFlow Lite model {path}'
  )


class _Converter:
  """Converts one file."""

  def __init__(self, graph: tflite_file.TfliteGraph):
    self._graph = graph
    self._named = named_graph.NamedGraph()
    self._names, self._aliases = named_graph.choose(
      [tflite_registry.kind(o) for o in graph.operators],
      [graph.tensors[o.outputs[0]].name for o in graph.operators],
    )
    self._operands: dict[int, Operand | None] = {-1: None}

  def convert(self, outputs: Sequence[str] | None):
    """Returns the graph, and the names of its inputs and outputs."""
    wanted = self._graph.outputs
    if outputs is not None:
      wanted = [self._tensor(output) for output in outputs]
    needed = self._needed(wanted)
    used = {n for i in needed for n in self._graph.operators[i].inputs}
    for number in sorted(self._graph.inputs, key=self._is_no_image):
      if number in used.union(wanted):
        self._add_input(number)
    for number in sorted(needed):
      self._add(number)
    for number in dict.fromkeys(wanted):
      with self._named.graph.as_default():
        tensor = tf.convert_to_tensor(self._operand(number))
      self._named.output(self._graph.tensors[number].name, tensor)
    return self._named.finish()

  def _needed(self, tensors: Sequence[int]) -> set[int]:
    """Returns the numbers of the operators that some tensors need."""
    makers = {
      number: i
      for i, operator in enumerate(self._graph.operators)
      for number in operator.outputs
    }
    needed, stack = set(), list(tensors)
    while stack:
      maker = makers.get(stack.pop())
      if maker is not None and maker not in needed:
        needed.add(maker)
        stack.extend(self._graph.operators[maker].inputs)
    return needed

  def _tensor(self, name: str) -> int:
    for number, tensor in enumerate(self._graph.tensors):
      if tensor.name == name:
        return number
    for i, operator in enumerate(self._graph.operators):
      if name in (self._names[i], self._aliases[i]):
        return operator.outputs[0]
    raise GraphError(f'it has no tensor {name!r}.')

  def _is_no_image(self, number: int) -> bool:
    return len(self._graph.tensors[number].shape) != 4

  def _add_input(self, number: int) -> None:
    tensor = self._graph.tensors[number]
    self._refuse_quantised(tensor)
    self._operands[number] = self._named.input(
      tensor.name, tf.as_dtype(tensor.dtype), tensor.shape
    )

  def _add(self, number: int) -> None:
    operator = self._graph.operators[number]
    result = self._graph.tensors[operator.outputs[0]]
    if operator.op in ('DEQUANTIZE', 'CAST'):
      self._retype(operator, result, number)
      return
    for tensor in (*operator.inputs, *operator.outputs):
      if tensor >= 0:
        self._refuse_quantised(self._graph.tensors[tensor])
    operands = [self._operand(tensor) for tensor in operator.inputs]
    with self._named.operation(
      self._names[number], self._aliases[number]
    ) as made:
      results = tflite_registry.convert(operator, operands, result.name)
      made.extend(results)
    self._operands |= dict(zip(operator.outputs, results, strict=False))

  def _retype(
    self,
    operator: tflite_file.Operator,
    result: tflite_file.Tensor,
    number: int,
  ) -> None:
    """Adds an operation that changes the type; constants change at once."""
    self._refuse_quantised(self._graph.tensors[operator.inputs[0]])
    value = self._operand(operator.inputs[0])
    if isinstance(value, np.ndarray):
      self._operands[operator.outputs[0]] = value.astype(result.dtype)
      return
    with self._named.operation(
      self._names[number], self._aliases[number]
    ) as made:
      made.append(tf.cast(value, result.dtype))
    self._operands[operator.outputs[0]] = made[0]

  def _operand(self, number: int) -> Operand | None:
    """Returns an operand, a constant as an array of the computed type."""
    if number not in self._operands:
      tensor = self._graph.tensors[number]
      if tensor.is_quantised:
        self._operands[number] = _dequantised(tensor)
      else:
        self._operands[number] = tensor.array.astype(tensor.dtype)
    return self._operands[number]

  def _refuse_quantised(self, tensor: tflite_file.Tensor) -> None:
    """Raises GraphError for activations that are integers; weights may be."""
    if tensor.is_quantised and tensor.array is None:
      raise GraphError(
        f'the tensor {tensor.name!r} is quantised ({tensor.kind}). No gradient '
        'flows through a quantised network; take the file of which at most '
        'the weights are quantised.'
      )


def _dequantised(tensor: tflite_file.Tensor) -> np.ndarray:
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
