"""Tests that defaults of `attribution` are what they were."""

from absl.testing import absltest

from tests import known_defaults
from toolkit_basics import files

_MODULES = """
  composites
  conservation
  explainer
  feature_maps
  finite_differences
  geometric_operations
  layer_marks
  layerwise
  layerwise.gamma
  methods
  overrides
  perturbation
  preprocessing
  preprocessing_operations
  probes
  products
"""


class KnownDefaultsTest(absltest.TestCase):
  def test_modules_are_those_that_are_looked_at(self):
    found = [f'attribution.{name}' for name in _MODULES.split()]
    self.assertEqual(known_defaults.modules('attribution'), found)

  def test_defaults_are_the_known_ones(self):
    expected = files.read_json(known_defaults.PATH)['attribution']
    self.assertEqual(known_defaults.found('attribution'), expected)


if __name__ == '__main__':
  absltest.main()
