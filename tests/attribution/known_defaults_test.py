"""Tests that defaults of `attribution` are what they were."""

from absl.testing import absltest

from tests import known_defaults

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


class KnownDefaultsTest(known_defaults.KnownDefaultsCase):
  def test_modules_are_those_that_are_looked_at(self):
    self.check_modules('attribution', _MODULES)

  def test_defaults_are_the_known_ones(self):
    self.check('attribution')


if __name__ == '__main__':
  absltest.main()
