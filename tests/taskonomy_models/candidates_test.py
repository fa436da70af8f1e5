"""Tests of networks as a person names them, and of what is looked up."""

import json
import pathlib

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from taskonomy_models import candidates, metadata
from tests import testing


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    ('a/b/net.v1.onnx', 'net'),
    ('keras:MobileNetV2', 'MobileNetV2'),
    ('keras:MobileNet:random', 'MobileNet_random'),
    ('my folder/', 'my_folder'),
  )
  def test_name_is_what_it_is_called(self, source, name):
    self.assertEqual(candidates.name_of(source), name)


class ShelfTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / 'net.pb'
    graph = testing.tiny_graph_def()
    self.path.write_bytes(graph.SerializeToString())

  def test_one_that_fails_does_not_stop_the_others(self):
    sources = [str(self.path), str(self.folder / 'lost.onnx'), 'keras:Nothing']
    found = candidates.shelf(sources, {'net': 'range(-1, 1)'})
    self.assertEqual(found.bank.names, ('net',))
    self.assertEqual(found.bank.encoders[0].preprocessing, 'range(-1, 1)')
    self.assertIn('no file or folder', found.faults['lost'])
    self.assertIn("has no 'Nothing'; there are", found.faults['Nothing'])

  def test_what_nobody_says_is_asked_for_by_name(self):
    found = candidates.shelf([str(self.path)])
    self.assertRegex(found.faults['net'], "`preprocessing` of 'net'")

  def test_what_is_said_of_nobody_is_refused(self):
    with self.assertRaisesRegex(ValueError, "names 'other', but .* are net"):
      candidates.shelf([str(self.path)], {'other': 'range(-1, 1)'})
    with self.assertRaisesRegex(ValueError, "would be called 'net'"):
      candidates.shelf([str(self.path), 'elsewhere/net.onnx'])


class MetadataTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  @parameterized.parameters(
    ('mobilenet_v2', 'tf'), ('resnet50', 'caffe'), ('densenet', 'torch'),
    ('efficientnet', 'none'),
  )  # fmt: skip
  def test_mode_is_what_the_function_does(self, module, mode):
    module = getattr(tf.keras.applications, module)
    self.assertEqual(metadata.mode_of(module.preprocess_input), mode)
    self.assertIsNone(metadata.mode_of(lambda values: values + 3))

  @parameterized.parameters(
    ('mobilenetv2_1.00_224', 'resize(32) | range(-1, 1)'),
    ('vgg16', 'resize(32) | range(0, 255) | bgr | mean_std((103.939, '
     '116.779, 123.68), 1)'),
    ('vgg16_for_depth', None),
    ('mine', None),
  )  # fmt: skip
  def test_keras_model_is_known_by_its_name(self, name, expected):
    model = tf.keras.Sequential(
      [tf.keras.Input((32, 32, 3)), tf.keras.layers.Conv2D(2, 3)], name=name
    )
    self.assertEqual(metadata.of(model), expected)

  @parameterized.parameters(
    (
      {
        'image_mean': [0.5] * 3,
        'image_std': [0.25] * 3,
        'size': {'height': 8, 'width': 8},
      },
      'resize(8) | mean_std((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))',
    ),
    (
      {'size': {'shortest_edge': 9}, 'crop_size': 8, 'do_normalize': False},
      'resize(8) | range(0, 1)',
    ),
    (
      {
        'pretrained_cfg': {
          'mean': [0, 0, 0],
          'std': [1, 1, 1],
          'input_size': [3, 8, 6],
        }
      },
      'resize(8, 6) | mean_std((0, 0, 0), (1, 1, 1))',
    ),
    (
      {'size': 8, 'do_rescale': False, 'do_normalize': False},
      'resize(8) | range(0, 255)',
    ),
    ({'architectures': ['x']}, None),
    ([1], None),
  )
  def test_json_beside_a_file_is_read(self, content, expected):
    (self.folder / 'preprocessor_config.json').write_text(json.dumps(content))
    self.assertEqual(metadata.of(self.folder / 'model.onnx'), expected)

  def test_numbers_mean_what_they_mean_there(self):
    from attribution.preprocessing import Preprocessing

    content = {
      'image_mean': [0.485, 0.456, 0.406],
      'image_std': [0.229, 0.224, 0.225],
      'size': 4,
    }
    (self.folder / 'preprocessor_config.json').write_text(json.dumps(content))
    t = Preprocessing.parse(metadata.of(self.folder / 'model.onnx'))
    image = np.full((1, 4, 4, 3), 51, np.uint8)
    expected = (0.2 - np.array(content['image_mean'])) / content['image_std']
    np.testing.assert_allclose(t(image)[0, 0, 0], expected, rtol=1e-5)


if __name__ == '__main__':
  absltest.main()
