"""Tests of the explainer and its methods against slow oracles."""

import dataclasses
import threading
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import methods
from attribution.explainer import Explainer
from attribution.preprocessing import PreprocessingError
from frozen_graphs import session
from frozen_graphs.errors import GraphError
from frozen_graphs.passes import Passes
from tests import reference_network, testing

TENSORS = {
  'input_tensor': 'input:0',
  'representation_tensor': 'representation:0',
}
DEEP_EXPLAIN = ('relu', 'elu', 'sigmoid', 'tanh', 'softplus')


def explain(
  graph_def, images, method_names, preprocessing='range(-1, 1)', **kw
):
  """Returns the maps of the encoder's inputs, and these inputs."""
  with Explainer(
    graph_def,
    **TENSORS,
    methods=method_names,
    preprocessing=preprocessing,
    **kw,
  ) as explainer:
    maps = explainer.explain(images, inverse=False).maps
    return maps, explainer.preprocessing(images)


def cosine(a, b):
  return np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)


def inputs_of(images):
  """Returns what `explain` feeds to the encoder by default."""
  return images.astype(np.float32) / np.float32(255) * 2 - 1


def clear_of_zero(build, images):
  """Returns the first network that float32 can follow, and that is alive.

  Near z = 0, the ratio f(z) / z changes faster than float32 can follow.
  """
  for seed in range(1000):
    network = build(seed)
    alive = all(np.any(network.gradient(image)) for image in images)
    if alive and min(network.margin(image) for image in images) > 4e-3:
      return network
  raise AssertionError('No such network.')


class AgainstReferenceTest(parameterized.TestCase):
  """Compares maps with those of explicit matrices in float64."""

  def assert_near(self, actual, expected, tolerance=1e-4):
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    self.assertLess(error, tolerance)

  def compare(self, network, images, epsilon=1e-4):
    steps = 7
    names = [name for name in methods.names() if name != 'grad_cam']
    chosen = methods.create_all(names, epsilon=epsilon, steps=steps)
    maps, inputs = explain(network.freeze(), images, chosen)
    for j, x in enumerate(inputs.astype(np.float64)):
      gradient = network.gradient(x)
      path = [network.gradient(x * (k + 1) / steps) for k in range(steps)]
      self.assert_near(maps['saliency'][j], np.abs(gradient))
      self.assert_near(maps['gradient_times_input'][j], x * gradient)
      self.assert_near(
        maps['integrated_gradients'][j], x * np.mean(path, axis=0)
      )
      self.assert_near(maps['elrp'][j], x * network.gradient(x, epsilon))
      self.assert_near(maps['elrp'][j], network.relevance(x, epsilon))

  @parameterized.parameters(range(12))
  def test_random_networks_agree_with_the_definitions(self, seed):
    images = testing.images(2, 6, seed)[..., :2]
    network = clear_of_zero(
      lambda n: reference_network.random_network(1000 * seed + n, DEEP_EXPLAIN),
      inputs_of(images),
    )
    self.compare(network, images)

  @parameterized.parameters(*reference_network.FUNCTIONS)
  def test_rule_of_each_activation_is_the_formula(self, activation):
    images = testing.images(2, 6)

    def build(seed):
      builder = reference_network.Builder((6, 6, 3), seed)
      hidden = builder.activation(builder.conv(-1, 3), activation)
      builder.activation(builder.dense(hidden, 4), activation)
      return builder.network()

    network = clear_of_zero(build, inputs_of(images))
    self.compare(network, images, epsilon=1e-2)

  def test_elrp_redistributes_relevance_layer_by_layer(self):
    images = testing.images(2, 6)

    def build(seed):
      builder = reference_network.Builder((6, 6, 3), seed)
      stem = builder.batch_norm(builder.conv(-1, 4))
      stem = builder.activation(stem, 'tanh')
      branch = builder.activation(builder.conv(stem, 4), 'elu')
      joined = builder.add(builder.batch_norm(builder.conv(branch, 4)), stem)
      pooled = builder.max_pool(builder.activation(joined, 'sigmoid'))
      builder.dense(builder.activation(builder.dense(pooled, 5), 'relu'), 3)
      return builder.network()

    self.compare(clear_of_zero(build, inputs_of(images)), images)

  def test_relevance_is_conserved_without_biases_and_epsilon(self):
    builder = reference_network.Builder((6, 6, 3), 0)
    builder.activation(builder.conv(-1, 4), 'tanh')
    network = builder.network()
    network.layers[0].bias[:] = 0
    maps, inputs = explain(
      network.freeze(),
      testing.images(1, 6),
      [methods.create('elrp', epsilon=1e-9)],
    )
    expected = network.forward(inputs[0])[1].mean()
    self.assertAlmostEqual(maps['elrp'].sum(), expected, places=5)

  def test_elrp_is_the_formula_written_out(self):
    x = np.array([[[[0.25, 0.75]]]], np.float32)
    w = np.array([[0.5, -1.0, 2.0], [1.5, 1.0, -0.25]], np.float32)
    z = x[0, 0, 0] @ w
    ratio = np.tanh(z) / (z + 1e-4 * np.where(z >= 0, 1, -1))
    expected = x[0, 0, 0] * (ratio @ w.T) / 3  # Mean over D = 3 units.
    graph_def = testing.freeze(lambda t: tf.tanh(t @ w), 1, 2)
    maps, _ = explain(graph_def, x, ['elrp'], 'range(0, 1)')
    np.testing.assert_allclose(maps['elrp'][0, 0, 0], expected, rtol=1e-5)

  def test_zero_counts_as_positive(self):
    graph_def = testing.freeze(lambda t: tf.sigmoid(t - 0.5), 1, 1)
    x = np.full((1, 1, 1, 1), 0.5, np.float32)
    maps, _ = explain(graph_def, x, ['elrp'], 'range(0, 1)')
    np.testing.assert_allclose(maps['elrp'].item(), 0.5 * 0.5 / 1e-4, 1e-5)

  @parameterized.parameters(*DEEP_EXPLAIN)
  def test_larger_networks_agree_with_a_custom_gradient(self, activation):
    layer = testing.activation_layer(activation)
    rng = np.random.default_rng(1)
    kernels = [
      rng.normal(0, 0.2, shape).astype(np.float32)
      for shape in ((3, 3, 3, 8), (3, 3, 8, 8), (3, 3, 8, 16))
    ]

    def encoder(x, activate):
      for kernel in kernels:
        x = activate(tf.nn.conv2d(x, kernel, 2, 'SAME') + 0.1)
      return x

    @tf.custom_gradient
    def ruled(z):
      f_z = layer(z)
      sign = tf.where(z >= 0, tf.ones_like(z), -tf.ones_like(z))
      return f_z, lambda gradient: gradient * (f_z / (z + 1e-4 * sign))

    images = testing.images(3, 32)
    maps, inputs = explain(
      testing.freeze(lambda x: encoder(x, layer), 32), images, ['elrp']
    )
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
      tape.watch(x)
      target = tf.reduce_mean(encoder(x, ruled), axis=[1, 2, 3])
    self.assert_near(maps['elrp'], (x * tape.gradient(target, x)).numpy())


class MethodsTogetherTest(parameterized.TestCase):
  """Relations between the methods."""

  def test_relu_network_has_elrp_nearly_gradient_times_input(self):
    maps, _ = explain(
      testing.tiny_graph_def('relu'),
      testing.images(4),
      ['elrp', 'gradient_times_input'],
    )
    self.assertGreater(
      cosine(maps['elrp'], maps['gradient_times_input']), 0.9999
    )

  @parameterized.parameters('tanh', 'sigmoid', 'elu')
  def test_curved_network_has_other_elrp_than_gradient_times_input(self, name):
    maps, _ = explain(
      testing.tiny_graph_def(name),
      testing.images(4),
      ['elrp', 'gradient_times_input'],
    )
    self.assertLess(cosine(maps['elrp'], maps['gradient_times_input']), 0.99)

  def test_threads_and_batches_change_no_map_by_more_than_rounding(self):
    graph_def = testing.tiny_graph_def('tanh')
    images = testing.images(33)
    wanted = ['saliency', 'gradient_times_input', 'elrp']
    config, found = session.config, []
    for threads in (1, 2):
      for batch_size in (1, 32):

        def of_threads(threads=threads):
          result = config()
          result.intra_op_parallelism_threads = threads
          result.inter_op_parallelism_threads = threads
          result.use_per_session_threads = True
          return result

        with mock.patch.object(session, 'config', of_threads):
          found.append(
            explain(graph_def, images, wanted, batch_size=batch_size)[0]
          )
    for name, expected in found[0].items():
      for other in found[1:]:
        largest = np.abs(expected).max()
        self.assertLess(np.abs(other[name] - expected).max() / largest, 1e-4)

  def test_maps_that_are_not_finite_are_an_error_that_names_the_image(self):
    graph_def = testing.freeze(
      lambda x: tf.nn.relu(x / tf.reduce_max(x, axis=[1, 2, 3], keepdims=True))
    )
    images = testing.images(4)
    images[2] = 0
    with Explainer(
      graph_def,
      input_tensor='input:0',
      representation_tensor='representation:0',
      methods=['saliency', 'gradient_times_input'],
      batch_size=2,
    ) as explainer:
      with self.assertRaisesRegex(
        GraphError, 'attribution map of image 2 by saliency is not finite'
      ):
        explainer.explain(images)
      explainer.explain(images[:2])
      maps = explainer.explain(images, may_be_infinite=True).maps
    finite = np.isfinite(maps['saliency']).all(axis=(1, 2, 3))
    self.assertEqual(finite.tolist(), [True, True, False, True])

  def test_linear_network_needs_no_rule(self):
    maps, inputs = explain(
      testing.tiny_graph_def('linear'), testing.images(2), methods.names()
    )
    for name in ('elrp', 'integrated_gradients'):
      np.testing.assert_allclose(
        maps[name], maps['gradient_times_input'], 1e-4, 1e-7
      )

  @parameterized.parameters(0.0, -0.3)
  def test_integrated_gradients_add_up_to_the_change_of_the_target(self, base):
    graph_def = testing.tiny_graph_def('tanh')
    images = testing.images(3)
    with Explainer(
      graph_def,
      **TENSORS,
      preprocessing='range(-1, 1)',
      methods=methods.create_all(
        ['integrated_gradients'], steps=400, baseline=base
      ),
    ) as explainer:
      explanation = explainer.explain(images)
      # The image whose every input value is the baseline.
      at_baseline = explainer.explain(
        np.full((1, 16, 16, 3), (base + 1) / 2, np.float32)
      ).representation
    change = (explanation.representation - at_baseline).mean(axis=(1, 2, 3))
    total = explanation.maps['integrated_gradients'].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, change, rtol=0.02, atol=2e-4)

  def test_saliency_per_unit_is_the_mean_of_absolute_gradients(self):
    builder = reference_network.Builder((4, 4, 3), 3)
    builder.activation(builder.conv(-1, 2, 2), 'tanh')
    network = builder.network()
    maps, inputs = explain(
      network.freeze(),
      testing.images(3, 4),
      ['saliency', 'gradient_times_input'],
      per_unit=True,
    )
    for x, saliency, product in zip(
      inputs.astype(np.float64),
      maps['saliency'],
      maps['gradient_times_input'],
      strict=True,
    ):
      values = network.forward(x)
      matrix = reference_network.conv_matrix(
        (4, 4, 3), network.layers[0].kernel, 2
      )
      jacobian = (1 - values[1] ** 2)[:, None] * matrix
      expected = np.abs(jacobian).mean(axis=0).reshape(4, 4, 3)
      np.testing.assert_allclose(saliency, expected, 1e-4, 1e-7)
      np.testing.assert_allclose(
        product, x * jacobian.mean(axis=0).reshape(4, 4, 3), 1e-4, 1e-7
      )


class ConformanceTest(parameterized.TestCase):
  """Holds for every registered method, so a new one is tested at once."""

  @parameterized.parameters(*methods.names())
  def test_map_of_an_image_does_not_depend_on_its_batch(self, method):
    images = testing.images(5)
    graph_def = testing.tiny_graph_def('tanh')
    together, _ = explain(graph_def, images, [method], batch_size=5)
    for batch_size in (1, 2, 8):
      maps, _ = explain(graph_def, images, [method], batch_size=batch_size)
      np.testing.assert_allclose(maps[method], together[method], 1e-4, 1e-7)

  @parameterized.parameters(*methods.names())
  def test_same_images_give_the_same_bytes(self, method):
    graph_def = testing.tiny_graph_def('softplus')
    with Explainer(graph_def, **TENSORS, methods=[method]) as explainer:
      first = explainer.explain(testing.images(6)).maps[method].tobytes()
      self.assertEqual(
        first, explainer.explain(testing.images(6)).maps[method].tobytes()
      )
    with Explainer(graph_def, **TENSORS, methods=[method]) as explainer:
      self.assertEqual(
        first, explainer.explain(testing.images(6)).maps[method].tobytes()
      )

  @parameterized.parameters(*methods.names())
  def test_maps_come_back_in_the_shape_of_the_images(self, method):
    with Explainer(
      testing.tiny_graph_def(channels=1),
      **TENSORS,
      methods=[method],
      preprocessing='center_crop | resize(16) | lightness | range(-1, 1)',
    ) as explainer:
      images = testing.images(2, 40)[:, :30]
      self.assertEqual(
        explainer.explain(images).maps[method].shape, (2, 30, 40, 3)
      )
      self.assertEqual(
        explainer.explain(images, inverse=False).maps[method].shape,
        (2, 16, 16, 1),
      )


@dataclasses.dataclass(frozen=True)
class _OnlyWhereOn:
  """A rule that lets gradients pass where z is positive, undiminished."""

  def __call__(self, z, f_z, gradient):
    return tf.where(z > 0, gradient, 0)


@dataclasses.dataclass(frozen=True)
class _OwnMethod(methods.AttributionMethod):
  name = 'own'

  @property
  def rule(self):
    return _OnlyWhereOn()

  def attribute(self, inputs, gradients):
    return gradients


class OwnMethodTest(absltest.TestCase):
  def test_method_may_bring_its_own_rule_beside_others(self):
    graph_def = testing.freeze(lambda x: 3 * tf.tanh(x), 4)
    maps, inputs = explain(
      graph_def, testing.images(2, 4), [_OwnMethod(), 'elrp', 'saliency']
    )
    np.testing.assert_allclose(maps['own'], 3 * (inputs > 0) / 48, 1e-5)
    np.testing.assert_allclose(
      maps['saliency'], 3 * (1 - np.tanh(inputs) ** 2) / 48, 1e-4, 1e-7
    )


class ExplainerTest(parameterized.TestCase):
  """How graphs and images are handled."""

  def test_three_methods_take_one_forward_and_two_backward_passes(self):
    seen = []
    run = tf.compat.v1.Session.run

    def spy(session, fetches, *args, **kwargs):
      seen.append([op.type for op in session.graph.get_operations()])
      return run(session, fetches, *args, **kwargs)

    with mock.patch.object(tf.compat.v1.Session, 'run', spy):
      explain(
        testing.tiny_graph_def('tanh'),
        testing.images(7),
        ['saliency', 'gradient_times_input', 'elrp'],
        batch_size=4,
      )
    self.assertLen(seen, 2)  # Batches.
    self.assertEqual(seen[0].count('Conv2D'), 2)
    self.assertEqual(seen[0].count('Conv2DBackpropInput'), 2 * 2)
    self.assertEqual(seen[0], seen[1])

  def test_representation_is_that_of_the_graph(self):
    graph_def = testing.tiny_graph_def('tanh')
    images = testing.images(3)
    with Explainer(graph_def, **TENSORS) as explainer:
      actual = explainer.explain(images).representation
      inputs = explainer.preprocessing(images)
    with tf.Graph().as_default() as graph:
      tf.import_graph_def(graph_def, name='')
      with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run('representation:0', {'input:0': inputs})
    np.testing.assert_allclose(actual, expected, 1e-5, 1e-6)

  def test_explainers_of_different_epsilon_live_side_by_side(self):
    builder = reference_network.Builder((6, 6, 3), 0)
    builder.activation(builder.conv(-1, 3), 'sigmoid')
    network = builder.network()
    images = testing.images(1, 6)
    explainers = [
      Explainer(
        network.freeze(),
        **TENSORS,
        methods=[methods.create('elrp', epsilon=epsilon)],
      )
      for epsilon in (1e-2, 1.0)
    ]
    for explainer, epsilon in zip(explainers, (1e-2, 1.0), strict=True):
      x = explainer.preprocessing(images)[0]
      np.testing.assert_allclose(
        explainer.explain(images).maps['elrp'][0],
        network.relevance(x, epsilon),
        rtol=1e-3,
        atol=1e-5,
      )
    for explainer in explainers:
      explainer.close()

  def test_explainers_built_in_threads_do_not_mix_their_rules(self):
    graph_def = testing.tiny_graph_def('sigmoid')
    images = testing.images(1)
    results = {}

    def work(epsilon):
      chosen = methods.create_all(
        ['gradient_times_input', 'elrp'], epsilon=epsilon
      )
      results[epsilon] = explain(graph_def, images, chosen)[0]

    epsilons = (0.01, 0.1, 1.0)
    threads = [threading.Thread(target=work, args=(e,)) for e in epsilons]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    threaded = dict(results)
    for epsilon in epsilons:
      work(epsilon)
      for name, maps in results[epsilon].items():
        np.testing.assert_array_equal(threaded[epsilon][name], maps)

  @parameterized.parameters(
    (lambda x: tf.tanh(tf.nn.avg_pool2d(x, 2, 2, 'VALID')), 1, 'rebatched'),
    (lambda x: tf.tanh(tf.nn.avg_pool2d(x, 2, 2, 'VALID')), 2, 'rebatched'),
    (lambda x: tf.tanh(tf.reshape(x, [1, 192])), 1, 'one_at_a_time'),
    (lambda x: tf.tanh(tf.reshape(x, [2, 192])), 2, 'fixed'),
    (lambda x: tf.tanh(tf.stack(tf.unstack(x, 1))), 1, 'one_at_a_time'),
    # Any batch would pass, but as one image.
    (lambda x: tf.tanh(tf.reshape(x, [1, -1])), 1, 'one_at_a_time'),
    (lambda x: tf.tanh(x - tf.reduce_mean(x, 0, True)), 1, 'one_at_a_time'),
  )
  def test_fixed_batch_is_opened_only_if_images_stay_apart(
    self, encoder, batch, expected
  ):
    images = testing.images(5, 8)
    graph_def = testing.freeze(encoder, 8, batch=batch)
    with Explainer(graph_def, **TENSORS, batch_size=4) as explainer:
      self.assertEqual(explainer.summary.batching, expected)
      self.assertEqual(
        explainer.batch_size, 4 if expected == 'rebatched' else batch
      )
      together = explainer.explain(images).maps['elrp']
      alone = [explainer.explain(image[None]).maps['elrp'] for image in images]
    np.testing.assert_allclose(together, np.concatenate(alone), 1e-5, 1e-8)

  def test_fixed_batch_of_images_that_influence_each_other_is_refused(self):
    graph_def = testing.freeze(
      lambda x: tf.tanh(x - tf.reduce_mean(x, 0, True)), 8, batch=3
    )
    with self.assertRaisesRegex(GraphError, '3 images.*influence each other'):
      Explainer(graph_def, **TENSORS)

  def test_representation_may_be_one_number_an_image(self):
    graph_def = testing.freeze(lambda x: tf.reduce_sum(tf.tanh(x), [1, 2, 3]))
    maps, inputs = explain(graph_def, testing.images(3), ['saliency'])
    np.testing.assert_allclose(
      maps['saliency'], 1 - np.tanh(inputs) ** 2, 1e-4, 1e-6
    )

  def test_open_image_size_takes_images_of_any_size(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(x - 0.1), size=None)
    with Explainer(graph_def, **TENSORS) as explainer:
      self.assertEqual(explainer.input_shape, (None, None, 3))
      for size in (8, 12):
        maps = explainer.explain(testing.images(2, size)).maps['elrp']
        self.assertEqual(maps.shape, (2, size, size, 3))

  def test_channels_first_graph_lights_the_right_pixel(self):
    with tf.Graph().as_default() as graph:
      x = tf.compat.v1.placeholder(tf.float32, [None, 3, 8, 8], 'input')
      tf.identity(tf.nn.relu(x[:, 2, 5, 1]), name='representation')
    maps, _ = explain(
      graph.as_graph_def(),
      testing.images(1, 8) // 2 + 100,
      ['saliency'],
      'channels_first',
    )
    self.assertEqual(maps['saliency'].shape, (1, 3, 8, 8))
    with Explainer(
      graph.as_graph_def(),
      **TENSORS,
      preprocessing='channels_first',
      methods=['saliency'],
    ) as explainer:
      maps = explainer.explain(testing.images(1, 8) // 2 + 100).maps
    self.assertEqual(list(np.argwhere(maps['saliency'][0])[0]), [5, 1, 2])
    self.assertEqual(np.count_nonzero(maps['saliency']), 1)

  def test_graph_is_not_changed(self):
    graph_def = testing.tiny_graph_def('tanh')
    before = graph_def.SerializeToString(deterministic=True)
    explain(graph_def, testing.images(1), ['elrp'])
    self.assertEqual(graph_def.SerializeToString(deterministic=True), before)

  def test_summary_counts_ruled_activations(self):
    with Explainer(testing.tiny_graph_def('elu'), **TENSORS) as explainer:
      self.assertEqual(explainer.summary.ruled, {'Elu': 2})
      self.assertEqual(explainer.summary.num_ruled, 2)
      self.assertEqual(explainer.summary.operations['Conv2D'], 2)
    with Explainer(
      testing.tiny_graph_def('elu'), **TENSORS, methods=['saliency']
    ) as explainer:
      self.assertEqual(explainer.summary.num_ruled, 0)

  def test_closed_explainer_says_so(self):
    explainer = Explainer(testing.tiny_graph_def(), **TENSORS)
    explainer.close()
    explainer.close()
    with self.assertRaisesRegex(ValueError, 'closed'):
      explainer.explain(testing.images(1))

  @parameterized.named_parameters(
    ('no_images', np.zeros((0, 16, 16, 3), np.uint8), 'at least one image'),
    ('one_image', np.zeros((16, 16, 3), np.uint8), 'shape'),
    ('int32', np.zeros((1, 16, 16, 3), np.int32), 'int32'),
    ('out_of_range', np.full((1, 16, 16, 3), 2.0), r'\[0, 1\]'),
    ('nan', np.full((1, 16, 16, 3), np.nan), r'\[0, 1\]'),
    ('wrong_size', np.zeros((1, 8, 8, 3), np.uint8), r'\(16, 16, 3\)'),
    ('wrong_channels', np.zeros((1, 16, 16, 1), np.uint8), r'\(16, 16, 3\)'),
  )
  def test_images_are_checked(self, images, message):
    with Explainer(testing.tiny_graph_def(), **TENSORS) as explainer:
      with self.assertRaisesRegex(PreprocessingError, message):
        explainer.explain(images)

  @parameterized.named_parameters(
    ('no_methods', {'methods': []}, 'methods'),
    ('text_for_methods', {'methods': 'elrp'}, 'list'),
    ('number_for_methods', {'methods': 5}, 'list'),
    ('nothing_for_a_method', {'methods': [None]}, 'None is no method'),
    ('class_for_a_method', {'methods': [methods.EpsilonLRP]}, 'is no method'),
    ('unknown_method', {'methods': ['lime']}, 'saliency'),
    ('twice', {'methods': ['elrp', 'elrp']}, 'twice'),
    ('batch_size', {'batch_size': 0}, 'batch_size'),
    ('no_such_device', {'device': '/GPU:7'}, 'GPU:7'),
    ('preprocessing', {'preprocessing': 'zoom(2)'}, 'zoom'),
  )
  def test_arguments_are_checked(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      Explainer(testing.tiny_graph_def(), **TENSORS, **arguments)

  def test_directions_may_be_a_list_and_must_be_real_and_finite(self):
    images = testing.images(2)
    options = {'methods': ['gradient'], 'is_directed': True}
    with Explainer(testing.tiny_graph_def(), **TENSORS, **options) as explainer:
      wanted = explainer.explain(images, directions=np.ones((2, 256)))
      found = explainer.explain(images, directions=[[1] * 256] * 2)
      np.testing.assert_array_equal(
        found.maps['gradient'], wanted.maps['gradient']
      )
      for wrong in (np.nan, np.inf, 1j):
        with self.assertRaisesRegex(ValueError, 'real and finite'):
          explainer.explain(images, directions=np.full((2, 256), wrong))

  def test_baseline_is_the_same_for_all_images(self):
    for shape in ((3,), (16, 16, 3), (1, 16, 16, 3)):
      baseline = np.full(shape, 0.1)
      method = methods.create(
        'integrated_gradients', baseline=baseline, steps=2
      )
      explain(testing.tiny_graph_def(), testing.images(1), [method])
    for shape in ((7, 1, 1, 1), (4, 4)):
      method = methods.create('integrated_gradients', baseline=np.zeros(shape))
      with self.assertRaisesRegex(ValueError, 'baseline has the shape'):
        explain(testing.tiny_graph_def(), testing.images(1), [method])

  def test_explainer_that_cannot_be_built_leaves_nothing_open(self):
    method = methods.create('grad_cam', layer='nothing')
    with mock.patch.object(Passes, 'close', autospec=True) as close:
      with self.assertRaisesRegex(GraphError, 'nothing'):
        Explainer(testing.tiny_graph_def(), **TENSORS, methods=[method])
    close.assert_called_once()

  def test_device_can_be_named(self):
    maps, _ = explain(
      testing.tiny_graph_def(), testing.images(1), ['elrp'], device='/CPU:0'
    )
    self.assertTrue(np.any(maps['elrp']))

  @parameterized.parameters((True, 'one_at_a_time'), (False, 'open'))
  def test_input_of_unknown_shape_is_tried_with_the_first_images(
    self, mixes, expected
  ):
    def encoder(x):
      x = tf.nn.relu(x - 0.5)
      return tf.tanh(tf.reshape(x, [1, -1]) if mixes else x)

    graph_def = testing.freeze(encoder, 8)
    for node in graph_def.node:
      if node.name == 'input':
        node.attr['shape'].shape.unknown_rank = True
    images = testing.images(3, 8)
    with Explainer(graph_def, **TENSORS, batch_size=2) as explainer:
      together = explainer.explain(images).maps['elrp']
      self.assertEqual(explainer.summary.batching, expected)
      alone = [explainer.explain(image[None]).maps['elrp'] for image in images]
    np.testing.assert_allclose(together, np.concatenate(alone), 1e-5, 1e-8)

  @parameterized.parameters((1, 'rebatched'), (None, 'open'))
  def test_shape_of_an_inner_input_is_what_comes_before_it(self, batch, found):
    with tf.Graph().as_default() as graph:
      x = tf.compat.v1.placeholder(tf.uint8, [batch, 8, 8, 3], 'input')
      resized = tf.image.resize(tf.cast(x, tf.float32), [6, 5])
      tf.identity(tf.nn.relu(2 * resized), name='representation')
    for node in graph.as_graph_def().node:
      self.assertNotIn('_output_shapes', node.attr)
    with Explainer(
      graph.as_graph_def(),
      input_tensor=resized.name,
      representation_tensor='representation:0',
    ) as explainer:
      self.assertEqual(explainer.input_shape, (6, 5, 3))
      self.assertEqual(explainer.summary.batching, found)

  def test_integer_input_names_the_way_out(self):
    with tf.Graph().as_default() as graph:
      x = tf.compat.v1.placeholder(tf.uint8, [None, 8, 8, 3], 'input')
      y = tf.cast(tf.cast(x, tf.int32)[:, ::-1], tf.float32, name='floats')
      tf.nn.relu(y, name='representation')
    with self.assertRaisesRegex(
      GraphError, 'uint8.*floating-point.*: floats:0'
    ):
      Explainer(graph.as_graph_def(), **TENSORS)

  @parameterized.parameters(tf.round, tf.stop_gradient)
  def test_blocked_gradient_is_an_error(self, block):
    graph_def = testing.freeze(lambda x: block(tf.nn.relu(x)))
    with self.assertRaisesRegex(GraphError, 'gradient'):
      Explainer(graph_def, **TENSORS, methods=['saliency'])

  def test_representation_must_keep_the_images_apart(self):
    graph_def = testing.freeze(lambda x: tf.nn.relu(tf.reshape(x, [-1, 8])))
    with Explainer(graph_def, **TENSORS) as explainer:
      with self.assertRaisesRegex(GraphError, 'first dimension'):
        explainer.explain(testing.images(2))

  def test_error_names_the_encoder(self):
    with self.assertRaisesRegex(GraphError, '^rgb2depth: '):
      Explainer(
        testing.tiny_graph_def(),
        input_tensor='image:0',
        representation_tensor='representation:0',
        name='rgb2depth',
      )


if __name__ == '__main__':
  absltest.main()
