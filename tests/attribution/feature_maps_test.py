"""Tests of Grad-CAM, and of explanations of single units."""

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from attribution.feature_maps import CutNetwork
import frozen_graphs
from frozen_graphs.errors import GraphError
from tests import testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}
ENDS = {'input': 'input:0', 'representation': 'representation:0'}


def _classifier(seed=0, classes=3, batch=None):
  """Returns kernel, weights and graph: convolution, ReLU, linear on all."""
  rng = np.random.default_rng(seed)
  kernel = rng.normal(size=(2, 2, 3, 4)).astype(np.float32)
  weights = rng.normal(size=(8 * 8 * 4, classes)).astype(np.float32)

  def layer(x):
    x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, 'VALID'))
    return tf.matmul(tf.reshape(x, (-1, 8 * 8 * 4)), weights)

  return kernel, weights, testing.freeze(layer, batch=batch)


def _features(kernel, images):
  inputs = images.astype(np.float32) / np.float32(255) * 2 - 1
  cells = inputs.reshape(-1, 8, 2, 8, 2, 3)
  return np.maximum(np.einsum('nyaxbc,abck->nyxk', cells, kernel), 0)


class GradCamTest(parameterized.TestCase):
  def test_it_is_the_formula_written_out_of_a_class(self):
    kernel, weights, graph_def = _classifier()
    images = testing.images(4)
    classes = [2, 0, 1, 2]
    with Explainer(
      graph_def,
      **TENSORS,
      preprocessing='range(-1, 1)',
      methods=['grad_cam'],
      is_directed=True,
    ) as explainer:
      directions = np.eye(3)[classes]
      maps = explainer.explain(images, directions=directions).maps['grad_cam']
    self.assertEqual(maps.shape, images.shape)
    np.testing.assert_array_equal(maps[..., 0], maps[..., 2])
    features = _features(kernel, images)
    for image, k in enumerate(classes):
      mean = weights[:, k].reshape(64, 4).mean(axis=0)
      small = np.maximum(features[image] @ mean, 0)
      # Enlarged by two, bilinear: the middle of four pixels is a mean of them.
      large = maps[image].sum(axis=-1)
      np.testing.assert_allclose(large[0, 0], small[0, 0], rtol=1e-4)
      expected = 0.75 * small[0, 0] + 0.25 * small[0, 1]
      np.testing.assert_allclose(large[0, 1], expected, rtol=1e-4, atol=1e-6)

  def test_without_a_direction_it_explains_the_mean_of_all_units(self):
    _, weights, graph_def = _classifier()
    images = testing.images(3)
    found = []
    for is_directed in (False, True):
      with Explainer(
        graph_def, **TENSORS, methods=['grad_cam'], is_directed=is_directed
      ) as explainer:
        along = np.full((3, 3), 1 / 3) if is_directed else None
        found.append(explainer.explain(images, directions=along).maps)
    np.testing.assert_allclose(
      found[0]['grad_cam'], found[1]['grad_cam'], rtol=1e-4, atol=1e-6
    )

  def test_at_the_representation_all_units_count_alike(self):
    graph_def = testing.tiny_graph_def('relu')
    images = testing.images(2)
    with Explainer(
      graph_def, **TENSORS, methods=['grad_cam', 'saliency']
    ) as explainer:
      found = explainer.explain(images)
    # Its weights are all 1 / D, and enlarging by two keeps the inner sums.
    expected = np.maximum(found.representation.sum(axis=-1), 0)
    expected = expected / found.representation[0].size
    large = found.maps['grad_cam'].sum(axis=-1)
    np.testing.assert_allclose(large[:, 0, 0], expected[:, 0, 0], rtol=1e-4)
    with Explainer(
      graph_def, **TENSORS, methods=['grad_cam'], is_directed=True
    ) as explainer:
      units = found.representation[0].size
      along = np.full((2, units), 2 / units)
      twice = explainer.explain(images, directions=along).maps['grad_cam']
    np.testing.assert_allclose(twice, 2 * found.maps['grad_cam'], rtol=1e-4)
    np.testing.assert_allclose(large[:, -1, -1], expected[:, -1, -1], rtol=1e-4)

  def test_the_last_map_beside_which_nothing_leads_on_is_taken(self):
    def layer(x):
      first = tf.nn.relu(x[:, ::2, ::2] - 0.5)
      inner = tf.nn.relu(first[:, ::2, ::2] * 2 - 1)
      return tf.reduce_mean(first, [1, 2]) + tf.reduce_mean(inner, [1, 2])

    cut = CutNetwork(frozen_graphs.load(testing.freeze(layer), **ENDS))
    self.assertEqual(cut.layer, 'Relu:0')
    cut.close()

  def test_a_graph_made_for_one_image_is_explained(self):
    images = testing.images(3)
    maps = []
    for batch in (None, 1):
      graph_def = _classifier(batch=batch)[2]
      with Explainer(
        graph_def, **TENSORS, methods=['grad_cam', 'saliency']
      ) as explainer:
        maps.append(explainer.explain(images).maps['grad_cam'])
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-6)

  def test_a_layer_without_positions_is_refused(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(tf.reduce_mean(x, [1, 2])))
    with self.assertRaisesRegex(GraphError, '`layer`'):
      with Explainer(graph_def, **TENSORS, methods=['grad_cam']) as explainer:
        explainer.explain(testing.images(1))


class DirectedTest(parameterized.TestCase):
  @parameterized.parameters(
    'saliency',
    'gradient',
    'gradient_times_input',
    'elrp',
    'integrated_gradients',
  )
  def test_a_class_is_explained_as_a_network_of_it_alone(self, method):
    kernel, weights, graph_def = _classifier()
    images = testing.images(3)

    def alone(x):
      x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, 'VALID'))
      return tf.matmul(tf.reshape(x, (-1, 256)), weights[:, 1:2])

    with Explainer(
      testing.freeze(alone), **TENSORS, methods=[method]
    ) as single:
      expected = single.explain(images).maps[method]
    with Explainer(
      graph_def, **TENSORS, methods=[method], is_directed=True, batch_size=2
    ) as explainer:
      along = np.tile([0.0, 1.0, 0.0], (3, 1))
      actual = explainer.explain(images, directions=along).maps[method]
    largest = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=1e-4 * largest)

  def test_wrong_directions_are_said(self):
    graph_def = _classifier()[2]
    images = testing.images(2)
    with Explainer(graph_def, **TENSORS) as explainer:
      with self.assertRaisesRegex(ValueError, 'takes none'):
        explainer.explain(images, directions=np.ones((2, 3)))
    with Explainer(graph_def, **TENSORS, is_directed=True) as explainer:
      for wrong in (None, np.ones((2, 4)), np.ones((1, 3))):
        with self.assertRaisesRegex(ValueError, 'directions'):
          explainer.explain(images, directions=wrong)
    with self.assertRaisesRegex(ValueError, '`per_unit`'):
      Explainer(
        graph_def,
        **TENSORS,
        methods=['saliency'],
        per_unit=True,
        is_directed=True,
      )


if __name__ == '__main__':
  absltest.main()
