"""Tests of decoding weights from shards, whole and damaged."""

import fractions
import os
import pathlib

from absl.testing import absltest, parameterized
import numpy as np

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.tfjs import files as tfjs_files
from frozen_graphs.formats.tfjs import weights as tfjs_weights
from tests import tfjs_testing

_GRAPH = {'node': []}


def _read(path, **options) -> dict[str, np.ndarray]:
  model = tfjs_files.read(path, tfjs_files.GRAPH_MODEL)
  return tfjs_weights.decode(model, **options)


class WeightsTestCase(parameterized.TestCase):
  def write(self, weights=None, **options) -> pathlib.Path:
    folder = pathlib.Path(self.create_tempdir().full_path)
    if weights is None:
      weights = {
        'first': np.arange(6, dtype=np.float32).reshape(2, 3),
        'second': np.arange(4, dtype=np.int32),
      }
    return tfjs_testing.write(folder, _GRAPH, weights, **options)

  def entry(self, path: pathlib.Path, **changes) -> None:
    """Changes the first weight of a manifest."""
    tfjs_testing.change(
      path, lambda c: c['weightsManifest'][0]['weights'][0].update(changes)
    )

  def refuses(self, path: pathlib.Path, *fragments: str, **options) -> None:
    with self.assertRaises(GraphError) as context:
      _read(path, **options)
    for fragment in (str(path), *fragments):
      self.assertIn(fragment, str(context.exception))
    self.assertNotIn('\n', str(context.exception))


class WeightsTest(WeightsTestCase):
  @parameterized.parameters(1, 3, 7, 16, 10**6)
  def test_shards_may_be_cut_anywhere(self, shard_bytes):
    rng = np.random.default_rng(0)
    weights = {
      'float': rng.normal(size=(2, 3)).astype(np.float32),
      'scalar': np.float32(rng.normal()).reshape(()),
      'int': rng.integers(-(2**31), 2**31, 5).astype(np.int32),
      'bool': rng.integers(0, 2, 7).astype(bool),
      'nothing': np.zeros((0, 4), np.float32),
      'byte': np.array([0, 255], np.uint8),
      'complex': np.array([1 + 2j], np.complex64),
      'text': np.array([b'', b'two', b'\xff\x00'], object),
      'last': np.array([1.5], np.float32),
    }
    actual = _read(self.write(weights, shard_bytes=shard_bytes))
    self.assertEqual(list(actual), list(weights))
    for name, value in weights.items():
      self.assertEqual(actual[name].dtype, value.dtype, name)
      np.testing.assert_array_equal(actual[name], value, name)

  def test_half_precision_is_widened(self):
    value = np.array([1.0, -0.1, 65504, 6e-8], np.float32)
    actual = _read(self.write({'w': value}, storage={'w': 'float16'}))['w']
    self.assertEqual(actual.dtype, np.float32)
    np.testing.assert_array_equal(actual, value.astype(np.float16))

  @parameterized.product(storage=('uint8', 'uint16'), seed=tuple(range(8)))
  def test_a_quantized_weight_is_within_half_a_step(self, storage, seed):
    rng = np.random.default_rng(seed)
    value = rng.normal(rng.normal() * 10, 10.0 ** rng.integers(-6, 6), (3, 50))
    value = value.astype(np.float32)
    actual = _read(self.write({'w': value}, storage={'w': storage}))['w']
    step = np.ptp(value.astype(np.float64)) / np.iinfo(storage).max
    rounding = np.abs(value).max() * 2.0**-23
    self.assertLessEqual(np.abs(actual - value).max(), step / 2 + rounding)
    self.assertEqual(actual.min(), value.min())

  @parameterized.parameters(
    ('uint8', 0.1, -12.8), ('uint8', 3e-7, 1e4), ('uint16', 1 / 3, -1e-3)
  )
  def test_every_number_is_scaled_and_shifted_before_it_is_rounded(
    self, storage, scale, minimum
  ):
    count = np.iinfo(storage).max + 1
    path = self.write({'w': np.arange(count, dtype=storage)})
    self.entry(
      path,
      dtype='float32',
      quantization={'dtype': storage, 'scale': scale, 'min': minimum},
    )
    actual = _read(path)['w']
    exact = fractions.Fraction(scale), fractions.Fraction(minimum)
    for number in range(0, count, max(1, count // 512)):
      expected = float(number * exact[0] + exact[1])
      self.assertAlmostEqual(
        actual[number], np.float32(expected), delta=2e-7 * abs(expected)
      )

  def test_integers_are_rounded_as_javascript_rounds(self):
    path = self.write({'w': np.arange(6, dtype=np.uint8)})
    self.entry(
      path,
      dtype='int32',
      quantization={'dtype': 'uint8', 'scale': 0.5, 'min': -1.0},
    )
    # Of -1, -0.5, 0, 0.5, 1, 1.5; halves go up.
    np.testing.assert_array_equal(_read(path)['w'], [-1, 0, 0, 1, 1, 2])

  def test_groups_have_shards_of_their_own(self):
    path = self.write()
    other = np.array([7], np.int32)
    (path.parent / 'other.bin').write_bytes(other.tobytes())
    entry, _ = tfjs_testing.stored('third', other)
    group = {'paths': ['other.bin'], 'weights': [entry]}
    tfjs_testing.change(path, lambda c: c['weightsManifest'].append(group))
    actual = _read(path)
    self.assertEqual(list(actual), ['first', 'second', 'third'])
    np.testing.assert_array_equal(actual['third'], other)

  def test_a_model_without_weights_has_none(self):
    path = self.write()
    tfjs_testing.change(path, lambda c: c.pop('weightsManifest'))
    self.assertEqual(_read(path), {})


class DamageTest(WeightsTestCase):
  def test_missing_shard(self):
    path = self.write(shard_bytes=16)
    (path.parent / 'shard1of3.bin').unlink()
    self.refuses(path, "'shard1of3.bin'", 'missing')

  @parameterized.parameters('', 'text')
  def test_truncated_shard_names_the_weight_that_is_cut(self, text):
    weights = {'first': np.ones(4, np.float32), 'cut': np.ones(3, np.int32)}
    if text:
      weights['cut'] = np.array([b'abc', b'def'], object)
    path = self.write(weights)
    shard = path.parent / 'shard0of1.bin'
    shard.write_bytes(shard.read_bytes()[:-1])
    self.refuses(path, 'shard0of1.bin', "'cut'", 'cut off')

  def test_numbers_that_are_cut_behind_text(self):
    weights = {
      'text': np.array([b'abcdefgh'], object),
      'cut': np.ones(3, np.float32),
    }
    path = self.write(weights)
    shard = path.parent / 'shard0of1.bin'
    for count in (1, 4):
      shard.write_bytes(shard.read_bytes()[:-count])
      self.refuses(path, 'shard0of1.bin', "'cut'", 'cut off')

  def test_shards_that_hold_too_much_are_of_another_model(self):
    path = self.write()
    with open(path.parent / 'shard0of1.bin', 'ab') as file:
      file.write(b'\0')
    self.refuses(path, 'shard0of1.bin', '41 bytes', '40')

  def test_text_that_is_followed_by_too_much(self):
    path = self.write({'text': np.array([b'abc'], object)})
    with open(path.parent / 'shard0of1.bin', 'ab') as file:
      file.write(b'\0')
    self.refuses(path, 'shard0of1.bin', '8 bytes', '7')

  @parameterized.parameters(
    '../secret.bin', '/etc/passwd', 'a/../../secret.bin'
  )
  def test_shard_outside_the_folder_is_not_touched(self, name):
    path = self.write()
    (path.parent.parent / 'secret.bin').write_bytes(b'\0' * 40)
    tfjs_testing.change(
      path, lambda c: c['weightsManifest'][0].update(paths=[name])
    )
    self.refuses(path, repr(name), 'outside')

  def test_shard_that_links_outside_the_folder_is_not_touched(self):
    path = self.write()
    secret = path.parent.parent / 'linked.bin'
    secret.write_bytes(b'\0' * 40)
    shard = path.parent / 'shard0of1.bin'
    shard.unlink()
    os.symlink(secret, shard)
    self.refuses(path, "'shard0of1.bin'", 'outside')

  @parameterized.parameters('', 'a\0b', 3, None)
  def test_path_of_a_shard_that_is_none(self, name):
    path = self.write()
    tfjs_testing.change(
      path, lambda c: c['weightsManifest'][0].update(paths=[name])
    )
    self.refuses(path, 'is not the path of a shard')

  def test_absurd_size_is_refused_before_anything_is_read(self):
    path = self.write()
    self.entry(path, shape=[2**20, 2**20, 2**20])
    os.truncate(path.parent / 'shard0of1.bin', 2**33)  # Sparse.
    self.refuses(path, "'first'", str(2**62 + 16))

  def test_a_huge_shard_of_text_is_refused_before_it_is_read(self):
    path = self.write({'text': np.array([b'abc'], object)})
    os.truncate(path.parent / 'shard0of1.bin', 2**33)  # Sparse.
    self.refuses(path, 'shard0of1.bin', str(2**33))

  def test_bytes_of_all_decoded_weights_are_bounded(self):
    path = self.write({'w': np.zeros(100, np.uint8)})
    self.entry(
      path,
      dtype='float32',
      quantization={'dtype': 'uint8', 'scale': 1.0, 'min': 0.0},
    )
    self.assertLen(_read(path, max_bytes=400)['w'], 100)
    self.refuses(path, "'w'", '400 bytes', '399', max_bytes=399)

  @parameterized.parameters(
    ([2, -3],), ([2.0, 3],), ([True, 6],), (6,), (None,), ([1] * 33,)
  )
  def test_shape_that_is_none(self, shape):
    path = self.write()
    self.entry(path, shape=shape)
    self.refuses(path, "'first'", 'shape')

  def test_weight_that_is_there_twice(self):
    path = self.write()
    tfjs_testing.change(
      path,
      lambda c: c['weightsManifest'].append(c['weightsManifest'][0]),
    )
    self.refuses(path, "'first'", 'twice')

  @parameterized.parameters(
    ('float64',), ('int8',), (None,), (4,), (['float32'],), ({},)
  )
  def test_type_that_is_not_known(self, kind):
    path = self.write()
    self.entry(path, dtype=kind)
    self.refuses(path, "'first'", repr(kind))

  @parameterized.parameters(
    ('float32', {'dtype': 'int4', 'scale': 1.0, 'min': 0.0}, 'int4'),
    ('float32', {'scale': 1.0, 'min': 0.0}, 'scale'),
    ('float32', 'uint8', 'uint8'),
    ('int32', {'dtype': 'float16'}, 'float16'),
    ('bool', {'dtype': 'uint8', 'scale': 1.0, 'min': 0.0}, 'bool'),
    ('float32', {'dtype': 'uint8', 'scale': 1.0}, 'min None'),
    ('float32', {'dtype': 'uint8', 'scale': '1', 'min': 0.0}, "scale '1'"),
    ('float32', {'dtype': 'uint8', 'scale': float('nan'), 'min': 0}, 'nan'),
    ('float32', {'dtype': 'uint8', 'scale': float('inf'), 'min': 0}, 'inf'),
    ('float32', {'dtype': 'uint8', 'scale': True, 'min': 0}, 'True'),
  )
  def test_quantization_that_is_not_known(self, kind, quantization, fragment):
    path = self.write()
    self.entry(path, dtype=kind, quantization=quantization)
    self.refuses(path, "'first'", fragment)

  @parameterized.parameters(
    ({},), ([{'paths': []}],), ([[]],), ([{'paths': 'a', 'weights': []}],)
  )
  def test_manifest_that_is_none(self, manifest):
    path = self.write()
    tfjs_testing.change(path, lambda c: c.update(weightsManifest=manifest))
    self.refuses(path, 'weightsManifest')

  def test_weight_without_a_name(self):
    path = self.write()
    self.entry(path, name=None)
    self.refuses(path, 'no named weight')


if __name__ == '__main__':
  absltest.main()
