"""Tests of whole ONNX networks against the evaluator of the package `onnx`."""

import hashlib
import pathlib
import random
import sys
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='needs the extra onnx')

from onnx import helper, numpy_helper  # noqa: E402

from attribution.explainer import Explainer  # noqa: E402
from attribution.preprocessing import Preprocessing  # noqa: E402
import frozen_graphs  # noqa: E402
from frozen_graphs.errors import GraphError  # noqa: E402
from frozen_graphs.formats.onnx import model as onnx_model  # noqa: E402
from taskonomy_models import conversion  # noqa: E402
from tests import format_testing, onnx_networks, onnx_testing  # noqa: E402

_NETWORKS = [(f.__name__, f) for f in onnx_networks.NETWORKS]
_LAST = onnx_networks.from_tensorflow  # Its channels are last in the file.


def _images(count: int = 3) -> np.ndarray:
  """Returns noise, float32 [count, 16, 16, 3] in [0, 1)."""
  return np.random.default_rng(9).random((count, 16, 16, 3), np.float32)


def _expected(model: onnx.ModelProto, images: np.ndarray, build) -> np.ndarray:
  """Returns what the reference evaluator computes."""
  if build is not _LAST:
    images = images.transpose(0, 3, 1, 2)
  return onnx_testing.reference(model, {'image': images})[0]


def _explain(network, images, batch_size=32):
  with Explainer(
    network.graph_def,
    input_tensor=network.inputs[0],
    representation_tensor=network.outputs[0],
    methods=('elrp', 'gradient_times_input'),
    batch_size=batch_size,
  ) as explainer:
    return explainer.explain(images)


class OnnxModelTest(parameterized.TestCase):
  def _save(self, content) -> pathlib.Path:
    return onnx_testing.save(content, self.create_tempdir().full_path)

  def _model(self, *nodes, shape=(1, 3, 8, 8), constants=None, opset=17):
    return onnx_testing.model(
      nodes, {'image': shape}, [nodes[-1].output[0]], constants, opset
    )

  def test_a_softmax_that_is_guarded_is_a_softmax(self):
    node = helper.make_node
    nodes = (
      node('Softmax', ['image'], ['s'], axis=1),
      node('IsNaN', ['s'], ['bad']),
      node('Where', ['bad', 'zero', 's'], ['y']),
    )
    zero = {'zero': np.zeros((), np.float32)}
    model = self._model(*nodes, shape=(1, 3, 16, 16), constants=zero)
    network = frozen_graphs.load(self._save(model)).at('y')
    images = _images(1)
    np.testing.assert_allclose(
      network.run(images), _expected(model, images, None), rtol=1e-5
    )
    self.assertNotIn('IsNan', network.operations)

  @parameterized.named_parameters(*_NETWORKS)
  def test_network_computes_what_the_reference_does(self, build):
    model, images = build(), _images()
    network = onnx_model.load(self._save(model))
    self.assertEqual(network.inputs, ('image:0',))
    (actual,) = onnx_testing.run(network, {'image:0': images})
    expected = _expected(model, images, build)
    self.assertGreater(expected.std(), 1e-3)
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  @parameterized.named_parameters(*_NETWORKS)
  def test_maps_are_finite_and_those_of_each_image_alone(self, build):
    network = onnx_model.load(self._save(build(batch=1)))
    images = _images()
    together = _explain(network, images)
    expected = _expected(build(), images, build)
    np.testing.assert_allclose(together.representation, expected, 1e-4, 1e-5)
    alone = _explain(network, images[1:2])
    for method, maps in together.maps.items():
      with self.subTest(method):
        self.assertEqual(maps.shape, images.shape)
        self.assertTrue(np.isfinite(maps).all())
        scale = np.abs(maps[1]).max()
        self.assertGreater(scale, 0)
        np.testing.assert_allclose(
          alone.maps[method][0], maps[1], 0, 1e-4 * scale
        )

  def test_relevance_is_conserved_without_biases(self):
    network = onnx_model.load(self._save(onnx_networks.plain()))
    explanation = _explain(network, _images())
    np.testing.assert_allclose(
      explanation.maps['elrp'].sum(axis=(1, 2, 3)),
      explanation.representation.mean(axis=(1, 2, 3)),
      rtol=1e-2,
    )

  def test_gradient_is_the_slope_of_the_reference(self):
    build = onnx_networks.attention
    model, images = build(), _images(1)
    network = onnx_model.load(self._save(model))
    relevance = _explain(network, images).maps['gradient_times_input']
    step = 1e-2 * images * np.random.default_rng(0).choice([0, 1], (16, 16, 1))
    step = step.astype(np.float32)
    difference = _expected(model, images + step, build).mean() - (
      _expected(model, images - step, build).mean()
    )
    chosen = relevance[step > 0].sum()
    np.testing.assert_allclose(chosen, difference / 2e-2, rtol=2e-2)

  def test_tensors_are_called_by_type_and_number(self):
    path = self._save(onnx_networks.residual())
    network = onnx_model.load(path)
    names = {node.name for node in network.graph_def.node}
    self.assertContainsSubset(
      {'Conv_0', 'Conv_2', 'Relu_0', 'Relu_2', 'MaxPool_0', 'Gemm_0'}, names
    )
    self.assertContainsSubset({'input', 'layer2/relu', 'layer13/gemm'}, names)

  def test_nodes_without_a_name_are_called_as_what_they_return(self):
    model = self._model(
      helper.make_node('Relu', ['image'], ['first']),
      helper.make_node('Tanh', ['first'], ['Relu_1']),
      helper.make_node('Relu', ['Relu_1'], ['last']),
    )
    path = self._save(model)
    images = _images(1)[:, :8, :8] * 2 - 1
    relu = np.maximum(images, 0)
    for name, expected in (
      ('first', relu),
      ('Relu_1', np.tanh(relu)),
      ('Tanh_0', np.tanh(relu)),
    ):
      network = frozen_graphs.load(path, representation=name)
      np.testing.assert_allclose(network.run(images), expected, 1e-5)

  @parameterized.parameters('Relu_1', 'layer6/relu', 'layer6/relu:0')
  def test_network_can_be_cut_at_any_name(self, name):
    model = onnx_networks.residual()
    network = onnx_model.load(self._save(model), outputs=[name])
    self.assertNotIn('MatMul', {node.op for node in network.graph_def.node})
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name='layer6/relu:0'))
    expected = _expected(model, _images(), onnx_networks.residual)
    (actual,) = onnx_testing.run(network, {'image:0': _images()})
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  def test_unknown_output_is_named(self):
    path = self._save(onnx_networks.plain())
    with self.assertRaisesRegex(
      GraphError,
      r"no tensor or node 'Relu_7'.* Closest: .*[Rr]elu.* It ends in ",
    ):
      onnx_model.load(path, outputs=['Relu_7'])

  def test_activations_are_those_that_elrp_has_rules_for(self):
    network = onnx_model.load(self._save(onnx_networks.mobile()))
    with Explainer(
      network.graph_def,
      input_tensor=network.inputs[0],
      representation_tensor=network.outputs[0],
    ) as explainer:
      ruled = explainer.summary.ruled
    self.assertGreater(ruled['Relu6'], 0)
    self.assertGreater(ruled['gate'], 0)

  def test_weights_of_16_bits_become_32(self):
    build = onnx_networks.plain
    model, images = build(), _images()
    for tensor in model.graph.initializer:
      half = numpy_helper.to_array(tensor).astype(np.float16)
      tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    network = onnx_model.load(self._save(model))
    (actual,) = onnx_testing.run(network, {'image:0': images})
    expected = _expected(model, images.astype(np.float16), build)
    np.testing.assert_allclose(actual, expected, 1e-2, 1e-2)

  def test_fixed_input_becomes_a_constant(self):
    nodes = [helper.make_node('Mul', ['image', 'strength'], ['y'])]
    model = onnx_testing.model(
      nodes, {'image': [1, 3, 8, 8], 'strength': [1]}, ['y']
    )
    path = self._save(model)
    self.assertEqual(onnx_model.load(path).inputs, ('image:0', 'strength:0'))
    network = onnx_model.load(path, fixed_inputs={'strength': [3.0]})
    images = np.ones((1, 8, 8, 3), np.float32)
    (actual,) = onnx_testing.run(network, {'image:0': images})
    np.testing.assert_array_equal(actual, 3 * images.transpose(0, 3, 1, 2))
    with self.assertRaisesRegex(GraphError, "no input 'force'"):
      onnx_model.load(path, fixed_inputs={'force': [3.0]})
    with self.assertRaisesRegex(GraphError, r'shape \(1,\)'):
      onnx_model.load(path, fixed_inputs={'strength': [3.0, 1.0]})

  def test_image_size_is_asked_for_where_it_is_needed(self):
    pool = helper.make_node(
      'MaxPool', ['image'], ['y'], kernel_shape=[3, 3], auto_pad='SAME_UPPER',
      strides=[2, 2])  # fmt: skip
    path = self._save(self._model(pool, shape=(1, 3, 'h', 'w')))
    with self.assertRaisesRegex(GraphError, r'say it \(`image_size`\)'):
      onnx_model.load(path)
    network = onnx_model.load(path, image_size=(8, 6))
    images = np.ones((1, 8, 6, 3), np.float32)
    (actual,) = onnx_testing.run(network, {'image:0': images})
    self.assertEqual(actual.shape, (1, 3, 4, 3))
    self.assertEqual(onnx_model.load(path, image_size=8).inputs, ('image:0',))
    t = Preprocessing.parse('resize(8) | range(0, 1)')
    self.assertEqual(
      conversion.load(path, t).at('MaxPool_0').input_shape, (8, 8, 3)
    )
    open_ended = Preprocessing.parse('range(0, 1)')
    with self.assertRaisesRegex(GraphError, 'image_size'):
      conversion.load(path, open_ended)
    network = conversion.load(path, open_ended, 10).at('MaxPool_0')
    self.assertEqual(network.input_shape, (10, 10, 3))

  def test_results_that_nobody_reads_may_be_of_any_kind(self):
    node = helper.make_node
    nodes = [
      node('MaxPool', ['image'], ['a', 'places'], kernel_shape=[2, 2]),
      node('LayerNormalization', ['a', 's'], ['b', 'mean', 'd'], axis=1),
      node('Clip', ['b', '', ''], ['y']),
    ]
    model = onnx_testing.model(
      nodes, {'image': [1, 3, 8, 8]}, ['y'], {'s': np.ones([3, 7, 7], 'f')}
    )
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype('f')
    (expected,) = onnx_testing.reference(
      model, {'image': images.transpose(0, 3, 1, 2)}
    )
    network = onnx_model.load(self._save(model))
    (actual,) = onnx_testing.run(network, {'image:0': images})
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  def test_kernel_that_is_computed_of_constants_is_folded(self):
    node = helper.make_node
    nodes = [
      node('ReduceMean', ['w'], ['m'], axes=[1, 2, 3]),
      node('Sub', ['w', 'm'], ['centred']),
      node('Tanh', ['centred'], ['k']),
      node('Conv', ['image', 'k'], ['y']),
    ]
    w = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype('f')
    model = onnx_testing.model(nodes, {'image': [1, 3, 8, 8]}, ['y'], {'w': w})
    images = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype('f')
    (expected,) = onnx_testing.reference(
      model, {'image': images.transpose(0, 3, 1, 2)}
    )
    network = onnx_model.load(self._save(model))
    (actual,) = onnx_testing.run(network, {'image:0': images})
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  def test_unknown_operation_behind_what_is_needed_is_left_out(self):
    node = helper.make_node
    nodes = [
      node('Relu', ['image'], ['a'], name='relu'),
      node('GlobalAveragePool', ['a'], ['b']),
      node('NonZero', ['b'], ['c']),
      node('Tanh', ['c'], ['y']),
    ]
    model = onnx_testing.model(nodes, {'image': [1, 3, 8, 8]}, ['y'])
    path = self._save(model)
    with self.assertRaisesRegex(GraphError, 'NonZero'):
      onnx_model.load(path)
    network = onnx_model.load(path, representation='Relu_0:0')
    self.assertEqual(network.outputs, ('a:0',))
    network = onnx_model.load(path, partial=True)
    self.assertEqual(network.outputs, ('b:0',))
    (reason,) = network.left_out
    self.assertIn('NonZero', reason)

  def test_layout_says_where_channels_are(self):
    relu = helper.make_node('Relu', ['image'], ['y'])
    path = self._save(self._model(relu, shape=(1, 3, 8, 3)))
    for layout, shape in (
      ('auto', (1, 8, 3, 3)),
      ('channels_first', (1, 8, 3, 3)),
      ('channels_last', (1, 3, 8, 3)),
    ):
      with self.subTest(layout):
        network = onnx_model.load(path, layout=layout)
        images = np.ones(shape, np.float32)
        (actual,) = onnx_testing.run(network, {'image:0': images})
        self.assertEqual(actual.shape, (1, 3, 8, 3))
    with self.assertRaisesRegex(GraphError, "not 'NCHW'"):
      onnx_model.load(path, layout='NCHW')

  def test_functions_that_multiply_or_call_themselves_are_refused(self):
    def model(count, last):
      nodes = [helper.make_node('f0', ['x'], ['r'], domain='own')]
      made = onnx_testing.model(nodes, {'x': [1, 3, 8, 8]}, ['r'])
      made.opset_import.append(helper.make_opsetid('own', 1))
      for i in range(count):
        called = f'f{i + 1}' if i + 1 < count else last
        calls = [
          helper.make_node(called, [a], [b], domain='own' * (called != 'Relu'))
          for a, b in (('a', 'b'), ('b', 'c'))
        ]
        made.functions.append(
          helper.make_function(
            'own', f'f{i}', ['a'], ['c'], calls, made.opset_import
          )
        )
      return onnx_testing.save(made, self.create_tempdir().full_path)

    network = onnx_model.load(model(3, 'Relu'))
    ops = [node.op for node in network.graph_def.node]
    self.assertEqual(ops.count('Relu'), 8)
    for path, message in (
      (model(40, 'Relu'), 'more memory than a file of'),
      (model(5, 'f2'), 'calls itself'),
      (model(900, 'Relu'), '200 deep'),
    ):
      with self.assertRaisesRegex(GraphError, message):
        onnx_model.load(path)

  def test_functions_of_the_file_are_inlined(self):
    domain = 'local'
    body = [
      helper.make_node('Sigmoid', ['a'], ['s']),
      helper.make_node('Mul', ['a', 's'], ['b']),
    ]
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid(domain, 1)]
    function = helper.make_function(
      domain, 'Silu', ['a'], ['b'], body, opsets[:1]
    )
    model = self._model(
      helper.make_node('Silu', ['image'], ['y'], domain=domain)
    )
    model.functions.append(function)
    model.opset_import.append(opsets[1])
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    network = onnx_model.load(self._save(model))
    (actual,) = onnx_testing.run(network, {'image:0': x})
    np.testing.assert_allclose(
      actual, (x / (1 + np.exp(-x))).transpose(0, 3, 1, 2), 1e-5, 1e-6
    )


class OnnxErrorsTest(parameterized.TestCase):
  def _save(self, content) -> pathlib.Path:
    return onnx_testing.save(content, self.create_tempdir().full_path)

  def _refused(self, reason, *nodes, shape=(1, 3, 8, 8), opset=17, **constants):
    model = onnx_testing.model(nodes, {'image': shape}, ['y'], constants, opset)
    path = self._save(model)
    with self.assertRaisesRegex(GraphError, reason) as raised:
      onnx_model.load(path)
    self.assertIn(str(path), str(raised.exception))

  def test_cut_file_is_refused_wherever_it_is_cut(self):
    content = onnx_networks.plain().SerializeToString()
    path = self._save(b'')
    rng = random.Random(0)
    for end in [
      0,
      1,
      2,
      *rng.sample(range(len(content)), 60),
      len(content) - 1,
    ]:
      path.write_bytes(content[:end])
      with self.subTest(end), self.assertRaises(GraphError):
        onnx_model.load(path)

  def test_damaged_file_never_raises_anything_else(self):
    content = onnx_networks.mobile().SerializeToString()
    path = self._save(b'')
    for seed in range(60):
      path.write_bytes(format_testing.damaged(content, seed))
      try:
        onnx_model.load(path)
      except GraphError:
        pass

  @parameterized.parameters(b'', b'\x89PNG\r\n\x1a\n', b'{"format": "onnx"}')
  def test_other_files_are_refused(self, content):
    with self.assertRaisesRegex(GraphError, 'ONNX model'):
      onnx_model.load(self._save(content))

  def test_missing_file_is_an_os_error(self):
    with self.assertRaises(FileNotFoundError):
      onnx_model.load(self.create_tempdir().full_path + '/model.onnx')

  def test_what_the_standard_does_not_define_is_refused(self):
    node = helper.make_node
    for wrong, pattern in (
      (node('Relu', ['image', 'image'], ['y']), '2 operands'),
      (node('Softmax', ['image'], ['y'], axis=[1]), "'axis' of another type"),
      (node('ReduceSum', ['image', 'image'], ['y']), 'axes depends'),
    ):
      self._refused(pattern, wrong)

  def test_unknown_operations_are_named(self):
    nms = helper.make_node('NonZero', ['image'], ['y'], name='places')
    self._refused(r"node 'places' \(NonZero.*not known.*`representation`", nms)
    fused = helper.make_node(
      'FusedConv', ['image', 'w'], ['y'], domain='com.microsoft'
    )
    w = np.ones((2, 3, 1, 1), np.float32)
    self._refused(r'com\.microsoft\.FusedConv.*not known', fused, w=w)

  def test_a_refusal_names_the_module_of_pytorch(self):
    node = helper.make_node('NonZero', ['image'], ['y'])
    node.metadata_props.add(
      key='pkg.torch.onnx.name_scopes',
      value="['', 'features._original.blocks', "
      "'features._original.blocks.3', 'nonzero_1']",
    )
    self._refused(r"\(NonZero, opset \d+\) in the module 'blocks\.3'", node)

  def test_a_name_that_stands_for_two_tensors_is_refused(self):
    def weight_twice(graph):
      graph.initializer.add().CopyFrom(graph.initializer[0])

    def result_twice(graph):
      graph.node[-1].output[0] = graph.node[0].output[0]

    def result_like_a_weight(graph):
      graph.node[0].output[0] = graph.initializer[0].name

    def input_twice(graph):
      graph.input.add().CopyFrom(graph.input[0])

    for change in (weight_twice, result_twice, result_like_a_weight,
                   input_twice):  # fmt: skip
      model = onnx_networks.plain()
      change(model.graph)
      with (
        self.subTest(change.__name__),
        self.assertRaisesRegex(GraphError, 'several tensors are called'),
      ):
        onnx_model.load(self._save(model))

  def test_numbers_that_are_there_twice_are_refused(self):
    model = onnx_networks.plain()
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).ravel()
    tensor.float_data.extend(values + 1)
    with self.assertRaisesRegex(GraphError, 'has its numbers twice'):
      onnx_model.load(self._save(model))

  def test_several_opsets_at_once_are_refused(self):
    model = onnx_networks.plain()
    model.opset_import.add(domain='ai.onnx', version=8)
    with self.assertRaisesRegex(GraphError, 'several opsets at once'):
      onnx_model.load(self._save(model))

  def test_constants_that_double_are_refused(self):
    nodes = [
      helper.make_node('Concat', [f'c{i}', f'c{i}'], [f'c{i + 1}'], axis=0)
      for i in range(40)
    ]
    nodes += [
      helper.make_node('ReduceSum', ['c40'], ['sum'], keepdims=0),
      helper.make_node('Mul', ['x', 'sum'], ['y']),
    ]
    model = onnx_testing.model(
      nodes, {'x': [1, 3, 8, 8]}, ['y'], {'c0': np.ones(1, np.float32)}
    )
    with self.assertRaisesRegex(GraphError, 'would take more memory'):
      frozen_graphs.load(self._save(model))

  def test_a_function_called_like_an_operation_is_refused(self):
    model = onnx_networks.plain()
    body = [helper.make_node('Neg', ['a'], ['b'])]
    opset = [helper.make_opsetid('', 17)]
    function = helper.make_function('', 'Relu', ['a'], ['b'], body, opset)
    model.functions.append(function)
    with self.assertRaisesRegex(GraphError, 'name of an operation'):
      onnx_model.load(self._save(model))

  def test_quantised_networks_are_refused_as_such(self):
    node = helper.make_node('QuantizeLinear', ['image', 'scale'], ['y'])
    self._refused('quantised network', node, scale=np.float32(0.1))

  def test_networks_that_draw_at_random_are_refused_as_such(self):
    for op in ('RandomNormalLike', 'RandomUniformLike', 'Bernoulli'):
      node = helper.make_node(op, ['image'], ['y'])
      self._refused(f'{op}.* draws at random', node)

  def test_blocks_that_do_not_fit_into_an_image_are_refused(self):
    node = helper.make_node('Col2Im', ['image', 'sides', 'block'], ['y'])
    for reason, shape, block in (
      ('should be .N, channels', (1, 3, 8, 8), [2, 2]),
      ('should be .N, channels', (1, 6, 9), [2, 2]),
      ('8 blocks, but .3, 3. fit', (1, 8, 8), [2, 2]),
      ('8 blocks, but .0, 3. fit', (1, 10, 8), [5, 2]),
    ):
      constants = {'sides': np.array([4, 4]), 'block': np.array(block)}
      self._refused(reason, node, shape=shape, opset=18, **constants)
    constants = {'sides': np.array([10**6, 10**6]), 'block': np.array([1, 1])}
    wide = helper.make_node('Col2Im', [*node.input], ['y'], strides=[10**6] * 2)
    self._refused('at most', wide, shape=(1, 8, 1), opset=18, **constants)

  def test_antialiasing_is_nothing_where_the_size_stays(self):
    node = helper.make_node(
      'Resize', ['image', '', '', 'sizes'], ['y'], mode='cubic', antialias=1
    )
    shape = (1, 3, 8, 8)
    constants = {'sizes': np.array(shape)}
    model = onnx_testing.model([node], {'image': shape}, ['y'], constants, 18)
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
    network = frozen_graphs.load(
      self._save(model), representation='y', layout='channels_first'
    )
    found = network.run(images.astype(np.float32))
    np.testing.assert_array_equal(
      found, images.astype(np.float32).transpose(0, 3, 1, 2)
    )
    smaller = np.array([1, 3, 4, 4])
    self._refused('antialias', node, opset=18, sizes=smaller)

  def test_unknown_attributes_are_refused(self):
    node = helper.make_node('Relu', ['image'], ['y'], slope=0.1)
    self._refused(r"unknown attributes \['slope'\]", node)

  def test_what_is_wrong_with_a_node_is_said(self):
    w = np.ones((2, 4, 1, 1), np.float32)
    node = helper.make_node('Conv', ['image', 'w'], ['y'], name='first')
    self._refused(r"'first' .*3 channels, but the kernel needs 4", node, w=w)
    missing = helper.make_node('Add', ['image', 'nowhere'], ['y'])
    self._refused(r"needs \['nowhere'\]", missing)
    absurd = [
      helper.make_node('ConstantOfShape', ['size'], ['c']),
      helper.make_node('Add', ['image', 'c'], ['y']),
    ]
    self._refused('elements are allowed', *absurd, size=np.array([2**40]))

  def test_spellings_that_contradict_each_other_are_refused(self):
    kernel = {'w': np.ones((3, 3, 3, 3), np.float32)}
    for stated, pads in (('SAME_UPPER', [0, 1, 0, 1]), ('VALID', [1, 1, 1, 1])):
      conv = helper.make_node(
        'Conv', ['image', 'w'], ['y'], auto_pad=stated, pads=pads
      )
      self._refused('are not those of auto_pad', conv, **kernel)
    agreeing = helper.make_node(
      'Conv', ['image', 'w'], ['y'], auto_pad='SAME_UPPER', pads=[1, 1, 1, 1]
    )
    model = onnx_testing.model(
      [agreeing], {'image': (1, 3, 8, 8)}, ['y'], kernel
    )
    self.assertLen(onnx_model.load(self._save(model)).outputs, 1)
    numbers = {'zeros': [0, 0], 'ends': [2, 3], 'axes': [2, -2]}
    self._refused(
      'names an axis twice',
      helper.make_node('Slice', ['image', *numbers], ['y']),
      **{name: np.array(value) for name, value in numbers.items()},
    )

  def test_dropout_in_training_mode_is_refused(self):
    node = helper.make_node('Dropout', ['image', 'ratio', 'training'], ['y'])
    self._refused(
      'training mode', node, ratio=np.float32(0.5), training=np.array(True)
    )

  @parameterized.parameters(1, 6, 99)
  def test_unknown_opset_is_refused(self, opset):
    node = helper.make_node('Relu', ['image'], ['y'])
    self._refused(f'opset {opset};', node, opset=opset)

  def test_too_large_file_is_refused_unread(self):
    path = self._save(onnx_networks.plain())
    with self.assertRaisesRegex(GraphError, 'more than the 100 allowed'):
      onnx_model.load(path, max_bytes=100)

  def test_missing_package_names_the_extra(self):
    path = self._save(onnx_networks.plain())
    with (
      mock.patch.dict(sys.modules, {'onnx': None}),
      self.assertRaisesRegex(GraphError, r'attribution-transfer\[onnx\]'),
    ):
      onnx_model.load(path)

  def test_files_are_told_by_their_names(self):
    path = self._save(onnx_networks.plain())
    self.assertTrue(onnx_model.matches(path))
    self.assertFalse(onnx_model.matches(path.parent))
    self.assertFalse(onnx_model.matches(path.with_suffix('.pb')))


class OnnxExternalWeightsTest(parameterized.TestCase):
  def _save(self, location='weights.bin', **entries) -> pathlib.Path:
    """Writes the plain network with its weights beside it."""
    self._weights = []
    model = onnx_networks.plain()
    offset = 0
    for tensor in model.graph.initializer:
      self._weights.append(tensor.raw_data)
      place = {
        'location': location,
        'offset': str(offset),
        'length': str(len(tensor.raw_data)),
        **entries,
      }
      offset += len(tensor.raw_data)
      tensor.ClearField('raw_data')
      tensor.data_location = onnx.TensorProto.EXTERNAL
      for key, value in place.items():
        tensor.external_data.add(key=key, value=value)
    return onnx_testing.save(model, self.create_tempdir().full_path)

  def _write_weights(self, path: pathlib.Path, end: int | None = None) -> None:
    content = b''.join(self._weights)
    path.with_name('weights.bin').write_bytes(content[:end])

  def test_weights_beside_the_file_are_read(self):
    path = self._save()
    self._write_weights(path)
    network = onnx_model.load(path)
    (actual,) = onnx_testing.run(network, {'image:0': _images()})
    build = onnx_networks.plain
    expected = _expected(build(), _images(), build)
    np.testing.assert_allclose(actual, expected, 1e-4, 1e-5)

  def test_missing_weights_are_named(self):
    with self.assertRaisesRegex(GraphError, r"'weights.bin' is missing"):
      onnx_model.load(self._save())

  def test_cut_weights_are_named(self):
    path = self._save()
    self._write_weights(path, -1)
    with self.assertRaisesRegex(GraphError, r"'weights.bin' is cut off"):
      onnx_model.load(path)

  @parameterized.parameters('../secret', '/etc/passwd', '', '.')
  def test_weights_elsewhere_are_refused(self, location):
    with self.assertRaisesRegex(GraphError, 'outside of the folder'):
      onnx_model.load(self._save(location))

  def test_link_out_of_the_folder_is_refused(self):
    path = self._save()
    outside = self.create_tempdir().full_path + '/weights.bin'
    pathlib.Path(outside).write_bytes(b''.join(self._weights))
    path.with_name('weights.bin').symlink_to(outside)
    with self.assertRaisesRegex(GraphError, 'outside of the folder'):
      onnx_model.load(path)

  @parameterized.parameters(
    ({'offset': 'x'}, 'no number'),
    ({'length': '7'}, 'its shape needs'),
    ({'offset': '-4'}, 'at -4'),
  )
  def test_wrong_places_are_refused(self, entries, reason):
    path = self._save(**entries)
    self._write_weights(path)
    with self.assertRaisesRegex(GraphError, reason):
      onnx_model.load(path)

  def test_a_checksum_is_checked(self):
    path = self._save()
    content = b''.join(self._weights)
    digest = hashlib.sha1(content).hexdigest()
    path = self._save(checksum=digest)
    self._write_weights(path)
    onnx_model.load(path)
    path.with_name('weights.bin').write_bytes(content[:-1] + b'?')
    with self.assertRaisesRegex(GraphError, 'another checksum'):
      onnx_model.load(path)

  def test_a_place_that_is_stated_twice_is_refused(self):
    model = onnx_networks.plain()
    tensor = model.graph.initializer[0]
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for location in ('a.bin', 'b.bin'):
      tensor.external_data.add(key='location', value=location)
    path = onnx_testing.save(model, self.create_tempdir().full_path)
    with self.assertRaisesRegex(GraphError, 'stated twice'):
      onnx_model.load(path)

  def test_numbers_that_are_in_the_model_too_are_refused(self):
    path = self._save()
    self._write_weights(path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].float_data.append(1.0)
    path.write_bytes(model.SerializeToString())
    with self.assertRaisesRegex(GraphError, 'numbers twice.*external_data'):
      onnx_model.load(path)

  def test_a_file_of_weights_cannot_be_multiplied(self):
    model = onnx_networks.plain()
    for number in range(5):
      tensor = model.graph.initializer.add(name=f'more_{number}', dims=[1000])
      tensor.data_type = onnx.TensorProto.FLOAT
      tensor.data_location = onnx.TensorProto.EXTERNAL
      tensor.external_data.add(key='location', value='more.bin')
    path = onnx_testing.save(model, self.create_tempdir().full_path)
    path.with_name('more.bin').write_bytes(bytes(4000))
    with self.assertRaisesRegex(GraphError, "'more_4'.*more than is allowed"):
      onnx_model.load(path)

  def test_weights_count_to_the_limit(self):
    path = self._save()
    self._write_weights(path)
    limit = path.stat().st_size + 700
    with self.assertRaisesRegex(GraphError, 'more than is allowed'):
      onnx_model.load(path, max_bytes=limit)


if __name__ == '__main__':
  absltest.main()
