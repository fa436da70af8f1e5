"""Tests of modules and programs of PyTorch, run by PyTorch itself."""

import contextlib
import dataclasses
import gc
import io
import pathlib
import tempfile
from unittest import mock
import warnings

from absl.testing import absltest
import numpy as np
import pytest

import attribution_transfer as at
import frozen_graphs
from frozen_graphs import budget
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import compare, exporting, surgery
from taskonomy_models.sources import registry, torch_networks

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def _torch():
  pytest.importorskip('onnxscript')
  surgery.keep_triton_out()
  return pytest.importorskip('torch')


def _module(torch):
  """Returns a small network with a head."""
  torch.manual_seed(0)
  module = torch.nn.Sequential()
  module.add_module('stem', torch.nn.Conv2d(3, 8, 3, stride=2, padding=1))
  module.add_module('norm', torch.nn.BatchNorm2d(8))
  module.add_module('body', torch.nn.Sequential(torch.nn.GELU()))
  module.add_module('pool', torch.nn.AdaptiveAvgPool2d(1))
  module.add_module('flat', torch.nn.Flatten())
  module.add_module('head', torch.nn.Linear(8, 5))
  surgery.randomise(module, 0)
  return module


class ModuleTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.torch = _torch()
    self.module = _module(self.torch)
    self.images = np.random.default_rng(0).normal(size=(3, 3, 16, 16))
    self.images = self.images.astype(np.float32)

  def _run(self, network, end):
    network = network.at(end)
    return network.run(self.images.transpose(0, 2, 3, 1))

  def _expected(self, *parts):
    self.module.eval()
    with self.torch.no_grad():
      value = self.torch.as_tensor(self.images)
      for part in parts:
        value = self.module.get_submodule(part)(value)
    return value.numpy()

  def test_it_is_cut_before_the_head(self):
    network = frozen_graphs.load(self.module, example_input=self.images)
    self.assertTrue(self.module.training)  # As it was given.
    self.assertEqual(network.representation_tensor, 'body:0')
    self.assertIn('(torch.export; differs from PyTorch by', network.source)
    np.testing.assert_allclose(
      self._run(network, 'body'), self._expected('stem', 'norm', 'body'),
      rtol=1e-4, atol=1e-5,
    )  # fmt: skip

  def test_a_module_inside_is_a_representation(self):
    network = frozen_graphs.load(
      self.module, representation='stem', example_input=self.images
    )
    np.testing.assert_allclose(
      self._run(network, 'stem'), self._expected('stem'), rtol=1e-4, atol=1e-5
    )
    with self.assertRaisesRegex(GraphError, "no module 'bdy'.*Closest: body"):
      frozen_graphs.load(self.module, representation='bdy', image_size=16)

  def test_what_is_behind_need_not_be_exportable(self):
    class Odd(self.torch.nn.Module):
      def forward(self, x):
        return x * len(x.detach().numpy().tolist())

    self.module.add_module('odd', Odd())
    network = frozen_graphs.load(
      self.module, representation='norm', image_size=16
    )
    self.assertEqual(network.outputs, ('norm:0',))

  def test_what_is_behind_a_module_with_a_number_need_not_be_known(self):
    class Inverse(self.torch.nn.Module):
      def forward(self, x):
        return self.torch.linalg.inv(x @ x.mT + self.torch.eye(14))

    Inverse.torch = self.torch
    parts = [self.torch.nn.Conv2d(3, 8, 3), Inverse()]
    module = self.torch.nn.Sequential(*parts)
    network = frozen_graphs.load(module, representation='0', image_size=16)
    self.assertEqual(network.representation_shape, (None, 8, 14, 14))
    self.assertEqual(network.outputs, ('0:0',))
    self.assertIn('TorchScript', network.source)
    with self.assertRaisesRegex(
      GraphError, r"export: DispatchError \(in the module '1'\).*linalg_inv"
    ):
      frozen_graphs.load(module, representation='1', image_size=16)

  def test_an_example_may_be_what_pytorch_differentiates(self):
    images = self.torch.as_tensor(self.images).double().requires_grad_()
    frozen_graphs.load(self.module, example_input=images)

  def test_networks_of_videos_are_refused_as_such(self):
    module = self.torch.nn.Sequential(self.torch.nn.Conv3d(3, 8, 3))
    for options in ({}, {'representation': '0'}):
      with self.assertRaisesRegex(GraphError, "module '0' takes volumes or"):
        frozen_graphs.load(module, image_size=16, **options)

  def test_an_example_is_real_numbers_of_any_layout_in_memory(self):
    frozen_graphs.load(self.module, example_input=self.images[..., ::-1])
    images = self.torch.as_tensor(self.images)
    for wrong, reason in (
      ('cat', 'has the shape'),
      (self.images.astype(object), 'is no images'),
      (images.to_sparse(), 'is sparse'),
      (images * 1j, 'has complex numbers'),
    ):
      with self.assertRaisesRegex(GraphError, f'`example_input` {reason}'):
        frozen_graphs.load(self.module, example_input=wrong)

  def test_another_function_than_pytorch_s_is_refused(self):
    with mock.patch.object(compare, 'differences', lambda *_: (1e-2, [0, 0])):
      with self.assertRaisesRegex(
        GraphError, 'differs from PyTorch by 1.0e-02'
      ):
        frozen_graphs.load(self.module, image_size=16)

  def test_a_graph_that_cannot_be_run_says_a_way_on(self):
    failing = mock.Mock(side_effect=GraphError('It fails.'))
    with mock.patch.object(compare, 'differences', failing):
      with self.assertRaisesRegex(GraphError, 'It fails. Another representa'):
        frozen_graphs.load(self.module, image_size=16)

  def test_gradients_may_differ_at_a_kink_of_one_image(self):
    with mock.patch.object(compare, 'differences', lambda *_: (0, [1, 1e-6])):
      frozen_graphs.load(self.module, image_size=16)
    with mock.patch.object(compare, 'differences', lambda *_: (0, [1, 1])):
      with self.assertRaisesRegex(GraphError, 'gradient by 1.0e'):
        frozen_graphs.load(self.module, image_size=16)

  def test_a_gradient_that_is_wrong_for_one_layout_in_memory_is_asked_again(
    self,
  ):
    seen, original = [], compare.reference

    def reference(torch, module, images):
      first = torch.as_tensor(images).is_contiguous()
      seen.append(first)
      found = original(torch, module, images)
      factor = 3 if first else 1
      return dataclasses.replace(found, gradients=factor * found.gradients)

    with mock.patch.object(compare, 'reference', reference):
      frozen_graphs.load(self.module, image_size=16)
    self.assertEqual(seen, [True, False])

  def test_a_module_may_want_its_images_with_channels_first(self):
    seen, original = [], compare.reference

    def reference(torch, module, images):
      seen.append(torch.as_tensor(images).is_contiguous())
      if not seen[-1]:
        raise GraphError('It views them.')
      return original(torch, module, images)

    differences = [(0, [1, 1]), (0, [1, 1e-6])]
    with (
      mock.patch.object(compare, 'reference', reference),
      mock.patch.object(compare, 'differences', side_effect=differences),
    ):
      frozen_graphs.load(self.module, image_size=16)
    self.assertEqual(seen, [True, False, True])

  def test_what_pytorch_cannot_run_on_images_is_said(self):
    class TwoInputs(self.torch.nn.Module):
      def forward(self, image, text):
        return image + text

    nn = self.torch.nn
    for module in (TwoInputs(), nn.Sequential(nn.Conv2d(1, 8, 3))):
      with self.assertRaisesRegex(
        GraphError, r'cannot be run on images of shape .*3, 16, 16.*Error: '
      ) as caught:
        frozen_graphs.load(module, image_size=16)
      self.assertIn('that takes nothing but images', str(caught.exception))
      self.assertNotIn('damaged', str(caught.exception))

  def test_what_pytorch_cannot_differentiate_is_said(self):
    kinds = self.torch.nn.ReLU, self.torch.nn.Hardswish
    body = [kind(inplace=True) for kind in kinds]
    module = self.torch.nn.Sequential(self.torch.nn.Conv2d(3, 8, 3), *body)
    with self.assertRaisesRegex(
      GraphError, 'PyTorch cannot compute its gradient: .*inplace'
    ):
      frozen_graphs.load(module, image_size=16)

  def test_what_wraps_a_module_is_taken_off(self):
    parallel = self.torch.nn.DataParallel(self.module)
    for wrapped in (parallel, self.torch.compile(parallel)):
      self.assertIs(surgery.unwrapped(wrapped), self.module)
    network = frozen_graphs.load(
      self.torch.compile(self.module), image_size=16, representation='stem'
    )
    self.assertEqual(network.outputs, ('stem:0',))

  def test_a_module_may_write_into_its_images(self):
    class Scaled(self.torch.nn.Module):
      def forward(self, x):
        return x.sub_(0.5).div_(0.25)

    images = self.images.copy()
    module = self.torch.nn.Sequential(Scaled(), self.module.stem)
    frozen_graphs.load(module, example_input=images, representation='1')
    np.testing.assert_array_equal(images, self.images)

  def test_a_gradient_that_pytorch_does_not_follow_is_said(self):
    stem = self.module.stem
    stem.forward = self.torch.no_grad()(stem.forward)
    with self.assertRaisesRegex(GraphError, 'within torch.no_grad'):
      frozen_graphs.load(stem, image_size=16)

  def test_the_caller_may_have_gradients_off(self):
    with self.torch.inference_mode():
      made, images = _module(self.torch), self.torch.as_tensor(self.images)
      with self.torch.no_grad():
        network = frozen_graphs.load(made, example_input=images)
      named = torch_networks.made(lambda: _module(self.torch))
    self.assertFalse(named.stem.weight.is_inference())
    self.assertTrue(made.stem.weight.is_inference())
    np.testing.assert_allclose(
      self._run(network, 'body'),
      self._expected('stem', 'norm', 'body'),
      atol=1e-5,
    )

  def test_the_short_cut_of_transformers_is_not_taken(self):
    nn, torch = self.torch.nn, self.torch
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.Sequential(
      nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), nn.Unflatten(2, (8, 2)),
      nn.Flatten(2), nn.Linear(16, 8), nn.TransformerEncoder(layer, 1),
    ).requires_grad_(False)  # fmt: skip
    path = '5.layers.0.linear1'
    network = frozen_graphs.load(module, image_size=16, representation=path)
    self.assertEqual(network.representation_shape, (None, 8, 16))
    self.assertTrue(torch.backends.mha.get_fastpath_enabled())

  def test_the_caller_may_have_lower_precision_on(self):
    with self.torch.autocast('cpu', self.torch.bfloat16):
      network = frozen_graphs.load(self.module, image_size=16)
    self.assertIn('differs from PyTorch by', network.source)

  def test_a_module_that_is_run_again_counts_as_it_is_run_last(self):
    torch = self.torch

    class Again(torch.nn.Module):
      def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3)
        self.act = torch.nn.ReLU()
        self.head = torch.nn.Linear(8, 2)

      def forward(self, x):
        x = self.act(self.act(self.stem(x)) - 0.1)
        return self.head(x.mean((2, 3)))

    module = Again().eval()
    network = frozen_graphs.load(
      module, example_input=self.images, representation='act'
    )
    with torch.no_grad():
      x = module.act(module.stem(torch.as_tensor(self.images)))
      expected = module.act(x - 0.1).numpy()
    np.testing.assert_allclose(self._run(network, 'act'), expected, atol=1e-5)

  def test_the_first_tensor_of_a_result_is_taken(self):
    @dataclasses.dataclass
    class Result:
      loss: object
      features: object

    x = self.torch.zeros(1)
    for result in (x, [None, x], {'a': 0.5, 'b': [(), x]}, Result(None, (x,))):
      self.assertIs(surgery.first_tensor(result), x)
    for result in (None, [], 'features', {'a': 1}):
      with self.assertRaisesRegex(GraphError, 'without a tensor'):
        surgery.first_tensor(result)

  def test_results_that_are_none_are_refused_before_they_are_exported(self):
    torch, stem = self.torch, self.module.stem
    for function, reason in (
      (lambda x: x.bfloat16(), 'bfloat16, which is too coarse'),
      (lambda x: x > 0, 'bool, through which no gradient'),
      (torch.fft.fft2, 'complex64, through which no gradient'),
      (lambda x: x.mean(), 'for 1 image.s.; its first dimension'),
      (lambda x: x.squeeze(), 'for 1 image.s.; its first dimension'),
      (lambda x: torch.log(-x.abs()), 'not finite on the example'),
      (lambda x: x - x.mean(0), 'depends on the others beside it'),
    ):
      odd = torch.nn.Identity()
      odd.forward = function
      with (
        mock.patch.object(exporting, 'export', side_effect=AssertionError),
        self.assertRaisesRegex(GraphError, reason),
      ):
        frozen_graphs.load(
          torch.nn.Sequential(stem, odd), image_size=16, representation='1'
        )

  def test_a_part_that_is_compiled_cannot_be_chosen(self):
    script = self.torch.jit.script(self.torch.nn.Conv2d(8, 8, 1))
    module = self.torch.nn.Sequential(self.module.stem, script)
    network = frozen_graphs.load(module, image_size=16)
    self.assertEqual(network.outputs, ('0:0',))
    with self.assertRaisesRegex(GraphError, "'1' is compiled"):
      frozen_graphs.load(module, image_size=16, representation='1')

  def test_modules_without_a_mode(self):
    torch, stem = self.torch, self.module.stem.eval()
    images = (torch.as_tensor(self.images[:2]),)
    dims = ({0: torch.export.Dim('n')},)
    program = torch.export.export(stem, images, dynamic_shapes=dims)
    for module in (
      torch.jit.freeze(torch.jit.script(stem)),
      program.module(),
    ):
      frozen_graphs.load(module, image_size=16)

  def test_a_path_need_not_be_a_name_of_tensorflow(self):
    module = self.torch.nn.Sequential()
    for path in ('a/b c', 'é', '_:x'):
      module.add_module(path, self.torch.nn.Conv2d(3, 3, 3))
      network = frozen_graphs.load(module, image_size=16, representation=path)
      self.assertEqual(network.representation_tensor, network.outputs[0])

  def test_a_module_may_take_one_image_only(self):
    class One(self.torch.nn.Module):
      def __init__(self, inner):
        super().__init__()
        self.inner = inner

      def forward(self, x):
        if len(x) != 1:
          raise ValueError('One image only.')
        return self.inner(x)

    network = frozen_graphs.load(One(self.module), image_size=16)
    self.assertEqual(network.representation_tensor, 'inner.body:0')

  def test_an_operation_that_is_not_known_names_no_temporary_file(self):
    lstm = self.torch.nn.LSTM(16, 4, batch_first=True)
    module = self.torch.nn.Sequential(self.torch.nn.Flatten(1, 2), lstm)
    with self.assertRaisesRegex(
      GraphError, "^PyTorch Sequential: node .*in the module '1'.*`representati"
    ):
      frozen_graphs.load(module, image_size=16, representation='1')

  def test_what_draws_at_random_is_refused_before_it_is_exported(self):
    dropout = self.torch.nn.functional.dropout
    self.module.body.forward = lambda x: dropout(x, 0.5, training=True)
    with self.assertRaisesRegex(GraphError, 'another result each time'):
      frozen_graphs.load(self.module, image_size=16)
    frozen_graphs.load(self.module, image_size=16, representation='norm')

  def test_a_quantised_module_is_refused_before_it_is_exported(self):
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      dynamic = self.torch.ao.quantization.quantize_dynamic(self.module)
    with self.assertRaisesRegex(
      GraphError, "module 'head' .Linear. computes with whole numbers.*before"
    ):
      frozen_graphs.load(dynamic, image_size=16)

  def test_a_module_that_may_be_quantised_later_computes_with_numbers(self):
    stub = self.torch.ao.nn.quantized.FloatFunctional()
    self.module.body.add_module('stub', stub)
    self.module.body.forward = lambda x: stub.add_relu(x, x)
    frozen_graphs.load(self.module, image_size=16)

  def test_a_named_network_of_half_precision_is_widened(self):
    asked = registry.Asked('half', registry.RANDOM)
    found = torch_networks.describe(asked, self.module.half(), 'resize(16)')
    kinds = {value.dtype for value in found.network.parameters()}
    self.assertEqual(kinds, {self.torch.float32})

  def test_a_named_network_is_fed_what_the_user_says(self):
    asked = registry.Asked(
      'a', registry.RANDOM, preprocessing='resize(8, 12) | range(0, 1)'
    )
    found = torch_networks.describe(asked, self.module, 'resize(16)')
    self.assertEqual(found.options['example_input'].shape, (1, 3, 8, 12))
    self.assertEqual(found.preprocessing, asked.preprocessing)

  def test_weights_that_are_put_aside_are_what_they_were(self):
    before = {n: v.clone() for n, v in self.module.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
      leave = surgery.put_aside(self.module, folder)
    places = [value.data_ptr() for value in self.module.parameters()]
    for _ in range(2):
      for name, value in self.module.state_dict().items():
        self.assertTrue(self.torch.equal(value, before[name]), name)
      leave()
    self.assertEqual(places, [v.data_ptr() for v in self.module.parameters()])

  def test_an_owned_module_gives_the_same_network(self):
    graphs = [
      frozen_graphs.load(self.module, image_size=16, owned=owned).graph_def
      for owned in (False, True)
    ]
    self.assertEqual(*graphs)

  def test_weights_that_the_exporter_computed_are_not_kept(self):
    onnx_ir = pytest.importorskip('onnx_ir')
    frozen_graphs.load(
      self.module, representation='norm', example_input=self.images
    )
    gc.collect()
    kept = [o.shape for o in gc.get_objects() if type(o) is onnx_ir.Tensor]
    self.assertNotIn(self.module.stem.weight.shape, map(tuple, kept))

  def test_the_time_to_export_is_not_that_of_the_graph(self):
    clock, export = mock.Mock(monotonic=lambda: 0.0), exporting.export

    def slow(*arguments):
      clock.monotonic = lambda: 1000.0
      return export(*arguments)

    with (
      mock.patch.object(budget, 'time', clock),
      mock.patch.object(exporting, 'export', slow),
    ):
      frozen_graphs.load(self.module, image_size=16)

  def test_random_weights_are_always_the_same(self):
    first, second = (
      torch_networks.made(lambda: self.torch.nn.Conv2d(3, 8, 3)).weight
      for _ in range(2)
    )
    self.assertTrue(self.torch.equal(first, second))

  def test_a_module_is_called_by_its_class(self):
    cut = surgery.named('features', lambda images: images, self.module)
    self.assertEqual(surgery.called(cut), 'Sequential')
    self.assertEqual(
      surgery.called(surgery.named('x', None, cut)), 'Sequential'
    )
    self.assertEqual(surgery.called(self.module.stem), 'Conv2d')

  def test_size_and_type_must_be_known(self):
    with self.assertRaisesRegex(GraphError, 'example_input.*image_size'):
      frozen_graphs.load(self.module)
    with self.assertRaisesRegex(GraphError, 'module.float()'):
      frozen_graphs.load(self.module.half(), image_size=16)
    with self.assertRaisesRegex(GraphError, 'has no numbers yet'):
      frozen_graphs.load(_module(self.torch).to('meta'), image_size=16)
    with self.assertRaisesRegex(GraphError, 'has no shape yet'):
      frozen_graphs.load(self.torch.nn.LazyConv2d(3, 3), image_size=16)

  def test_network_of_the_public_face(self):
    network = at.network(
      self.module, preprocessing='resize(16) | range(-1, 1)', name='mine'
    )
    self.assertEqual(network.load().representation_shape, (None, 8, 8, 8))

  def test_programs(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    images, module = self.torch.as_tensor(self.images), self.module.eval()
    exported, script = folder / 'a.pt2', folder / 'a.pt'
    dims = ({0: self.torch.export.Dim('n')},)
    with self.torch.no_grad():
      program = self.torch.export.export(module, (images,), dynamic_shapes=dims)
      self.torch.export.save(program, exported)
      self.torch.jit.trace(module, images).save(script)
    parts = [name for name, _ in module.named_children()]
    for path in (exported, script):
      network = frozen_graphs.load(path, trust='code', image_size=16)
      np.testing.assert_allclose(
        self._run(network, network.outputs[0]), self._expected(*parts),
        rtol=1e-4, atol=1e-5,
      )  # fmt: skip

  def test_a_program_may_want_its_images_by_name(self):
    torch, path = self.torch, self.create_tempdir().full_path + '/a.pt2'

    class Named(torch.nn.Module):
      def __init__(self, inner):
        super().__init__()
        self.inner = inner

      def forward(self, *, pixel_values):
        return self.inner(pixel_values)

    images = torch.as_tensor(self.images[:1])
    named = {'pixel_values': images}
    program = torch.export.export(Named(self.module).eval(), (), named)
    torch.export.save(program, path)
    network = frozen_graphs.load(path, trust='code')
    self.assertIn('differs from PyTorch by', network.source)

  def test_why_a_traced_program_does_not_run_is_said(self):
    path = self.create_tempdir().full_path + '/a.pt'
    images = self.torch.as_tensor(self.images)
    flat = self.torch.nn.Sequential(
      self.torch.nn.Flatten(), self.torch.nn.Linear(3 * 16 * 16, 2)
    )
    self.torch.jit.save(self.torch.jit.trace(flat, images), path)
    with self.assertRaisesRegex(
      GraphError, 'mat1 and mat2 shapes .* made for .`image_size`'
    ):
      frozen_graphs.load(path, trust='code', image_size=8)

  def test_programs_of_half_precision_and_damaged_ones_are_refused(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    script = self.torch.jit.script(self.module.stem.half())
    script.save(folder / 'half.pt')
    with self.assertRaisesRegex(GraphError, "weight 'weight' is of type"):
      frozen_graphs.load(folder / 'half.pt', trust='code', image_size=16)
    (folder / 'cut.pt2').write_bytes(b'PK')
    said = io.StringIO()
    with (
      contextlib.redirect_stderr(said),
      self.assertRaisesRegex(GraphError, r'be loaded by PyTorch \d'),
    ):
      frozen_graphs.load(folder / 'cut.pt2', trust='code')
    self.assertEqual(said.getvalue(), '')

  def test_quantised_weights_of_a_file_are_refused(self):
    safetensors = pytest.importorskip('safetensors.torch')
    path = pathlib.Path(self.create_tempdir().full_path) / 'w.safetensors'
    weights = self.module.state_dict()
    for kind in (self.torch.float8_e4m3fn, self.torch.int8):
      weights['head.weight'] = self.module.head.weight.detach().to(kind)
      safetensors.save_file(weights, path)
      with self.assertRaisesRegex(GraphError, "'head.weight' is of type torch"):
        torch_networks.load_weights(self.module, path)

  def test_weights_of_a_file(self):
    safetensors = pytest.importorskip('safetensors.torch')
    folder = pathlib.Path(self.create_tempdir().full_path)
    paths = folder / 'w.safetensors', folder / 'w.pth'
    weights = self.module.state_dict()
    del weights['head.weight'], weights['head.bias']
    safetensors.save_file(weights, paths[0])
    self.torch.save(weights, paths[1])
    for path in paths:
      other, own = _module(self.torch), weights['norm.weight']
      other.norm.weight.data.fill_(7)
      torch_networks.load_weights(other, path)
      self.assertTrue(self.torch.equal(other.norm.weight, own))
      held = {f'net.module.{name}': value for name, value in weights.items()}
      held['net.other'] = own
      if path == paths[0]:
        safetensors.save_file({n: v.clone() for n, v in held.items()}, path)
      else:
        self.torch.save({'epoch': 3, 'state_dict': held}, path)
      other.norm.weight.data.fill_(7)
      torch_networks.load_weights(other, path)
      self.assertTrue(self.torch.equal(other.norm.weight, own))
    with self.assertRaises(FileNotFoundError):
      torch_networks.load_weights(self.module, folder / 'none.safetensors')
    with self.assertRaisesRegex(GraphError, 'not the weights of a Conv2d'):
      torch_networks.load_weights(self.torch.nn.Conv2d(3, 8, 3), paths[0])


if __name__ == '__main__':
  absltest.main()
