"""Tests of the splitting of fused operations."""

import itertools

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from frozen_graphs import unfusing
from frozen_graphs.errors import GraphError
from tests import testing

NodeDef = tf.compat.v1.NodeDef
_FLOAT = tf.float32.as_datatype_enum

_ACTIVATIONS = {
  'Relu': lambda z: np.maximum(z, 0),
  'Relu6': lambda z: np.clip(z, 0, 6),
  'Elu': lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
  'LeakyRelu': lambda z: np.where(z > 0, z, 0.3 * z),
  'Sigmoid': lambda z: 1 / (1 + np.exp(-z)),
  'Tanh': np.tanh,
  'GeluExact': lambda z: tf.nn.gelu(z).numpy(),
  'GeluApproximate': lambda z: tf.nn.gelu(z, approximate=True).numpy(),
}
_CORES = (
  '_FusedConv2D',
  'FusedDepthwiseConv2dNative',
  '_FusedDepthwiseConv2dNative',
  '_FusedMatMul',
)
_PARTS = (
  (),
  ('BiasAdd',),
  *(('BiasAdd', name) for name in _ACTIVATIONS),
  ('Relu',),
  ('BiasAdd', 'Prelu'),
  ('Prelu',),
  ('BiasAdd', 'Add', 'Relu'),
)


def _constant(name: str, value: np.ndarray) -> NodeDef:
  node = NodeDef(op='Const', name=name)
  node.attr['dtype'].type = tf.as_dtype(value.dtype).as_datatype_enum
  node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value))
  return node


def _fused(op: str, inputs, parts=(), **texts) -> NodeDef:
  """Returns a fused node with the attributes that all converters write."""
  node = NodeDef(op=op, name='fused', input=inputs)
  node.attr['T'].type = _FLOAT
  node.attr['fused_ops'].list.s.extend(part.encode() for part in parts)
  node.attr['num_args'].i = len(inputs) - 2
  if 'Conv' in op:
    node.attr['strides'].list.i.extend([1, 2, 2, 1])
    node.attr['dilations'].list.i.extend([1, 1, 1, 1])
    node.attr['data_format'].s = b'NHWC'
    node.attr['padding'].s = b'SAME'
    node.attr['explicit_paddings'].list.SetInParent()
  for name, value in texts.items():
    node.attr[name].s = value.encode()
  return node


def _graph(nodes) -> tf.compat.v1.GraphDef:
  return tf.compat.v1.GraphDef(node=unfusing.unfuse(nodes))


def _run(graph_def: tf.compat.v1.GraphDef, tensor: str) -> np.ndarray:
  with tf.Graph().as_default() as graph:
    tf.import_graph_def(graph_def, name='')
    with tf.compat.v1.Session(graph=graph) as session:
      return session.run(tensor)


def _core(op: str, rng: np.random.Generator):
  """Returns two operands of a fused operation, and what they give."""
  if op == '_FusedMatMul':
    x, kernel = rng.normal(size=(3, 5)), rng.normal(size=(5, 4))
    return x, kernel, x @ kernel
  x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
  if op == '_FusedConv2D':
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    return x, kernel, tf.nn.conv2d(x, kernel, 2, 'SAME').numpy()
  kernel = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
  strides = (1, 2, 2, 1)
  return x, kernel, tf.nn.depthwise_conv2d(x, kernel, strides, 'SAME').numpy()


class UnfusingTest(parameterized.TestCase):
  @parameterized.parameters(*itertools.product(_CORES, _PARTS))
  def test_plain_nodes_compute_what_the_fused_one_stands_for(self, op, parts):
    rng = np.random.default_rng(0)
    x, kernel, expected = _core(op, rng)
    operands, names = {'x': x, 'kernel': kernel}, ['x', 'kernel']
    for part in parts:
      if part in ('BiasAdd', 'Prelu'):
        values = rng.normal(size=expected.shape[-1:])
        operands[part] = values
        names.append(part)
      elif part == 'Add':
        values = rng.normal(size=expected.shape)
        operands[part] = values
        names.append(part)
      if part in ('Add', 'BiasAdd'):
        expected = expected + values
      elif part == 'Prelu':
        expected = np.where(expected > 0, expected, values * expected)
      else:
        expected = _ACTIVATIONS[part](expected)
    node = _fused(op, names, parts)
    if 'LeakyRelu' in parts:
      node.attr['leakyrelu_alpha'].f = 0.3
    constants = [
      _constant(name, np.asarray(value, np.float32))
      for name, value in operands.items()
    ]
    actual = _run(_graph([node, *constants]), 'fused:0')
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  @parameterized.parameters((), ('Relu',))
  def test_batch_normalization_in_a_convolution(self, *activation):
    rng = np.random.default_rng(1)
    x, kernel, z = _core('_FusedConv2D', rng)
    scale, offset, mean = rng.normal(size=(3, 4))
    variance = rng.uniform(0.5, 2, 4)
    expected = scale * (z - mean) / np.sqrt(variance + 0.01) + offset
    if activation:
      expected = np.maximum(expected, 0)
    names = ['x', 'kernel', 'scale', 'offset', 'mean', 'variance']
    node = _fused('_FusedConv2D', names, ('FusedBatchNorm', *activation))
    node.attr['epsilon'].f = 0.01
    values = (x, kernel, scale, offset, mean, variance)
    constants = [
      _constant(name, np.asarray(value, np.float32))
      for name, value in zip(names, values, strict=True)
    ]
    actual = _run(_graph([*constants, node]), 'fused:0')
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  @parameterized.product(
    op=('_FusedBatchNormEx', 'FusedBatchNormEx'),
    side_inputs=(0, 1),
    activation=('Identity', 'Relu'),
  )
  def test_batch_normalization_fused_with_what_follows(
    self, op, side_inputs, activation
  ):
    rng = np.random.default_rng(2)
    x, side = rng.normal(size=(2, 2, 3, 3, 4))
    scale, offset, mean = rng.normal(size=(3, 4))
    variance = rng.uniform(0.5, 2, 4)
    expected = scale * (x - mean) / np.sqrt(variance + 0.01) + offset
    expected = expected + side * side_inputs
    if activation == 'Relu':
      expected = np.maximum(expected, 0)
    names = ['x', 'scale', 'offset', 'mean', 'variance', 'side']
    node = _fused(op, names[: 5 + side_inputs])
    node.attr['U'].type = _FLOAT
    node.attr['epsilon'].f = 0.01
    node.attr['is_training'].b = False
    node.attr['num_side_inputs'].i = side_inputs
    node.attr['activation_mode'].s = activation.encode()
    values = (x, scale, offset, mean, variance, side)
    constants = [
      _constant(name, np.asarray(value, np.float32))
      for name, value in zip(names, values, strict=True)
    ]
    actual = _run(_graph([*constants, node]), 'fused:0')
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  @parameterized.parameters(
    *itertools.product(
      ('_FusedConv2D', '_FusedMatMul'),
      (('BiasAdd',), ('BiasAdd', 'Relu'), ('BiasAdd', 'LeakyRelu')),
    )
  )
  def test_tensorflows_own_fused_kernel_gives_the_same(self, op, parts):
    rng = np.random.default_rng(3)
    x, kernel, z = _core(op, rng)
    bias = rng.normal(size=z.shape[-1:])
    constants = [
      _constant(name, np.asarray(value, np.float32))
      for name, value in (('x', x), ('kernel', kernel), ('bias', bias))
    ]
    node = _fused(op, ['x', 'kernel', 'bias'], parts)
    native = NodeDef.FromString(node.SerializeToString())
    if op == '_FusedConv2D':
      native.attr['TArgs'].list.type.append(_FLOAT)
      native.attr['num_host_args'].i = 0
    native = tf.compat.v1.GraphDef(node=[*constants, native])
    np.testing.assert_allclose(
      _run(_graph([*constants, node]), 'fused:0'),
      _run(native, 'fused:0'),
      1e-4,
      1e-5,
    )

  def test_prelu_of_tensorflow_js_has_no_attributes_at_all(self):
    x, alpha = np.array([-2, 0, 3], np.float32), np.array([0.5, 1, 2])
    node = NodeDef(op='Prelu', name='fused', input=['x', 'alpha'])
    constants = _constant('x', x), _constant('alpha', alpha.astype(np.float32))
    actual = _run(_graph([node, *constants]), 'fused:0')
    np.testing.assert_array_equal(actual, [-1, 0, 3])

  def test_the_activation_has_a_gradient_and_its_own_node(self):
    rng = np.random.default_rng(4)
    x, kernel, z = _core('_FusedConv2D', rng)
    bias = np.zeros(4, np.float32)
    node = _fused('_FusedConv2D', ['x', 'kernel', 'bias'], ('BiasAdd', 'Relu'))
    constants = _constant('x', x), _constant('kernel', kernel)
    graph_def = _graph([*constants, _constant('bias', bias), node])
    with tf.Graph().as_default() as graph:
      tf.import_graph_def(graph_def, name='')
      y = graph.get_tensor_by_name('fused:0')
      (gradient,) = tf.gradients(y, y.op.inputs[0])
      self.assertEqual(y.op.type, 'Relu')
      with tf.compat.v1.Session() as session:
        np.testing.assert_array_equal(session.run(gradient), z > 0)

  def test_only_the_last_node_has_the_old_name_and_shape(self):
    node = _fused('_FusedMatMul', ['x', 'k', 'b', '^c'], ('BiasAdd', 'Relu'))
    node.attr['_output_shapes'].list.shape.add().dim.add().size = 7
    before = node.SerializeToString()
    plain = unfusing.unfuse([node])
    self.assertEqual([n.op for n in plain], ['MatMul', 'BiasAdd', 'Relu'])
    self.assertEqual(
      [n.name for n in plain], ['fused/MatMul', 'fused/BiasAdd', 'fused']
    )
    self.assertEqual(
      [list(n.input) for n in plain],
      [['x', 'k', '^c'], ['fused/MatMul', 'b'], ['fused/BiasAdd']],
    )
    self.assertEqual(
      ['_output_shapes' in n.attr for n in plain], [False, False, True]
    )
    self.assertEqual(node.SerializeToString(), before)

  def test_new_names_do_not_hit_other_nodes(self):
    other = NodeDef(op='NoOp', name='fused/MatMul')
    node = _fused('_FusedMatMul', ['x', 'k', 'b'], ('BiasAdd',))
    names = [n.name for n in unfusing.unfuse([node, other])]
    self.assertLen(set(names), 3)
    self.assertContainsSubset({'fused', 'fused/MatMul'}, names)

  def test_other_nodes_are_left_alone_and_in_order(self):
    nodes = [NodeDef(op='Relu', name=name) for name in 'abc']
    self.assertEqual(unfusing.unfuse(nodes), nodes)

  @parameterized.parameters(
    (('BiasAdd', 'Cube'), ['x', 'k', 'b'], 'Cube'),
    (('BiasAdd', 'Prelu'), ['x', 'k', 'b'], 'needs 4 operands, but has 3'),
    (('BiasAdd',), ['x', 'k', 'b', 'c'], 'needs 3 operands, but has 4'),
    ((), ['x'], 'needs 2 operands, but has 1'),
  )
  def test_what_is_not_known_is_refused_by_name(self, parts, inputs, message):
    node = _fused('_FusedMatMul', inputs, parts)
    with self.assertRaisesRegex(GraphError, f"'fused'.*{message}"):
      unfusing.unfuse([node])

  def test_part_whose_name_is_no_text(self):
    node = _fused('_FusedMatMul', ['x', 'k'])
    node.attr['fused_ops'].list.s.append(b'\xff')
    with self.assertRaisesRegex(GraphError, "'fused'.*unknown"):
      unfusing.unfuse([node])

  def test_unknown_companions_of_a_batch_normalization_are_refused(self):
    node = _fused('_FusedBatchNormEx', list('xsomv'), activation_mode='Elu')
    with self.assertRaisesRegex(GraphError, "'fused'.*'Elu'"):
      unfusing.unfuse([node])


class InGraphTest(absltest.TestCase):
  def test_encoder_of_fused_nodes_is_explained_as_the_plain_one(self):
    plain = testing.tiny_graph_def('relu')
    fused = tf.compat.v1.GraphDef()
    fused.CopyFrom(plain)
    nodes = {node.name: node for node in fused.node}
    for relu in [node for node in fused.node if node.op == 'Relu']:
      bias = nodes[relu.input[0]]
      conv = nodes[bias.input[0]]
      name = relu.name
      relu.CopyFrom(conv)
      relu.name, relu.op = name, '_FusedConv2D'
      relu.input.append(bias.input[1])
      relu.attr['num_args'].i = 1
      relu.attr['fused_ops'].list.s.extend([b'BiasAdd', b'Relu'])
      fused.node.remove(bias)
      fused.node.remove(conv)
    self.assertLen(fused.node, len(plain.node) - 4)
    tensors = {
      'input_tensor': 'input:0',
      'representation_tensor': 'representation:0',
      'methods': ['elrp', 'saliency'],
    }
    found = []
    for graph_def in (plain, fused):
      with Explainer(graph_def, **tensors) as explainer:
        self.assertEqual(explainer.summary.ruled, {'Relu': 2})
        found.append(explainer.explain(testing.images(2)).maps)
    for name in found[0]:
      np.testing.assert_allclose(found[0][name], found[1][name], 1e-4, 1e-8)


if __name__ == '__main__':
  absltest.main()
