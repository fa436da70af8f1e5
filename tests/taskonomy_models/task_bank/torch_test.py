"""Compares frozen encoders with the PyTorch release's own encoder class.

Needs PyTorch and the package `visualpriors` (its network module alone is
imported). Weights are random; batch norm's statistics are those of real
photographs, so that no layer is dead.
"""

import copy
import functools
import importlib.util
import os
import pathlib

from absl import logging
from absl.testing import absltest, parameterized
import numpy as np
import pytest
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from frozen_graphs.formats.torch import files as torch_files
from probe_data import probe_sets
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from tests import task_bank_testing

pytestmark = [pytest.mark.torch, pytest.mark.slow]

_TASK = {3: 'class_1000', 1: 'colorization'}


def _release():
  """Returns the module of the release with the encoder class."""
  spec = importlib.util.find_spec('visualpriors')
  if spec is None:
    pytest.skip('visualpriors is not installed')
  path = pathlib.Path(spec.origin).parent / 'taskonomy_network.py'
  spec = importlib.util.spec_from_file_location('taskonomy_network', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@functools.cache
def _images(channels: int) -> np.ndarray:
  """Returns photographs as the encoder sees them, [4, 256, 256, channels]."""
  probe = probe_sets.load('photos', num_images=4, image_size=(256, 256), seed=1)
  preprocessing = task_bank.encoders()[_TASK[channels]].preprocessing
  return Preprocessing.parse(preprocessing)(probe.images)


def _to_torch(torch, images: np.ndarray):
  return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@functools.cache
def _module(channels: int):
  """Returns the release's encoder with random weights that keep it alive."""
  torch = pytest.importorskip('torch')
  torch.manual_seed(channels)
  torch.set_num_threads(1)
  module = _release().TaskonomyEncoder(normalize_outputs=False, eval_only=False)
  if channels != 3:
    module.conv1 = torch.nn.Conv2d(channels, 64, 7, stride=2, bias=False)
  for layer in module.modules():
    if isinstance(layer, torch.nn.Conv2d):
      torch.nn.init.kaiming_normal_(layer.weight)
    elif isinstance(layer, torch.nn.BatchNorm2d):
      torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
      torch.nn.init.normal_(layer.bias, 0, 0.3)
      layer.momentum = None  # Running statistics are means.
  module.train(True)
  with torch.no_grad():
    module(_to_torch(torch, _images(channels)))
  module.train(False)
  for parameter in module.parameters():
    parameter.requires_grad = False
  return module


def _reference(module, images: np.ndarray):
  """Returns the outputs of all blocks and units, and the input's gradient."""
  torch = pytest.importorskip('torch')
  outputs = {}

  def keep(name):
    def hook(_, __, output):
      outputs[name] = output.detach().clone().numpy().transpose(0, 2, 3, 1)

    return hook

  module = copy.deepcopy(module)
  if images.dtype == np.float64:
    module.double()
  module.maxpool.register_forward_hook(keep('encoder/pool1:0'))
  for b, block in enumerate(task_bank_encoder.BLOCKS, start=1):
    for u in range(block.units):
      name = f'encoder/block{b}/unit_{u + 1}/bottleneck_v1/Relu:0'
      getattr(module, f'layer{b}')[u].register_forward_hook(keep(name))
  source = _to_torch(torch, images).requires_grad_(True)
  result = module(source)
  outputs['encoder_output:0'] = result.detach().numpy().transpose(0, 2, 3, 1)
  result.sum().backward()
  return outputs, source.grad.numpy().transpose(0, 2, 3, 1)


def _run(graph_def, images: np.ndarray, names, prefix: str):
  with tf.Graph().as_default() as graph:
    tf.graph_util.import_graph_def(graph_def, name='')
    source = graph.get_tensor_by_name('input:0')
    output = graph.get_tensor_by_name('encoder_output:0')
    fetches = {
      name: graph.get_tensor_by_name(
        name if name == output.name else prefix + name
      )
      for name in names
    }
    fetches['gradient'] = tf.gradients(output, source)[0]
    with tf.compat.v1.Session() as session:
      return session.run(fetches, {source: images})


def _difference(actual: np.ndarray, expected: np.ndarray) -> float:
  """Returns the largest difference, relative to the largest value."""
  return float(np.abs(actual - expected).max() / np.abs(expected).max())


class PyTorchTest(parameterized.TestCase):
  def _weights(self, channels, zipped, wrap):
    torch = pytest.importorskip('torch')
    path = os.path.join(self.create_tempdir().full_path, 'x_encoder.pth')
    state = _module(channels).state_dict()
    state = {'state_dict': state, 'epoch': 1} if wrap else state
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return task_bank_encoder.from_torch(
      torch_files.load_state_dict(path), channels, path
    )

  @parameterized.parameters(
    (3, False, True), (1, False, True), (3, True, True), (1, True, False)
  )
  def test_every_unit_and_the_gradient_are_those_of_the_release(
    self, channels, zipped, wrap
  ):
    encoder = task_bank.encoders()[_TASK[channels]]
    images = _images(channels)
    expected, gradient = _reference(_module(channels), images)
    network = task_bank_encoder.freeze(
      self._weights(channels, zipped, wrap),
      channels,
      'random',
      prefix=encoder.prefix,
    )
    got = _run(network.graph_def, images, expected, encoder.prefix)
    self.assertLen(expected, 18)
    differences = {
      name: _difference(got[name], value) for name, value in expected.items()
    }
    # Where a pre-activation is near zero, round-off decides whether a ReLU lets
    # the gradient pass; so few agree to the last digits, but all in float64.
    differences['gradient'] = _difference(got['gradient'], gradient)
    cosine = np.vdot(got['gradient'], gradient) / (
      np.linalg.norm(got['gradient']) * np.linalg.norm(gradient)
    )
    logging.info('Differences: %s, cosine %s', differences, cosine)
    self.assertGreater(cosine, 0.9995)
    for name, value in expected.items():
      with self.subTest(name):
        self.assertEqual(got[name].shape, value.shape)
        self.assertGreater(np.mean(value > 0), 0.1)  # Alive.
        self.assertGreater(np.std(value), 1e-2)
        self.assertLess(differences[name], 1e-4)

  @parameterized.parameters(3, 1)
  def test_in_float64_they_are_equal_to_the_last_digits(self, channels):
    images = _images(channels)[:2].astype(np.float64)
    expected, gradient = _reference(_module(channels), images)
    network = task_bank_encoder.freeze(
      self._weights(channels, True, False), channels, 'random'
    )
    graph_def = task_bank_testing.in_double_precision(network.graph_def)
    got = _run(graph_def, images, expected, '')
    differences = {
      name: _difference(got[name], value) for name, value in expected.items()
    }
    differences['gradient'] = _difference(got['gradient'], gradient)
    logging.info('Differences in float64: %s', differences)
    self.assertLess(max(differences.values()), 1e-9)

  def test_group_norm_of_the_release_would_leave_no_gradient(self):
    torch = pytest.importorskip('torch')
    source = _to_torch(torch, _images(3)[:2])
    module = copy.deepcopy(_module(3)).double()
    largest = {}
    for module.normalize_outputs in (False, True):
      x = source.double().requires_grad_(True)
      module(x).sum().backward()
      largest[module.normalize_outputs] = float(x.grad.abs().max())
    logging.info('Largest gradient, without and with GroupNorm: %s', largest)
    self.assertLess(largest[True], 1e-10 * largest[False])


if __name__ == '__main__':
  absltest.main()
