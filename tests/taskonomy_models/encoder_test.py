"""Tests of encoder entries."""

import dataclasses
import hashlib

from absl.testing import absltest
import numpy as np

from taskonomy_models.encoder import Encoder
from tests import testing


class EncoderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    content = testing.tiny_graph_def().SerializeToString()
    self.sha256 = hashlib.sha256(content).hexdigest()
    path = self.create_tempfile('a.pb', content, mode='wb').full_path
    self.encoder = Encoder(
      name='a',
      graph=path,
      input_tensor='input:0',
      representation_tensor='representation:0',
      preprocessing='range(-1, 1)',
      label='A',
    )

  def test_digest_is_that_of_the_file(self):
    network = self.encoder.load()
    self.assertEqual(network.digest, self.sha256)
    self.assertEqual(network.representation_tensor, 'representation:0')

  def test_known_digest_is_checked(self):
    known = dataclasses.replace(self.encoder, sha256=self.sha256)
    self.assertEqual(known.load().digest, self.sha256)
    other = testing.tiny_graph_def(seed=1).SerializeToString()
    with open(known.graph, 'wb') as file:
      file.write(other)
    with self.assertRaisesRegex(ValueError, f'^a: .*{known.graph}.*changed'):
      known.load()

  def test_graph_may_be_in_memory(self):
    graph = testing.tiny_graph_def()
    encoder = dataclasses.replace(self.encoder, graph=graph)
    hash(encoder)
    images = np.zeros((2, 16, 16, 3), np.float32)
    self.assertEqual(encoder.load().run(images).shape, (2, 8, 8, 4))

  def test_layers_have_their_channels_last_whatever_the_network_wants(self):
    first = dataclasses.replace(
      self.encoder, preprocessing='range(0, 1) | channels_first'
    )
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(
      first.channels_last(values), values.transpose(0, 2, 3, 1)
    )
    self.assertEqual(first.channels_last(values[:, 0, 0]).shape, (2, 5))
    self.assertIs(self.encoder.channels_last(values), values)

  def test_digest_of_a_missing_file_is_an_error_of_the_system(self):
    with self.assertRaises(FileNotFoundError):
      dataclasses.replace(self.encoder, graph='/no/such/file').load()


if __name__ == '__main__':
  absltest.main()
