"""Tests of the registry of the paper's second group, and of its encoders."""

from absl.testing import absltest, parameterized
import pytest

from attribution.preprocessing import Preprocessing
from taskonomy_models import keras_networks
from taskonomy_models.published import making, registry, weights

# By network: the shape of its representation, and names of weights in the
# release, the first and the last of the encoder.
_SHAPES = {
  'inpainting_imagenet': (64, 64, 128),
  'fcrn': (8, 10, 1024),
  'fcn': (8, 8, 4096),
  'prn': (8, 8, 512),
  'tiny_face': (14, 14, 1024),
}


def _names(network) -> set[str]:
  """Returns the names that weights are looked for by."""
  return {
    network.prefix + layer.name.replace('.', '/') + part.partition(':')[0]
    for layer in network.build().layers
    for part, _ in weights._wanted(layer, network.style)
  }


class RegistryTest(parameterized.TestCase):
  def test_it_is_the_papers_group(self):
    self.assertLen(registry.names, 18)
    self.assertContainsSubset(registry.KERAS, keras_networks.NETWORKS)
    groups = [network.group for network in registry.NETWORKS.values()]
    self.assertEqual(groups.count('inpainting'), 4)
    self.assertLen(set(registry.names), 18)

  def test_each_says_where_its_weights_are(self):
    listed = making.listing()
    for name, network in registry.NETWORKS.items():
      self.assertStartsWith(network.address, 'http')
      self.assertIn(f'{name}: {network.address}', listed)
      self.assertIn(network.style, weights.STYLES)

  @parameterized.parameters(*registry.NETWORKS)
  def test_preprocessing_can_be_read(self, name):
    text = registry.NETWORKS[name].preprocessing
    text = text.replace(registry.AVERAGE, repr(registry.IMAGENET_AVERAGE))
    shape = Preprocessing.parse(text).output_shape((300, 300, 3))
    self.assertEqual(shape[2], 3)

  def test_names_of_the_inpainting_weights(self):
    names = _names(registry.NETWORKS['inpainting_imagenet'])
    self.assertLen(names, 24)
    self.assertIn('inpaint_net/conv1/kernel', names)
    self.assertIn('inpaint_net/conv10_atrous/bias', names)

  @pytest.mark.slow
  def test_names_of_the_other_weights(self):
    for network, number, some in (
      ('prn', 160, 'resfcn256/resBlock_9/Conv_1/BatchNorm/moving_mean'),
      ('prn', 160, 'resfcn256/resBlock/shortcut/weights'),
      ('fcrn', 272, 'res4f_branch2c/weights'),
      ('fcrn', 272, 'bn5a_branch1/variance'),
      ('tiny_face', 376, 'bn4b22_branch2c_moments'),
    ):
      names = _names(registry.NETWORKS[network])
      self.assertIn(some, names)
      self.assertLen(names, number, network)

  @pytest.mark.slow
  @parameterized.parameters('inpainting_imagenet', 'fcrn', 'prn', 'tiny_face')
  def test_shape_of_the_representation(self, name):
    model = registry.NETWORKS[name].build()
    self.assertEqual(model.output.shape[1:], _SHAPES[name])

  @pytest.mark.long
  def test_shape_of_the_largest(self):
    model = registry.NETWORKS['fcn'].build()
    self.assertEqual(model.output.shape[1:], _SHAPES['fcn'])


if __name__ == '__main__':
  absltest.main()
