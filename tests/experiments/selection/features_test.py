"""Tests of features: extracted as attribution sees them, once, and pooled."""

import dataclasses
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from experiments.selection import features
import frozen_graphs
from taskonomy_models import bank as banks
from tests import bank_testing, testing
from tests.tracking_testing import silent


class PoolTest(parameterized.TestCase):
  @parameterized.parameters((8, 4), (7, 3), (5, 5), (4, 9), (6, 1))
  def test_cells_are_means_of_what_lies_in_them(self, size, grid):
    values = np.random.default_rng(0).normal(size=(2, size, size, 3))
    found = features.pool(values, grid)
    cells = min(size, grid)
    limits = [i * size // cells for i in range(cells + 1)]
    for i in range(cells):
      for j in range(cells):
        part = values[
          :, limits[i] : limits[i + 1], limits[j] : limits[j + 1]
        ].mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, i, j], part, atol=1e-5)

  def test_other_shapes_become_pictures_of_one_pixel(self):
    values = np.arange(24.0).reshape(2, 12)
    np.testing.assert_array_equal(features.pool(values, 4)[:, 0, 0], values)
    tokens = values.reshape(2, 4, 3)
    np.testing.assert_allclose(
      features.pool(tokens, 4)[:, 0, 0], tokens.mean(axis=1)
    )


class ExtractTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.images = testing.images(7, 16)

  def extract(self, encoder, images=None, **options):
    return features.extract(
      features.Candidate(encoder.name, encoder),
      self.images if images is None else images,
      8,
      self.folder / 'features',
      batch_size=3,
      **options,
    )

  def test_features_are_the_representation_that_is_explained(self):
    for encoder in self.bank.encoders:
      found = self.extract(encoder)
      with Explainer(
        encoder.graph,
        input_tensor=encoder.input_tensor,
        representation_tensor=encoder.representation_tensor,
        preprocessing=encoder.preprocessing,
        methods=['saliency'],
      ) as explainer:
        expected = explainer.explain(self.images).representation
      np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)
      self.assertEqual(found.flat.shape, (7, expected[0].size))
      self.assertGreater(found.seconds, 0)

  def test_features_are_extracted_once(self):
    encoder = self.bank.encoders[0]
    first = self.extract(encoder)
    with mock.patch.object(frozen_graphs.Network, 'passes', None):
      again = self.extract(encoder)
    np.testing.assert_array_equal(again.values, first.values)
    self.assertEqual(again.seconds, first.seconds)
    with self.subTest('but anew for other images, or another layer'):
      others = self.extract(encoder, self.images[::-1])
      np.testing.assert_allclose(
        others.values, first.values[::-1], rtol=1e-4, atol=1e-5
      )
      layer = dataclasses.replace(
        encoder, representation_tensor=features.activations(encoder)[0]
      )
      self.assertEqual(self.extract(layer).values.shape, (7, 8, 8, 6))

  def test_layers_of_a_network_come_from_one_pass(self):
    encoder = self.bank.encoders[0]
    other = self.bank.encoders[1]
    early, late = features.layers(encoder, 2)
    candidates = [
      features.Candidate('early', early),
      features.Candidate('other', other),
      features.Candidate('late', late),
    ]
    made, passes = [], frozen_graphs.Network.passes

    def counted(network, layers, **options):
      made.append(list(layers))
      return passes(network, layers, **options)

    with mock.patch.object(frozen_graphs.Network, 'passes', counted):
      found = features.extract_all(
        candidates, self.images, 8, self.folder / 'together', silent
      )
    self.assertEqual([len(layers) for layers in made], [2, 1])
    self.assertEqual(list(found), ['early', 'other', 'late'])
    for candidate in candidates:
      alone = self.extract(candidate.encoder)
      np.testing.assert_allclose(
        found[candidate.name].values, alone.values, rtol=1e-4, atol=1e-5
      )

  def test_a_layer_beside_the_others_has_a_pass_of_its_own(self):
    graph = testing.freeze(tf.nn.relu)
    beside = tf.compat.v1.NodeDef(op='Tanh', name='beside')
    beside.input.append('input')
    beside.attr['T'].type = tf.float32.as_datatype_enum
    graph.node.append(beside)
    found = features.extract_all(
      [
        features.Candidate(
          name,
          dataclasses.replace(
            self.bank.encoders[0],
            graph=graph,
            representation_tensor=f'{name}:0',
          ),
        )
        for name in ('representation', 'beside')
      ],
      self.images,
      16,
      self.folder / 'beside',
      silent,
    )
    inputs = self.images / np.float32(127.5) - 1
    np.testing.assert_allclose(
      found['beside'].values, np.tanh(inputs), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
      found['representation'].values, np.maximum(inputs, 0), atol=1e-5
    )

  def test_graphs_made_for_a_fixed_batch_are_taken(self):
    def encode(x):
      return tf.reshape(tf.nn.relu(x), [2, -1])  # Knows the batch size.

    for name, function in (('knows', encode), ('open', tf.nn.relu)):
      graph = testing.freeze(function, batch=2)
      path = self.folder / f'{name}.pb'
      path.write_bytes(graph.SerializeToString())
      encoder = dataclasses.replace(
        self.bank.encoders[0], name=name, graph=str(path)
      )
      inputs = self.images / np.float32(127.5) - 1
      found = encoder.load().run(inputs, batch_size=3).reshape(7, 16, 16, 3)
      expected = np.maximum(self.images / 127.5 - 1, 0)
      np.testing.assert_allclose(found, expected, atol=1e-6)

  def test_a_broken_graph_is_named(self):
    path = self.folder / 'broken.pb'
    path.write_bytes(b'\x0a\xff')
    encoder = dataclasses.replace(
      self.bank.encoders[0], name='mine', graph=str(path)
    )
    with self.assertRaisesRegex(ValueError, 'mine: .*broken.pb'):
      self.extract(encoder)


class LayersTest(absltest.TestCase):
  def test_layers_are_the_activations_in_order(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder)
    encoder = banks.load(str(folder)).encoders[0]
    tensors = features.activations(encoder)
    self.assertLen(tensors, 2)
    shapes = []
    for cut in features.layers(encoder, 9):
      inputs = testing.images(1, 16) / np.float32(255)
      shapes.append(cut.load().run(inputs).shape)
    self.assertEqual(shapes, [(1, 16, 16, 6), (1, 8, 8, 4)])

  def test_fewer_layers_are_spread_and_end_in_the_representation(self):
    encoder = banks.load('mini').encoders[0]
    every = features.activations(encoder)
    chosen = [e.representation_tensor for e in features.layers(encoder, 4)]
    self.assertLen(every, 12)
    self.assertEqual([every.index(name) for name in chosen], [0, 4, 7, 11])


if __name__ == '__main__':
  absltest.main()
