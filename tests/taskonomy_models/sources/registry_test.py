"""Tests of networks by name, and of what frameworks say of them.

None of these needs a framework of PyTorch: configurations are made up.
"""

import contextlib
import importlib
import os
import sys
import types
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from attribution.preprocessing import Preprocessing
from frozen_graphs.errors import GraphError
from taskonomy_models import candidates, metadata
from taskonomy_models.sources import (
  hugging_face,
  open_clip,
  registry,
  timm,
  torch_networks,
  torchvision,
)
from taskonomy_models.sources.registry import Asked, Description

_IMAGENET = 'mean_std((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))'


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    ('timm:vit_tiny', True), ('hf:facebook/dinov2-small', True),
    ('open_clip:ViT-B-32:openai', True), ('keras:VGG16', True),
    ('torchvision:resnet50', True), ('TIMM:a', True), ('timm:', False),
    ('model.onnx', False), ('https://tfhub.dev/x', False), (3, False),
  )  # fmt: skip
  def test_named_is_what_begins_with_a_framework(self, source, expected):
    self.assertEqual(registry.is_named(source), expected)

  @parameterized.parameters(
    ('timm:vit_small.lvd142m', 'vit_small.lvd142m'),
    ('hf:facebook/dinov2-small', 'facebook_dinov2-small'),
    ('open_clip:ViT-B-32:openai', 'ViT-B-32_openai'),
    ('timm:resnet18:random', 'resnet18_random'),
  )
  def test_name_in_a_bank_is_that_of_the_framework(self, source, expected):
    self.assertEqual(candidates.name_of(source), expected)

  def test_a_folder_is_called_what_it_is_itself(self):
    folder = self.create_tempdir().mkdir('vit-1.5').full_path
    for end, expected in (('/', 'vit-1.5'), (':random', 'vit-1.5_random')):
      self.assertEqual(candidates.name_of(f'hf:{folder}{end}'), expected)


class DescribeTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.requests = []
    registry.names()  # So that the modules beside it are there.
    entries = {'made_up': self._network}
    self.enter_context(
      mock.patch.dict(registry._SOURCES._entries, entries, clear=False)
    )

  def _network(self, request: Asked) -> Description:
    self.requests.append(request)
    return Description('a network', 'range(0, 1)', 'features')

  @parameterized.parameters(
    ('made_up:a', {}, Asked('a')),
    ('made_up:a:tag', {}, Asked('a', 'tag')),
    ('made_up:a', {'pretrained': False}, Asked('a', 'random')),
    ('made_up:a', {'pretrained': True}, Asked('a')),
    ('made_up:a', {'checkpoint': 'w.pth'}, Asked('a', '', 'w.pth')),
    ('made_up:a', {'representation': 'b.6'}, Asked('a', '', None, 'b.6')),
    ('made_up:a', {'preprocessing': 'bgr'}, Asked('a', preprocessing='bgr')),
  )  # fmt: skip
  def test_what_is_asked_for_reaches_the_framework(self, source, said, asked):
    found = registry.describe(source, **said)
    self.assertEqual(self.requests, [asked])
    expected = said.get('preprocessing', 'range(0, 1)')
    self.assertEqual(found.preprocessing, expected)

  def test_weights_of_ones_own_are_not_fetched(self):
    self.assertTrue(Asked('a', checkpoint='w.pth').is_random)
    self.assertTrue(Asked('a', 'random').is_random)
    self.assertFalse(Asked('a', 'tag').is_random)

  def test_a_preprocessing_that_is_given_counts(self):
    found = registry.describe('made_up:a', preprocessing='range(-1, 1)')
    self.assertEqual(found.preprocessing, 'range(-1, 1)')

  def test_files_are_left_as_they_are(self):
    found = registry.describe('a.onnx', representation='r')
    self.assertEqual(found, Description('a.onnx', None, 'r'))
    with self.assertRaisesRegex(GraphError, "made_up:NAME.*'a.onnx' has its"):
      registry.describe('a.onnx', pretrained=False)

  def test_a_module_is_asked_for_its_configuration(self):
    config = {'input_size': (3, 32, 32), 'mean': [0] * 3, 'std': [1] * 3}
    module = types.SimpleNamespace(pretrained_cfg=config)
    self.assertEqual(
      registry.describe(module).preprocessing,
      'resize(32) | mean_std((0, 0, 0), (1, 1, 1))',
    )

  def test_network_of_keras_without_weights(self):
    found = registry.describe('keras:MobileNet', pretrained=False)
    self.assertEqual(found.preprocessing, 'resize(224) | range(-1, 1)')
    self.assertEqual(found.representation, 'conv_pw_13_relu')
    with self.assertRaisesRegex(GraphError, 'give the file itself'):
      registry.describe('keras:MobileNet', checkpoint='w.h5')


class MessagesTest(absltest.TestCase):
  def test_weights_that_cannot_be_fetched_name_the_ways_on(self):
    error = registry.unreachable(
      'The weights of x', ConnectionError('no route\nto host. And more')
    )
    self.assertEqual(
      str(error),
      'The weights of x cannot be had (ConnectionError: no route to host). '
      'Without a network connection only what its framework has in its cache '
      'can be used, or a file (`checkpoint=FILE`), or random weights '
      '(`pretrained=False`).',
    )

  def test_names_that_are_alike_come_first(self):
    known = ['convit_small', 'vit_small_patch16_224', 'vit_small_patch32_224']
    error = registry.unknown('timm', 'vit_small_patch16_225', known)
    self.assertRegex(str(error), 'others, vit_small_patch16_224, vit_small')
    error = registry.unknown('timm', '?', known)
    self.assertIn('others, convit_small,', str(error))

  def test_missing_package_is_named_with_the_command(self):
    with mock.patch.object(registry.surgery, 'require'):
      with self.assertRaisesRegex(
        GraphError, 'need the package no_clip: pip install no_clip_torch'
      ):
        registry.require('no_clip', 'no_clip_torch')

  def test_pytorch_that_is_missing_is_named_with_the_extra(self):
    hidden = {'torch': None, 'onnxscript': None}
    # What is imported inside is forgotten, and onnx cannot be loaded twice.
    with contextlib.suppress(ImportError):
      importlib.import_module('onnx')
    with mock.patch.dict(sys.modules, hidden):
      with self.assertRaisesRegex(GraphError, r"transfer\[torch\]'"):
        registry.require('timm')

  def test_weights_that_timm_does_not_have_are_not_those_it_cannot_fetch(self):
    package = mock.Mock(**{
      'list_pretrained.return_value': ['a.one', 'a.two'],
      'create_model.side_effect': ConnectionError('no route'),
    })  # fmt: skip
    with mock.patch.object(registry, 'require', lambda *_: package):
      for source in ('timm:a:three', 'timm:a.three'):
        with self.assertRaisesRegex(
          GraphError, "a has no weights 'three', but one, two"
        ):
          registry.describe(source)
      made = mock.patch.object(torch_networks, 'made', lambda make: make())
      with made, self.assertRaisesRegex(OSError, 'a.two cannot be had'):
        registry.describe('timm:a:two')

  def test_weights_of_a_file_get_the_values_of_those_that_are_named(self):
    package = mock.Mock(**{'list_pretrained.return_value': ['a.one', 'a.two']})
    made = mock.patch.object(torch_networks, 'made', lambda make: make())
    found = mock.patch.object(timm, 'of_module', return_value=Description(None))
    with mock.patch.object(registry, 'require', lambda *_: package):
      with made, found:
        registry.describe('timm:a:two', checkpoint='weights.pth')
    package.create_model.assert_called_once_with('a.two', pretrained=False)

  def test_values_of_open_clip_are_those_of_its_weights(self):
    package = mock.Mock(**{
      'get_pretrained_cfg.return_value': {'url': '', 'mean': 0.5, 'std': None},
    })  # fmt: skip
    self.assertEqual(open_clip._config(package, 'a', 'one'), {'mean': 0.5})
    self.assertEqual(open_clip._config(package, 'a', None), {})

  def test_network_that_cannot_be_made_is_not_one_that_cannot_be_fetched(self):
    package = mock.Mock(**{
      'list_pretrained.return_value': [],
      'create_model.side_effect': TypeError('no such argument'),
    })  # fmt: skip
    made = mock.patch.object(torch_networks, 'made', lambda make: make())
    with mock.patch.object(registry, 'require', lambda *_: package), made:
      with self.assertRaisesRegex(GraphError, 'a cannot be made.*no such arg'):
        registry.describe('timm:a:random')

  def test_networks_without_trained_weights_are_refused(self):
    package = mock.Mock(**{
      'list_models.return_value': ['a'],
      'models.list_models.return_value': ['a'],
      'models.get_model_weights.return_value': object(),
      'list_pretrained_tags_by_model.return_value': [],
    })  # fmt: skip
    with mock.patch.object(registry, 'require', lambda *_: package):
      for source in ('torchvision:a', 'open_clip:a'):
        with self.assertRaisesRegex(
          GraphError, 'a has no trained weights.*`pretrained=False`'
        ):
          registry.describe(source)


class PreprocessingTest(parameterized.TestCase):
  @parameterized.parameters(
    ({}, f'resize(224) | {_IMAGENET}'),
    ({'input_size': (3, 518, 518)}, f'resize(518) | {_IMAGENET}'),
    (
      {'input_size': (3, 8, 6), 'mean': [0.5] * 3, 'std': [0.25] * 3},
      'resize(8, 6) | mean_std((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))',
    ),
  )
  def test_of_timm(self, config, expected):
    self.assertEqual(timm.preprocessing_of(config), expected)

  def test_of_timm_for_images_of_another_size(self):
    patches = types.SimpleNamespace(img_size=(64, 96))
    module = types.SimpleNamespace(patch_embed=patches)
    self.assertEqual(
      timm.preprocessing_of({'input_size': (3, 224, 224)}, module),
      f'resize(64, 96) | {_IMAGENET}',
    )

  @parameterized.parameters(
    (None, f'resize(224) | {_IMAGENET}'),
    ({'crop_size': [299]}, f'resize(299) | {_IMAGENET}'),
    ({'resize_size': [520]}, f'resize(520) | {_IMAGENET}'),
    (
      {'crop_size': [224, 160], 'mean': [0.0] * 3, 'std': [1.0] * 3},
      'resize(224, 160) | mean_std((0, 0, 0), (1, 1, 1))',
    ),
  )
  def test_of_torchvision(self, transforms, expected):
    transforms = transforms and types.SimpleNamespace(**transforms)
    self.assertEqual(torchvision.preprocessing_of(transforms), expected)

  @parameterized.parameters(
    ({'image_mean': [0] * 3}, None),
    ({'image_mean': [0] * 3, 'image_std': [1] * 3},
     'resize(98) | mean_std((0, 0, 0), (1, 1, 1))'),
    (
      {'crop_size': {'height': 8, 'width': 8}, 'image_mean': [0.5] * 3,
       'image_std': [0.5] * 3, 'do_normalize': True},
      'resize(8) | mean_std((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))',
    ),
    ({'size': {'height': 8, 'width': 8}, 'do_normalize': False},
     'resize(8) | range(0, 1)'),
    # SAM and detectors say the longest side only.
    ({'size': {'longest_edge': 1333}, 'do_normalize': False},
     'resize(98) | range(0, 1)'),
    ({'size': 8, 'do_normalize': None, 'image_mean': [0.5], 'image_std': [0.5],
      'do_flip_channel_order': True}, 'resize(8) | bgr | range(0, 1)'),
    ({'size': 8, 'do_normalize': False, 'do_rescale': False},
     'resize(8) | range(0, 255)'),
    ({'size': 8, 'do_normalize': False, 'rescale_factor': 1 / 127.5,
      'rescale_offset': True}, 'resize(8) | range(-1, 1)'),
    ({'size': 8, 'rescale_factor': 1 / 127.5, 'image_mean': [0.5] * 3,
      'image_std': [0.5] * 3},
     'resize(8) | mean_std((0.25, 0.25, 0.25), (0.25, 0.25, 0.25))'),
    ({'size': 8, 'include_top': True, 'image_mean': [0.5] * 3,
      'image_std': [0.5] * 3},
     'resize(8) | mean_std((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))'),
  )  # fmt: skip
  def test_of_hugging_face(self, processor, expected):
    if expected is None:
      self.assertIsNone(metadata.of_json(processor, 98))
      return
    t = metadata.of_json(processor, 98)
    self.assertEqual(t, expected)
    # The values are those of an image processor, written out.
    image = np.full((1, 8, 8, 3), 51, np.uint8)
    values = np.float64(51)
    if processor.get('do_rescale', True):
      values = values * processor.get('rescale_factor', 1 / 255)
    values -= bool(processor.get('rescale_offset'))
    if processor.get('do_normalize', True):
      mean, std = processor['image_mean'][0], processor['image_std'][0]
      values = (
        (values - mean) / std / (std if 'include_top' in processor else 1)
      )
    found = Preprocessing.parse(t)(image)
    np.testing.assert_allclose(found, np.full(found.shape, values), atol=1e-6)

  def test_values_of_trained_weights_are_never_guessed(self):
    package = mock.Mock(**{
      'AutoConfig.from_pretrained.return_value': types.SimpleNamespace(),
      'AutoImageProcessor.from_pretrained.side_effect': OSError('no such file'),
    })  # fmt: skip
    with mock.patch.object(registry, 'require', lambda *_: package):
      for said in ({}, {'checkpoint': 'w.pth'}):
        with self.assertRaisesRegex(
          GraphError, r'a has no image processor.*no such file.*`preprocessing`'
        ):
          registry.describe('hf:a', **said)
    package.AutoModel.from_pretrained.assert_not_called()
    for asked in (
      Asked('a', 'random'),
      Asked('a', preprocessing='range(0, 1)'),
    ):
      t = hugging_face._preprocessing(package, asked, 98)
      self.assertEqual(t, asked.preprocessing or f'resize(98) | {_IMAGENET}')

  def test_a_folder_that_cannot_be_loaded_needs_no_connection(self):
    folder = self.create_tempdir().full_path
    package = mock.Mock(**{
      'AutoConfig.from_pretrained.side_effect': OSError('no config.json'),
    })  # fmt: skip
    with mock.patch.object(registry, 'require', lambda *_: package):
      with self.assertRaisesRegex(GraphError, 'folder .*no config.json.*takes'):
        registry.describe(f'hf:{folder}')
      with self.assertRaisesRegex(OSError, 'network connection'):
        registry.describe('hf:a')

  @parameterized.parameters(({}, 7), ({'num_detection_tokens': 2}, 5))
  def test_tokens_of_objects_are_no_patches(self, config, count):
    class Detector:
      def __init__(self):
        self.config = types.SimpleNamespace(**config)

      def __call__(self, pixel_values):
        return types.SimpleNamespace(last_hidden_state=pixel_values)

    tokens = np.arange(14).reshape(1, 7, 2)
    found = hugging_face._features(Detector())(tokens)
    np.testing.assert_array_equal(found, tokens[:, :count])

  def test_weights_that_would_be_drawn_at_random_are_refused(self):
    missing = {'vision_model.layers.2.bias', 'text_model.layers.2.bias'}
    with self.assertRaisesRegex(GraphError, 'a lacks 1 of .* layers.2.bias;'):
      hugging_face.check_all_there('a', missing, 'vision_model')
    with self.assertRaisesRegex(GraphError, 'a lacks 2'):
      hugging_face.check_all_there('a', missing, '')
    unused = {'pooler.dense.weight', 'classifier.weight'}
    hugging_face.check_all_there('a', unused, '')
    hugging_face.check_all_there('a', {'text_model.a'}, 'vision_model')

  @parameterized.parameters(
    ({'image_size': 224, 'patch_size': 14}, 224, (16, 24)),
    ({'image_size': [98, 98], 'patch_size': 14}, 98, (16, 24)),
    ({'image_size': 224}, 224, None),
    ({}, 224, None),
    ({'image_size': 64, 'patch_size': [4, 4]}, 64, None),
  )
  def test_sizes_of_hugging_face(self, config, size, grid):
    config = types.SimpleNamespace(**config)
    self.assertEqual(hugging_face.size_of(config), size)
    # Images may have another size than the configuration says.
    t = 'resize(224, 336) | range(0, 1)'
    self.assertEqual(hugging_face.grid_of(config, t), grid)


class TokensTest(parameterized.TestCase):
  @parameterized.parameters(
    (None, False, 'ln_post'), (None, True, 'transformer'),
    (object(), False, 'transformer'),
  )  # fmt: skip
  def test_tokens_of_open_clip_are_those_in_front_of_the_pooling(
    self, pool, is_pooled_first, expected
  ):
    module = types.SimpleNamespace(
      class_embedding=None, attn_pool=pool, final_ln_after_pool=is_pooled_first
    )
    with mock.patch.object(open_clip.surgery, 'until') as until:
      open_clip._features(module)
    until.assert_called_once_with(module, expected, stops=False)

  @parameterized.parameters(
    (197, None, None, (14, 14, 1)),
    (201, 5, (14, 14), (14, 14, 5)),
    (201, None, (14, 14), (14, 14, 5)),
    (25, 1, None, (0, 0, 1)),
    (13, 1, (3, 4), (3, 4, 1)),
    # The network was told another grid than the image has.
    (17, 1, (14, 14), (4, 4, 1)),
    (49, 0, None, (7, 7, 0)),
  )
  def test_layout(self, tokens, prefix, grid, expected):
    self.assertEqual(torch_networks.layout(tokens, prefix, grid), expected)

  @parameterized.parameters(
    (24, 0, (6, 4, 0)), (25, None, (6, 4, 1)), (19, 1, (0, 0, 1)),
  )  # fmt: skip
  def test_layout_of_an_image_that_is_no_square(self, tokens, prefix, expected):
    found = torch_networks.layout(tokens, prefix, sides=(96, 64))
    self.assertEqual(found, expected)

  @parameterized.parameters(
    ((7, 7, 96), (2, 2), True), ((96, 7, 7), (2, 2), False),
    ((7, 7, 7), (2, 2), False), ((6, 4, 96), (3, 2), True),
    ((96, 6, 4), (3, 2), False), ((512, 7, 8), (1, 1), False),
  )  # fmt: skip
  def test_channels_are_what_is_not_shaped_like_the_image(
    self, shape, sides, expected
  ):
    self.assertEqual(torch_networks.is_channels_last(shape, sides), expected)

  def test_network_is_made_for_images_of_another_size(self):
    module = mock.Mock()
    torch_networks._make_for(module, (96, 64))
    module.set_input_size.assert_called_once_with(img_size=(96, 64))
    module.set_input_size.side_effect = AssertionError('no multiple of 16')
    with self.assertRaisesRegex(GraphError, '97 x 97 pixels: no multiple of'):
      torch_networks._make_for(module, (97, 97))
    torch_networks._make_for(object(), (97, 97))

  def test_example_is_what_a_network_takes(self):
    t = torch_networks.normalised((12, 16), [0.5] * 3, [0.25] * 3)
    image = torch_networks.example(t)
    self.assertEqual(image.shape, (1, 3, 12, 16))
    self.assertEqual(image.dtype, np.float32)
    self.assertGreater(image.std(), 0.1)

  def test_weights_that_are_no_file_are_an_error_of_the_system(self):
    with mock.patch.object(torch_networks.surgery, 'require'):
      with self.assertRaises(OSError):
        torch_networks.load_weights(None, os.path.join('no', 'such.pth'))


if __name__ == '__main__':
  absltest.main()
