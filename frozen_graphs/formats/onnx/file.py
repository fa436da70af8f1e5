"""Reads an ONNX file into plain Python and NumPy; runs nothing of it."""

from collections import Counter
from collections.abc import Collection, Mapping
import dataclasses
import hashlib
import math
import os
import re
from typing import Any

from google.protobuf.message import DecodeError
import numpy as np

from frozen_graphs import budget
from frozen_graphs.errors import GraphError, about, explaining
from frozen_graphs.formats import converter
from frozen_graphs.formats.onnx import functions
from toolkit_basics import files

MAX_BYTES = 2**31 - 1  # What a GraphDef can hold as well.
# Before opset 7, operands of different shapes were matched by attributes.
OPSETS = range(7, 29)
_STANDARD = ('', 'ai.onnx')
_SCOPES = 'pkg.torch.onnx.name_scopes'
# The fields of a tensor that may hold its numbers; one of them does.
_DATA = (
  'float_data', 'int32_data', 'string_data', 'int64_data', 'raw_data',
  'double_data', 'uint64_data',
)  # fmt: skip
_MOST_READ = 4  # Times the size of a file with weights, in all.
# Begins paths of the modules of a user, where a module was made of another.
ORIGINAL = '_original.'
_RETIRED = ('Upsample',)  # Of which the newest definition has nothing.


@dataclasses.dataclass(frozen=True)
class Node:
  """One operation.

  Attributes:
    op: Its type, such as 'Conv'.
    name: As the file gives it, which may be ''.
    inputs: Names of tensors, '' for an operand that is left out.
    outputs: Names of tensors, '' for a result that is not wanted.
    attributes: By name; tensors are arrays, texts are str.
    opset: The version of the standard that the file follows.
    module: Path of the module of PyTorch that it was made of, '' if the file
      does not say.
    asked: Names of the attributes that `get` was asked for.
  """

  op: str
  name: str
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]
  attributes: Mapping[str, Any]
  opset: int
  module: str = ''
  asked: set[str] = dataclasses.field(default_factory=set)

  def get(self, attribute: str, default: Any = None) -> Any:
    self.asked.add(attribute)
    return self.attributes.get(attribute, default)

  def flag(self, attribute: str, default: bool = False) -> bool:
    return bool(self.get(attribute, int(default)))

  def __str__(self) -> str:
    named = f'node {self.name!r}' if self.name else f'node of {self.outputs}'
    inside = f' in the module {self.module!r}' if self.module else ''
    return f'{named} ({self.op}, opset {self.opset}){inside}'


@dataclasses.dataclass(frozen=True)
class Input:
  """A tensor to be fed: its type, and its shape with None where it is open."""

  dtype: np.dtype
  shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class OnnxGraph:
  """What a file holds; float16, bfloat16 and float64 became float32.

  Attributes:
    nodes: Each after those that it needs.
    weights: By name.
    inputs: By name, without the weights.
    outputs: Names of tensors.
  """

  nodes: tuple[Node, ...]
  weights: Mapping[str, np.ndarray]
  inputs: Mapping[str, Input]
  outputs: tuple[str, ...]


def read(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> OnnxGraph:
  """Reads a file, with weights that lie beside it; `max_bytes` in all.

  Raises:
    GraphError: If the file is no ONNX model, is cut off or too large, follows
      an unknown opset, or refers to files outside of its folder; or if the
      package `onnx` is not installed.
    OSError: If it cannot be read.
  """
  onnx = converter.require('onnx', of_format='ONNX')
  content = budget.read(path, max_bytes)
  message = f'{path} is no ONNX model, or is cut off ({len(content)} bytes)'
  with explaining(message, DecodeError):
    model = onnx.ModelProto.FromString(content)
  with about(path):
    opset = _opset(model)
    if model.functions:
      functions.charge(onnx, model)
      import onnx.inliner

      model = onnx.inliner.inline_local_functions(model)
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    reader = _OnnxReader(onnx, opset, folder, max_bytes - len(content))
    return reader.graph(model.graph)


def _opset(model) -> int:
  if not model.graph.node:
    raise GraphError('no nodes found; the file is empty or no ONNX model.')
  versions = {o.version for o in model.opset_import if o.domain in _STANDARD}
  if len(versions) > 1:
    raise GraphError(f'it follows several opsets at once, {sorted(versions)}.')
  opset = max(versions, default=1)
  if opset not in OPSETS:
    raise GraphError(
      f'it follows opset {opset}; known are {OPSETS[0]} to {OPSETS[-1]}. '
      'onnx.version_converter can convert between opsets.'
    )
  return opset


def _check_texts(graph) -> None:
  """Raises GraphError for what protobuf hands on as bytes: it is no UTF-8."""
  texts = [value.name for value in (*graph.input, *graph.output)]
  texts += [tensor.name for tensor in graph.initializer]
  for node in graph.node:
    texts += [node.op_type, node.domain, node.name, *node.input, *node.output]
    texts += [attribute.name for attribute in node.attribute]
  for text in texts:
    if not isinstance(text, str):
      raise GraphError(f'the name {text!r} is no text; the file is damaged.')


def _check_names(graph) -> None:
  """Raises GraphError if a name stands for two tensors."""
  weights = [tensor.name for tensor in graph.initializer]
  fed = {value.name for value in graph.input}
  names = [value.name for value in graph.input]
  names += [name for name in weights if name not in fed]
  names += [name for node in graph.node for name in node.output if name]
  for counts in (Counter(weights), Counter(names)):
    name, count = counts.most_common(1)[0] if counts else ('', 1)
    if count > 1:
      raise GraphError(f'several tensors are called {name!r}.')


def _module_of(node) -> str:
  """Returns what torch.export notes of a node: the path of its module."""
  for entry in getattr(node, 'metadata_props', ()):  # Since onnx 1.16.
    if entry.key == _SCOPES:
      # As "['', 'layer1', 'layer1.0', 'add']", of which the last is the node.
      scopes = re.findall(r"'([^']*)'", entry.value)[:-1]
      return scopes[-1].rpartition(ORIGINAL)[2] if scopes else ''
  return ''


def _computed(dtype: np.dtype) -> np.dtype:
  """Returns the type that numbers of a type are computed in."""
  is_float = dtype.name in ('float16', 'bfloat16', 'float32', 'float64')
  if not is_float and dtype.kind not in 'biu':
    raise GraphError(
      f'it holds tensors of type {dtype.name}; known are floating-point '
      'numbers of 16 to 64 bits, integers and truth values.'
    )
  return np.dtype(np.float32) if is_float else dtype


class _OnnxReader:
  """Decodes one file, and reads the weights beside it within a budget."""

  def __init__(self, onnx, opset: int, folder: str, budget: int):
    self._onnx, self._opset = onnx, opset
    self._folder, self._budget = folder, budget
    self._taken: Counter[str] = Counter()  # Bytes, by file.
    self._digests: dict[str, str] = {}

  def graph(self, graph) -> OnnxGraph:
    _check_texts(graph)
    _check_names(graph)
    if graph.sparse_initializer:
      raise GraphError('it has sparse weights, which are not supported.')
    weights = {tensor.name: self._array(tensor) for tensor in graph.initializer}
    inputs = {
      value.name: self._input(value)
      for value in graph.input
      if value.name not in weights
    }
    read = {name for node in graph.node for name in node.input}
    read.update(value.name for value in graph.output)
    nodes = tuple(self._node(node, read) for node in graph.node)
    known = {'', *weights, *inputs}
    for node in nodes:
      if missing := set(node.inputs) - known:
        raise GraphError(
          f'{node} needs {sorted(missing)}, which nothing before it computes; '
          'the file is damaged.'
        )
      known.update(node.outputs)
    outputs = tuple(value.name for value in graph.output)
    if missing := set(outputs) - known:
      raise GraphError(f'nothing computes the outputs {sorted(missing)}.')
    return OnnxGraph(nodes, weights, inputs, outputs)

  def _input(self, value) -> Input:
    kind = value.type.tensor_type
    if not kind.elem_type:
      raise GraphError(f'the input {value.name!r} is no tensor.')
    dtype = _computed(self._dtype(kind.elem_type))
    if not kind.HasField('shape'):
      return Input(dtype, None)
    dims = (d.dim_value for d in kind.shape.dim)
    return Input(dtype, tuple(d if d > 0 else None for d in dims))

  def _node(self, node, read: Collection[str]) -> Node:
    """Returns a node; results that nobody reads are left out, but the first."""
    op = node.op_type
    if node.domain not in _STANDARD:
      op = f'{node.domain}.{op}'
    attributes = {a.name: self._value(a) for a in node.attribute}
    inputs, outputs = tuple(node.input), tuple(node.output)
    outputs = outputs[:1] + tuple(o if o in read else '' for o in outputs[1:])
    module = _module_of(node)
    found = Node(
      op, node.name, inputs, outputs, attributes, self._opset, module
    )
    self._check(found, node)
    return found

  def _check(self, found: Node, node) -> None:
    """Raises GraphError if a node is not as the standard defines its type.

    What is beyond the definition would be ignored, one way or the other.
    """
    if len({a.name for a in node.attribute}) < len(node.attribute):
      raise GraphError(f'{found} has an attribute twice.')
    if node.domain not in _STANDARD or found.op in _RETIRED:
      return
    try:
      schema = self._onnx.defs.get_schema(found.op, self._opset)
    except self._onnx.defs.SchemaError:
      return  # Refused where it is used, as a type that is not known.
    for what, given, most in (
      ('operands', found.inputs, schema.max_input),
      ('results', found.outputs, schema.max_output),
    ):
      if len(given) > most:
        raise GraphError(
          f'{found} has {len(given)} {what}, but at most {most} are defined.'
        )
    for attribute in node.attribute:
      defined = schema.attributes.get(attribute.name)
      if defined is not None and int(defined.type) != attribute.type:
        raise GraphError(
          f'{found} has an attribute {attribute.name!r} of another type than '
          'is defined.'
        )

  def _value(self, attribute) -> Any:
    if attribute.type == self._onnx.AttributeProto.TENSOR:
      return self._array(attribute.t)
    value = self._onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
      return value.decode(errors='replace')
    return value

  def _dtype(self, kind: int) -> np.dtype:
    return self._onnx.helper.tensor_dtype_to_np_dtype(kind)

  def _array(self, tensor) -> np.ndarray:
    what = f'the tensor {tensor.name!r} of shape {tuple(tensor.dims)}'
    filled = [field for field in _DATA if len(getattr(tensor, field))]
    is_external = tensor.data_location == self._onnx.TensorProto.EXTERNAL
    if is_external:
      filled.append('external_data')
    if len(filled) > 1:
      raise GraphError(f'{what} has its numbers twice, in {filled}.')
    if is_external:
      content = self._external(tensor)
      if tensor.data_type == self._onnx.TensorProto.FLOAT:
        return content.view('<f4').reshape(tensor.dims)
      tensor.ClearField('external_data')
      tensor.data_location = self._onnx.TensorProto.DEFAULT
      tensor.raw_data = content.tobytes()
    with explaining(
      f'{what} cannot be decoded', TypeError, ValueError, KeyError
    ):
      array = self._onnx.numpy_helper.to_array(tensor)
    return array.astype(_computed(array.dtype), copy=False)

  def _external(self, tensor) -> np.ndarray:
    """Returns a tensor's bytes, uint8, from the file beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get('location', '')
    name = f'the weight {tensor.name!r} in the file {location!r}'
    if len(entries) < len(tensor.external_data):
      raise GraphError(f'the place of {name} is stated twice.')
    path = self._beside(name, location)
    expected = math.prod(tensor.dims) * self._dtype(tensor.data_type).itemsize
    with explaining(f'the place of {name} is no number', ValueError):
      offset = int(entries.get('offset', 0))
      length = int(entries.get('length', expected))
    if min(offset, length, expected) < 0 or length != expected:
      raise GraphError(
        f'{name} should have {length} bytes at {offset}, but its shape needs '
        f'{expected}.'
      )
    self._taken[path] += length
    is_repeated = self._taken[path] > _MOST_READ * os.path.getsize(path)
    if length > self._budget or (is_repeated and length > 0):
      raise GraphError(f'{name} has {length} bytes, more than is allowed.')
    self._budget -= length
    budget.active().grant(length)
    stated = entries.get('checksum', '')
    if stated and stated != self._digest(path):
      raise GraphError(f'{name} has another checksum than the model states.')
    with files.open_regular(path, GraphError) as file:
      file.seek(offset)
      content = np.fromfile(file, np.uint8, length)
    if len(content) != length:
      raise GraphError(f'{name} is cut off.')
    return content

  def _digest(self, path: str) -> str:
    """Returns the SHA-1 of a file with weights, which is read once."""
    if path not in self._digests:
      content = files.read_bounded(path, MAX_BYTES, GraphError)
      self._digests[path] = hashlib.sha1(content).hexdigest()
    return self._digests[path]

  def _beside(self, name: str, location: str) -> str:
    """Returns the path of a file with weights, described by `name`."""
    path = os.path.realpath(os.path.join(self._folder, location))
    if (
      os.path.isabs(location)
      or not location
      or not path.startswith(os.path.join(self._folder, ''))
    ):
      raise GraphError(
        f'{name} lies outside of the folder of the model; it is refused. Copy '
        'it beside the model.'
      )
    if not os.path.isfile(path):
      raise GraphError(f'{name} is missing.')
    return path
