"""Tests of encoder entries."""

import dataclasses
import hashlib

from absl.testing import absltest

from taskonomy_models.encoder import Encoder


class EncoderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    content = b'not really a graph'
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
    self.assertEqual(self.encoder.digest(), self.sha256)

  def test_known_digest_is_checked(self):
    known = dataclasses.replace(self.encoder, sha256=self.sha256)
    self.assertEqual(known.digest(), self.sha256)
    with open(known.graph, 'ab') as file:
      file.write(b'!')
    with self.assertRaisesRegex(ValueError, f'^a: .*{known.graph}.*changed'):
      known.digest()

  def test_digest_of_a_missing_file_is_an_error_of_the_system(self):
    with self.assertRaises(FileNotFoundError):
      dataclasses.replace(self.encoder, graph='/no/such/file').digest()


if __name__ == '__main__':
  absltest.main()
