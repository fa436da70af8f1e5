"""Tests of maps of random directions against Jacobians."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods, overrides
from attribution.explainer import Explainer
from attribution.probes import Probes, pooled
import frozen_graphs
from frozen_graphs.passes import Passes
from tests import measures_testing, testing
from transferability import subspaces

_SIZE, _UNITS = 8, 4 * 4 * 4
_METHODS = ('gradient', 'gradient_times_input', 'elrp')


@dataclasses.dataclass(frozen=True)
class _AtHalf(methods.AttributionMethod):
  """A gradient at another point, that says nothing of being linear."""

  name = 'at_half'

  def points(self, inputs):
    yield inputs / 2

  def attribute(self, inputs, gradients):
    return gradients


def _explainer(graph_def, **options):
  options = {'methods': ['gradient'], 'probe_methods': _METHODS} | options
  return Explainer(
    graph_def,
    input_tensor='input:0',
    representation_tensor='representation:0',
    preprocessing=options.pop('preprocessing', 'range(-1, 1)'),
    **options,
  )


def _rotated(graph_def, matrix):
  """Returns the encoder with its flattened representation times a matrix."""

  def encoder(x):
    (units,) = tf.compat.v1.import_graph_def(
      graph_def, {'input': x}, ['representation:0'], name='encoder'
    )
    flat = tf.reshape(units, [-1, len(matrix)])
    return flat @ tf.constant(matrix, tf.float32)

  return testing.freeze(encoder, _SIZE)


class MapsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.graph_def = testing.tiny_graph_def('relu', seed=1, size=_SIZE)
    self.images = testing.images(5, _SIZE)

  @parameterized.parameters(*_METHODS)
  def test_map_of_a_unit_is_that_of_its_own_backward_pass(self, name):
    method = methods.create(name)
    rules = [method.rule]
    network = frozen_graphs.load(
      self.graph_def, input='input:0', representation='representation:0'
    )
    subgraph, _ = overrides.marked(network, methods.product_rule([method]))
    units = [0, 17, 63]
    with Passes(
      subgraph, unit_rules=rules, scope=overrides.active_rule
    ) as passes:
      inputs = (self.images / 127.5 - 1).astype(np.float32)
      expected = [
        method.attribute(inputs, passes.unit_gradient(method.rule, u, inputs))
        for u in units
      ]
    with _explainer(self.graph_def) as explainer:
      directions = np.tile(np.eye(_UNITS)[units], (5, 1, 1))
      maps = explainer.probe(name, self.images, directions)
    np.testing.assert_allclose(
      maps, np.stack(expected, axis=1), rtol=1e-3, atol=1e-5
    )

  @parameterized.parameters('gradient_times_input', 'elrp')
  def test_direction_of_the_mean_gives_the_map_of_the_paper(self, name):
    with _explainer(
      self.graph_def, methods=[name], preprocessing='resize(8) | range(-1, 1)'
    ) as explainer:
      images = testing.images(5, 12)
      mean = np.full((5, 1, _UNITS), 1 / _UNITS)
      maps = explainer.probe(name, images, mean)
      expected = explainer.explain(images).maps[name]
    self.assertEqual(maps.shape, (5, 1, 12, 12, 3))
    np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-3, atol=1e-6)

  def test_all_images_are_probed_whatever_the_batch(self):
    directions = np.random.default_rng(0).normal(size=(5, 3, _UNITS))
    found = []
    for batch_size in (1, 2, 32):
      with _explainer(self.graph_def, batch_size=batch_size) as explainer:
        found.append(explainer.probe('gradient', self.images, directions))
    for maps in found[1:]:
      np.testing.assert_allclose(maps, found[0], rtol=1e-4, atol=1e-6)

  def test_graph_of_a_fixed_batch_is_probed_too(self):
    fixed = testing.freeze(
      lambda x: tf.compat.v1.import_graph_def(
        self.graph_def, {'input': x}, ['representation:0'], name='encoder'
      )[0],
      _SIZE,
      batch=2,
    )
    directions = np.random.default_rng(0).normal(size=(5, 3, _UNITS))
    with _explainer(fixed) as one, _explainer(self.graph_def) as other:
      np.testing.assert_allclose(
        one.probe('elrp', self.images, directions),
        other.probe('elrp', self.images, directions),
        rtol=1e-3,
        atol=1e-5,
      )

  def test_what_does_not_fit_is_refused(self):
    with _explainer(self.graph_def, probe_methods=['elrp']) as explainer:
      for message, method, shape in (
        ('none of the probe_methods', 'gradient', (5, 3, _UNITS)),
        (r'give \[5 images', 'elrp', (4, 3, _UNITS)),
        (r'give \[5 images', 'elrp', (5, _UNITS)),
        ('64 units', 'elrp', (5, 3, _UNITS + 1)),
        ('K at least 1', 'elrp', (5, 0, _UNITS)),
      ):
        with self.assertRaisesRegex(ValueError, message):
          explainer.probe(method, self.images, np.zeros(shape))
      with self.assertRaisesRegex(ValueError, 'real and finite'):
        explainer.probe('elrp', self.images, np.full((5, 1, _UNITS), np.nan))
    for method in ('saliency', 'integrated_gradients', _AtHalf()):
      with self.assertRaisesRegex(ValueError, 'not linear in one gradient'):
        _explainer(self.graph_def, probe_methods=[method])

  def test_images_and_directions_may_be_lists(self):
    directions = np.ones((5, 1, _UNITS))
    with _explainer(self.graph_def) as explainer:
      np.testing.assert_array_equal(
        explainer.probe('elrp', list(self.images), directions.tolist()),
        explainer.probe('elrp', self.images, directions),
      )

  def test_rotation_changes_the_mean_map_but_neither_kernel_nor_span(self):
    other = testing.tiny_graph_def('relu', seed=2, size=_SIZE)
    turned = _rotated(self.graph_def, measures_testing.rotation(_UNITS))
    images = testing.images(40, _SIZE)
    probes = Probes(count=16)
    means, rows = [], []
    for name, graph_def in (
      ('other', other), ('plain', self.graph_def), ('turned', turned)
    ):  # fmt: skip
      with _explainer(graph_def, batch_size=40) as explainer:
        names = [str(i) for i in range(40)]
        drawn = probes.directions(name, names, _UNITS)
        maps = explainer.probe('gradient', images, drawn)
        rows.append(maps.reshape(40, 16, -1))
        mean = explainer.explain(images).maps['gradient'].reshape(40, -1)
        means.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    cosine = (means[1] * means[2]).sum(axis=1).mean()
    self.assertLess(abs(cosine), 0.7)  # Of one network, rotated.
    for measure in subspaces.MEASURES.values():
      found = subspaces.pairs(rows, measure)
      error = found[:, 0, 1].std() / np.sqrt(40)
      gap = found[:, 0, 1].mean() - found[:, 0, 2].mean()
      self.assertLess(abs(gap), 4 * error + 0.01)
    # Under the same rotation of the directions the rows are the same.
    same = (drawn @ measures_testing.rotation(_UNITS).T).astype(np.float32)
    with _explainer(self.graph_def, batch_size=40) as explainer:
      maps = explainer.probe('gradient', images, same).reshape(40, 16, -1)
    np.testing.assert_allclose(maps, rows[2], rtol=1e-3, atol=1e-4)


class DirectionsTest(parameterized.TestCase):
  def test_they_depend_on_seed_network_and_image_alone(self):
    probes = Probes(count=3)
    found = probes.directions('network', ['a', 'b'], 5)
    self.assertEqual(found.shape, (2, 3, 5))
    again = probes.directions('network', ['b', 'c', 'a'], 5)
    np.testing.assert_array_equal(again[[2, 0]], found)
    for other in (
      dataclasses.replace(probes, seed=1).directions('network', ['a', 'b'], 5),
      probes.directions('another', ['a', 'b'], 5),
      found[::-1],
    ):
      self.assertGreater(np.abs(other - found).min(), 0)

  def test_they_are_standard_normal(self):
    drawn = Probes(count=100).directions('n', [str(i) for i in range(20)], 50)
    self.assertAlmostEqual(float(drawn.mean()), 0, delta=0.01)
    self.assertAlmostEqual(float(drawn.var()), 1, delta=0.02)

  def test_images_are_evenly_spaced(self):
    probes = Probes(num_images=4)
    self.assertEqual(probes.chosen(9).tolist(), [0, 2, 4, 6])
    self.assertEqual(probes.chosen(3).tolist(), [0, 1, 2])

  @parameterized.parameters({'count': 1}, {'num_images': 0}, {'side': 0})
  def test_numbers_are_checked(self, **options):
    with self.assertRaisesRegex(ValueError, next(iter(options))):
      Probes(**options)

  def test_method_must_be_linear(self):
    with self.assertRaisesRegex(ValueError, 'saliency is not linear'):
      Probes(methods.create('saliency'))

  def test_pooled_maps_are_means_of_cells(self):
    maps = np.random.default_rng(0).normal(size=(2, 3, 6, 5, 3))
    found = pooled(maps, 2)
    self.assertEqual(found.shape, (2, 3, 2, 2, 3))
    np.testing.assert_allclose(
      found[:, :, 0, 1], maps[:, :, :3, 2:].mean(axis=(2, 3))
    )
    self.assertIs(pooled(maps, 6), maps)


if __name__ == '__main__':
  absltest.main()
