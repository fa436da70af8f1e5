"""Graphs made to do harm, by what they do; none is more than a few bytes."""

from collections.abc import Callable, Mapping
import pathlib

import tensorflow as tf

from frozen_graphs import tensors

GraphDef = tf.compat.v1.GraphDef
_FLOAT = tf.float32.as_datatype_enum


def new(batch: int | None = None) -> GraphDef:
  """Returns a graph that has nothing but an input of 16 x 16 pixels."""
  shape = [batch, 16, 16, 3]
  return GraphDef(node=[tensors.placeholder('input', tf.float32, shape)])


def add(graph_def, name: str, op: str, inputs=(), **attributes):
  """Adds a node; an attribute is a type's number, or fields of an AttrValue."""
  node = graph_def.node.add(name=name, op=op, input=list(inputs))
  for key, value in attributes.items():
    fields = {'type': value} if isinstance(value, int) else value
    node.attr[key].CopyFrom(tf.compat.v1.AttrValue(**fields))
  return node


def constant(graph_def, name: str, value, kind=None):
  node = tensors.constant(name, value, kind)
  graph_def.node.append(node)
  return graph_def.node[-1]


def _function(graph_def, name: str):
  function = graph_def.library.function.add()
  function.signature.name = name
  function.signature.input_arg.add(name='a', type=_FLOAT)
  function.signature.output_arg.add(name='r', type=_FLOAT)
  return function


def call(graph_def, name: str, function: str, source: str):
  """Adds a call of a function of one tensor."""
  node = add(graph_def, name, 'PartitionedCall', [source])
  node.attr['f'].func.name = function
  for key in ('Tin', 'Tout'):
    node.attr[key].list.type.append(_FLOAT)
  return node


def _ended(graph_def, source: str) -> GraphDef:
  add(graph_def, 'representation', 'Relu', [source], T=_FLOAT)
  return graph_def


def _doubling(count: int) -> GraphDef:
  """Functions, each of which calls the one before twice."""
  graph_def = new()
  for i in range(count):
    function = _function(graph_def, f'f{i}')
    if i == 0:
      node = function.node_def.add(name='y', op='Relu', input=['a'])
      node.attr['T'].type = _FLOAT
    else:
      for name, given in (('x', 'a'), ('y', 'x:output:0')):
        node = function.node_def.add(
          name=name, op='PartitionedCall', input=[given]
        )
        node.attr['f'].func.name = f'f{i - 1}'
    result = 'activations' if i == 0 else 'output'
    function.ret['r'] = f'y:{result}:0'
  call(graph_def, 'call', f'f{count - 1}', 'input')
  return _ended(graph_def, 'call')


def _choices(count: int) -> GraphDef:
  """Conditionals, each branch of which holds two of the next."""
  graph_def = new()
  for i in range(count):
    function = _function(graph_def, f'f{i}')
    function.ret['r'] = 'y:output:0' if i else 'a'
    if i:
      function.node_def.append(tensors.constant('c', True))
      for name, given in (('x', 'a'), ('y', 'x:output:0')):
        node = function.node_def.add(name=name, op='If')
        _choose(node, f'f{i - 1}', ['c:output:0', given])
  constant(graph_def, 'c', True)
  _choose(add(graph_def, 'choice', 'If'), f'f{count - 1}', ['c', 'input'])
  return _ended(graph_def, 'choice')


def _choose(node, function: str, operands: list[str]) -> None:
  node.input.extend(operands)
  for key in ('then_branch', 'else_branch'):
    node.attr[key].func.name = function
  for key in ('Tin', 'Tout'):
    node.attr[key].list.type.append(_FLOAT)
  node.attr['Tcond'].type = tf.bool.as_datatype_enum


def _calls(
  count: int, size: int, length: int = 1, name: str = 'call'
) -> GraphDef:
  """A function with a constant of a size, called again and again."""
  graph_def = new()
  function = _function(graph_def, 'f')
  function.node_def.append(tensors.constant('k', b'\0' * size))
  result = 'a'
  for i in range(length):
    node = function.node_def.add(name=f'y{i}', op='Relu', input=[result])
    node.attr['T'].type = _FLOAT
    result = f'y{i}:activations:0'
  function.ret['r'] = result
  source = 'input'
  for i in range(count):
    call(graph_def, f'{name}{i}', 'f', source)
    source = f'{name}{i}'
  return _ended(graph_def, source)


def _condition(steps: int) -> GraphDef:
  graph_def = new()
  constant(graph_def, 'c0', True)
  for i in range(steps):
    add(graph_def, f'c{i + 1}', 'LogicalAnd', [f'c{i}', f'c{i}'])
  add(graph_def, 'switch', 'Switch', ['input', f'c{steps}'], T=_FLOAT)
  return _ended(graph_def, 'switch:1')


def _large_condition() -> GraphDef:
  graph_def = _condition(0)
  value = next(node for node in graph_def.node if node.op == 'Const')
  shape = value.attr['value'].tensor.tensor_shape
  shape.CopyFrom(tf.TensorShape([10**6, 10**6]).as_proto())
  return graph_def


def _asked_again(switches: int, elements: int) -> GraphDef:
  """Switches that all ask fifty steps of as many numbers."""
  graph_def = new()
  value = constant(graph_def, 'c0', True).attr['value'].tensor
  value.CopyFrom(tf.make_tensor_proto(True, shape=[elements]))
  for i in range(50):
    add(graph_def, f'c{i + 1}', 'LogicalAnd', [f'c{i}', f'c{i}'])
  source = 'input'
  for i in range(switches):
    add(graph_def, f's{i}', 'Switch', [source, 'c50'], T=_FLOAT)
    source = f's{i}:1'
  return _ended(graph_def, source)


def _many(op: str, attribute: str, number: int) -> GraphDef:
  graph_def = new()
  inputs = ['input']
  if op == 'Split':
    constant(graph_def, 'axis', 3)
    inputs.insert(0, 'axis')
  add(graph_def, 'many', op, inputs, T=_FLOAT, **{attribute: {'i': number}})
  return _ended(graph_def, 'many:0')


def _scaled(change) -> GraphDef:
  """A product with a constant, which is changed."""
  graph_def = new()
  change(constant(graph_def, 'k', 2.0, tf.float32))
  add(graph_def, 'scaled', 'Mul', ['input', 'k'], T=_FLOAT)
  return _ended(graph_def, 'scaled')


def _other_type(node) -> None:
  node.attr['dtype'].type = tf.int64.as_datatype_enum


def _other_count(node) -> None:
  node.attr['value'].tensor.float_val.extend([1.0, 2.0])


def _negative_side(node) -> None:
  node.attr['value'].tensor.tensor_shape.dim.add(size=-3)


def _cut_content(node) -> None:
  tensor = node.attr['value'].tensor
  tensor.ClearField('float_val')
  tensor.tensor_content = b'\0\0\0'


def _resource(node) -> None:
  for holder in (node.attr['dtype'], node.attr['value'].tensor):
    name = 'type' if holder is node.attr['dtype'] else 'dtype'
    setattr(holder, name, tf.resource.as_datatype_enum)


def _relu(**changes) -> GraphDef:
  graph_def = new()
  node = add(graph_def, 'relu', 'Relu', ['input'], T=_FLOAT)
  for name, value in changes.items():
    node.attr[name].CopyFrom(tf.compat.v1.AttrValue(**value))
  return _ended(graph_def, 'relu')


def _without(op: str, attribute: str) -> GraphDef:
  graph_def = _condition(0)
  add(graph_def, 'merge', 'Merge', ['switch:0', 'switch:1'], T=_FLOAT)
  for node in graph_def.node:
    if node.op == op:
      node.attr.pop(attribute, None)
      del node.input[1:]
  graph_def.node[-2].input[0] = 'merge:0'
  return graph_def


def _pooled(size: int) -> GraphDef:
  graph_def = new()
  sides = [1, size, size, 1]
  add(graph_def, 'pool', 'MaxPool', ['input'], T=_FLOAT, padding={'s': b'SAME'})
  for key, values in (('ksize', sides), ('strides', [1, 1, 1, 1])):
    graph_def.node[-1].attr[key].list.i.extend(values)
  return _ended(graph_def, 'pool')


def _larger_window() -> GraphDef:
  graph_def = new()
  node = add(graph_def, 'pool', 'MaxPool', ['input'], T=_FLOAT)
  node.attr['padding'].s = b'VALID'
  node.attr['ksize'].list.i.extend([1, 17, 17, 1])
  node.attr['strides'].list.i.extend([1, 1, 1, 1])
  return _ended(graph_def, 'pool')


def _boxes(side: float) -> GraphDef:
  graph_def = new()
  constant(graph_def, 'boxes', [[1.0, 1.0, side, 3.0]], tf.float32)
  constant(graph_def, 'which', [0])
  constant(graph_def, 'size', [4, 4])
  add(graph_def, 'cut', 'CropAndResize', ['input', 'boxes', 'which', 'size'])
  return _ended(graph_def, 'cut')


def _gathered(axes: int) -> GraphDef:
  graph_def = new()
  constant(graph_def, 'places', [[0]])
  constant(graph_def, 'axis', 1)
  operands = ['input', 'places', 'axis']
  node = add(graph_def, 'rows', 'GatherV2', operands, Tparams=_FLOAT)
  for key in ('Tindices', 'Taxis'):
    node.attr[key].type = tf.int32.as_datatype_enum
  node.attr['batch_dims'].i = axes
  return _ended(graph_def, 'rows')


def _sum_of_squares() -> GraphDef:
  graph_def = new()
  add(graph_def, 'sum', 'L2Loss', ['input'], T=_FLOAT)
  return _ended(graph_def, 'sum')


def _resized(size: int) -> GraphDef:
  graph_def = new()
  constant(graph_def, 'size', [size, size])
  add(graph_def, 'large', 'ResizeBilinear', ['input', 'size'], T=_FLOAT)
  return _ended(graph_def, 'large')


def _nested(times: int) -> bytes:
  inside = 'func { attr { key: "f" value { '
  return (
    'node { name: "a" op: "b" attr { key: "f" value { '
    + inside * times
    + '} } } ' * times
    + '} } }'
  ).encode()


# What makes graphs, or the bytes of a textual one, by what they try.
GRAPHS: Mapping[str, Callable[[], GraphDef | bytes]] = {
  'functions that double 60 times': lambda: _doubling(60),
  'conditionals that double 60 times': lambda: _choices(60),
  'a constant called a thousand times': lambda: _calls(1000, 2**20),
  'a name of 2 MB before a thousand nodes': lambda: _calls(
    1, 1, 3000, 'N' * 2_000_000
  ),
  'a condition of 2^60 steps': lambda: _condition(60),
  'a condition of 10^12 elements': lambda: _large_condition(),
  'a condition of 2^20 elements at 500 switches': lambda: _asked_again(
    500, 2**20
  ),
  'a split in 10^9': lambda: _many('Split', 'num_split', 10**9),
  'an unpacking in 10^12': lambda: _many('Unpack', 'num', 10**12),
  'a negative number of results': lambda: _many('Unpack', 'num', -5),
  'a constant of another type than it says': lambda: _scaled(_other_type),
  'a constant of too many numbers': lambda: _scaled(_other_count),
  'a constant with a negative side': lambda: _scaled(_negative_side),
  'a constant that is cut off': lambda: _scaled(_cut_content),
  'a constant that is a resource': lambda: _scaled(_resource),
  'a type that is none': lambda: _relu(T={'type': 77}),
  'a type that is a reference': lambda: _relu(T={'type': 101}),
  'an attribute of another kind': lambda: _relu(T={'i': 3}),
  'a switch without its condition': lambda: _without('Switch', 'T'),
  'a merge of nothing': lambda: _without('Merge', 'N'),
  'a window of 2^31 pixels': lambda: _pooled(2**31 - 1),
  'a window larger than the image': _larger_window,
  'a box of 10^38 sides': lambda: _boxes(1e38),
  'a choice along 9 axes of images': lambda: _gathered(9),
  'an unpacking in 60,000': lambda: _many('Unpack', 'num', 60_000),
  'one number for all images': _sum_of_squares,
  'an image of 60,000 pixels': lambda: _resized(60_000),
  'text that is nested': lambda: _nested(3000),
}


def written(folder: pathlib.Path, name: str) -> pathlib.Path:
  """Writes one of the graphs; returns the file."""
  content = GRAPHS[name]()
  is_text = isinstance(content, bytes)
  path = folder / ('graph.pbtxt' if is_text else 'graph.pb')
  path.write_bytes(content if is_text else content.SerializeToString())
  return path
