"""Reads a TensorFlow Lite file into plain Python and NumPy; runs nothing."""

from collections.abc import Mapping
import dataclasses
import functools
import importlib
import math
import os
import struct
from typing import Any

import numpy as np

from frozen_graphs import budget
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats import converter
from frozen_graphs.formats.tflite import sparse

MAX_BYTES = 2**31 - 1  # What a GraphDef can hold as well.
_IDENTIFIER = b'TFL3'
_DTYPES = {
  name.upper(): np.dtype(name)
  for name in (
    'float16', 'float32', 'float64', 'bool', 'int8', 'int16', 'int32', 'int64',
    'uint8', 'uint16', 'uint32', 'uint64',
  )
}  # fmt: skip
_DAMAGES = (
  AttributeError, LookupError, OverflowError, TypeError, ValueError,
  struct.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TfliteTensor:
  """A tensor of the file.

  Attributes:
    name: As the file gives it.
    kind: Its type, as the file format calls it.
    shape: With None where it is open.
    scale: Of its numbers, if they are quantised, else empty.
    zero: The number that stands for 0, for each of `scale`.
    axis: Along which `scale` lies, if it has several numbers.
    array: Its value, or None if that is computed.
  """

  name: str
  kind: str
  shape: tuple[int | None, ...]
  scale: np.ndarray
  zero: np.ndarray
  axis: int
  array: np.ndarray | None

  @property
  def dtype(self) -> np.dtype:
    """The type that it is computed in: 16 and 64 bits become 32."""
    if self.kind not in _DTYPES:
      raise GraphError(
        f'the tensor {self.name!r} is of type {self.kind}, which is not '
        'supported.'
      )
    dtype = _DTYPES[self.kind]
    return np.dtype(np.float32) if dtype.kind == 'f' else dtype

  @property
  def is_quantised(self) -> bool:
    return self.scale.size > 0 and self.kind not in ('FLOAT16', 'FLOAT32')


@dataclasses.dataclass(frozen=True)
class Operator:
  """One operation.

  Attributes:
    op: Its type, such as 'CONV_2D', or 'custom ' and the name of a custom one.
    inputs: Numbers of tensors, -1 for an operand that is left out.
    outputs: Numbers of tensors.
    options: As the package `tflite` reads them, None if there are none.
  """

  op: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  options: Any

  def get(self, option: str, default: Any = None) -> Any:
    """Returns an option; texts of the file format are numbers.

    Raises:
      GraphError: If the file is damaged.
      ValueError: If there are no options, and no default.
    """
    if self.options is None:
      if default is None:
        raise ValueError(f'the option {option} is missing')
      return default
    with explaining(f'the option {option} of {self.op} is damaged', *_DAMAGES):
      return getattr(self.options, option)()


@dataclasses.dataclass(frozen=True)
class TfliteGraph:
  """What the main part of a file holds.

  Attributes:
    tensors: By number.
    operators: Each after those that it needs.
    inputs: Numbers of tensors.
    outputs: Numbers of tensors.
  """

  tensors: tuple[TfliteTensor, ...]
  operators: tuple[Operator, ...]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]


def _names(enumeration: type) -> Mapping[int, str]:
  """Returns the names of the numbers of an enumeration of `tflite`."""
  members = vars(enumeration).items()
  return {value: name for name, value in members if isinstance(value, int)}


def read(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> TfliteGraph:
  """Reads the file of a model, unless it is too large.

  Raises:
    GraphError: If the file is no model, is cut off, or is too large.
    OSError: If it cannot be read.
  """
  tflite = converter.require('tflite', of_format='TensorFlow Lite')
  content = budget.read(path, max_bytes)
  if content[4:8] != _IDENTIFIER:
    raise GraphError(
      f'{path} is no TensorFlow Lite model ({len(content)} bytes).'
    )
  message = f'it is damaged or cut off ({len(content)} bytes)'
  with about(path), explaining(message, *_DAMAGES):
    graph = _TfliteReader(tflite, content).graph()
    _check(graph)
  return graph


def _check(graph: TfliteGraph) -> None:
  """Raises GraphError if something is used that is not there."""
  if not graph.operators:
    raise GraphError('no operations found; the file is empty.')
  numbers = range(len(graph.tensors))
  known = {-1, *graph.inputs}
  known.update(i for i, t in enumerate(graph.tensors) if t.array is not None)
  for operator in graph.operators:
    for number in operator.inputs:
      if number not in known:
        name = graph.tensors[number].name if number in numbers else number
        raise GraphError(
          f'{operator.op} needs the tensor {name!r}, which nothing before it '
          'computes; the file is damaged.'
        )
    if not operator.outputs or any(n not in numbers for n in operator.outputs):
      raise GraphError(f'{operator.op} has wrong results; the file is damaged.')
    known.update(operator.outputs)
  used = {*graph.inputs, *graph.outputs}
  if not used <= known.intersection(numbers):
    raise GraphError('an input or output is missing; the file is damaged.')


class _TfliteReader:
  """Decodes one file."""

  def __init__(self, tflite, content: bytes):
    self._tflite = tflite
    self._content = content
    self._model = tflite.Model.GetRootAs(content, 0)
    self._types = _names(tflite.TensorType)
    self._ops = _names(tflite.BuiltinOperator)
    self._options = _names(tflite.BuiltinOptions)

  def graph(self) -> TfliteGraph:
    if not self._model.SubgraphsLength():
      raise GraphError('it has no graph; the file is damaged.')
    main = self._model.Subgraphs(0)
    count, number = main.TensorsLength(), main.OperatorsLength()
    return TfliteGraph(
      tuple(self._tensor(main.Tensors(i)) for i in range(count)),
      tuple(self._operator(main.Operators(i)) for i in range(number)),
      _numbers(main, 'Inputs'),
      _numbers(main, 'Outputs'),
    )

  def _tensor(self, tensor) -> TfliteTensor:
    name = (tensor.Name() or b'').decode(errors='replace')
    kind = self._types.get(tensor.Type(), str(tensor.Type()))
    shape = _numbers(tensor, 'Shape')
    signature = _numbers(tensor, 'ShapeSignature') or shape
    scale, zero, axis = np.zeros(0), np.zeros(0), 0
    if (given := tensor.Quantization()) is not None and given.ScaleLength():
      scale, axis = given.ScaleAsNumpy(), given.QuantizedDimension()
      zero = np.zeros_like(scale, np.int64)
      if given.ZeroPointLength():
        zero = given.ZeroPointAsNumpy()
    data = self._data(tensor.Buffer())
    is_constant = len(data) or 0 in shape
    array = None
    if is_constant and sparse.is_needed(tensor.Sparsity()):
      array = self._dense(name, kind, shape, data, tensor.Sparsity())
    elif is_constant:
      array = _array(name, kind, shape, data)
    dims = tuple(size if size >= 0 else None for size in signature)
    return TfliteTensor(name, kind, dims, scale, zero, axis, array)

  def _dense(self, name, kind, shape, data, sparsity) -> np.ndarray | None:
    """Returns the value of a constant that is stored sparse."""
    if kind not in _DTYPES:
      return np.zeros(0)  # Refused where it is used.
    if min(shape, default=0) < 0 or len(data) % _DTYPES[kind].itemsize:
      raise GraphError(f'the sparse tensor {name!r} is damaged.')
    flat = (len(data) // _DTYPES[kind].itemsize,)
    values = _array(name, kind, flat, data)
    with explaining(f'the sparse tensor {name!r} is damaged', *_DAMAGES):
      return sparse.dense(self._tflite, sparsity, shape, values)

  def _data(self, number: int) -> np.ndarray:
    """Returns the bytes of a buffer; those of large files lie behind it all."""
    buffer = self._model.Buffers(number)
    if buffer.Offset() > 1:
      return np.frombuffer(
        self._content, np.uint8, buffer.Size(), buffer.Offset()
      )
    if not buffer.DataLength():
      return np.zeros(0, np.uint8)
    return buffer.DataAsNumpy()

  def _operator(self, operator) -> Operator:
    code = self._model.OperatorCodes(operator.OpcodeIndex())
    # Files from before 2020 only have the first, of 127 at most.
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    op = self._ops.get(number, f'operation {number}')
    if op == 'CUSTOM':
      op = f'custom {(code.CustomCode() or b"?").decode(errors="replace")}'
    options = None
    kind = self._options.get(operator.BuiltinOptionsType(), 'NONE')
    if kind != 'NONE':
      table = operator.BuiltinOptions()
      options = getattr(self._tflite, kind)()
      options.Init(table.Bytes, table.Pos)
    return Operator(
      op, _numbers(operator, 'Inputs'), _numbers(operator, 'Outputs'), options
    )


def _numbers(holder, field: str) -> tuple[int, ...]:
  if not getattr(holder, f'{field}Length')():
    return ()
  return tuple(int(i) for i in getattr(holder, f'{field}AsNumpy')())


def _array(
  name: str, kind: str, shape: tuple[int, ...], data: np.ndarray
) -> np.ndarray | None:
  """Returns the value of a constant; None of a type that is not known."""
  if kind not in _DTYPES:
    return np.zeros(0)  # Refused where it is used.
  dtype = _DTYPES[kind]
  needed = math.prod(shape) * dtype.itemsize
  if len(data) != needed or min(shape, default=0) < 0:
    raise GraphError(
      f'the tensor {name!r} of shape {shape} needs {needed} bytes, but has '
      f'{len(data)}; the file is damaged.'
    )
  return np.frombuffer(data.tobytes(), dtype.newbyteorder('<')).reshape(shape)


@functools.cache
def activations() -> Mapping[int, str]:
  """Returns the names of activations that are fused into operations."""
  tflite = importlib.import_module('tflite')
  return _names(tflite.ActivationFunctionType)
