"""Tests of the shelf that is searched by descriptors."""

from unittest import mock

from absl.testing import absltest
import numpy as np

from transferability import hub as hub_lib
from transferability.descriptors import Descriptor, Sketcher
from transferability.hub import Hub, HubError

_SKETCHER = Sketcher(1024)


def _vectors(count, seed=0):
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(count // 5 + 1, 24))
  vectors = centres[np.arange(count) // 5] + 0.5 * rng.normal(size=(count, 24))
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _descriptors(vectors):
  rng = np.random.default_rng(1)
  planes = rng.normal(size=(vectors.shape[1], 64 * _SKETCHER.words))
  codes = np.packbits(vectors @ planes > 0, axis=1, bitorder='little')
  return [Descriptor(1.0, code) for code in codes.view('<u8')]


class HubTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.create_tempdir().full_path
    self.vectors = _vectors(60)
    self.descriptors = _descriptors(self.vectors)
    self.names = [f'n{i}' for i in range(60)]

  def filled(self, count=60):
    hub = Hub(self.folder, _SKETCHER)
    self.enter_context(hub)
    for name, each in zip(self.names[:count], self.descriptors, strict=False):
      hub.add(name, each)
    return hub

  def exact(self, query):
    known = dict(zip(self.names, self.vectors @ query, strict=True))
    return lambda names: [known[name] for name in names]

  def test_neighbours_are_those_of_the_codes(self):
    hub = self.filled()
    found = hub.neighbours(self.descriptors[7], 5)
    expected = [self.descriptors[7].affinity(d) for d in self.descriptors]
    order = np.argsort(-np.array(expected), kind='stable')[:5]
    self.assertEqual([name for name, _ in found], [f'n{i}' for i in order])
    self.assertEqual(found[0], ('n7', 1.0))

  def test_several_that_come_together_stand_behind_the_others(self):
    hub = self.filled(3)
    added = self.descriptors[3:6]
    codes = np.stack([each.code for each in added])
    hub.add_all(self.names[3:6], [each.norm for each in added], codes)
    for name, each in zip(self.names[:6], self.descriptors, strict=False):
      np.testing.assert_array_equal(hub.descriptor(name).code, each.code)
      self.assertEqual(hub.descriptor(name).norm, each.norm)

  def test_exact_affinities_decide_where_they_are_known(self):
    hub = self.filled()
    query = self.vectors[7]
    found = hub.neighbours(self.descriptors[7], 5, self.exact(query))
    order = np.argsort(-(self.vectors @ query))[:5]
    self.assertEqual([name for name, _ in found], [f'n{i}' for i in order])
    np.testing.assert_allclose(
      [value for _, value in found], (self.vectors @ query)[order]
    )

  def test_what_has_no_full_point_keeps_its_estimate(self):
    hub = self.filled(6)
    plain = hub.neighbours(self.descriptors[0], 6)
    unknown = hub.neighbours(
      self.descriptors[0], 6, lambda names: [np.nan] * len(names)
    )
    self.assertEqual(plain, unknown)

  def test_blocks_and_candidates_do_not_change_what_is_found(self):
    hub = self.filled()
    expected = hub.neighbours(self.descriptors[3], 4)
    with (
      mock.patch.object(hub_lib, '_BLOCK', 7),
      mock.patch.object(hub_lib, '_CANDIDATES', 20),
    ):
      self.assertEqual(hub.neighbours(self.descriptors[3], 4), expected)

  def test_a_hub_that_is_opened_again_knows_all(self):
    self.filled(10).close()
    with Hub(self.folder) as hub:
      self.assertLen(hub, 10)
      self.assertIn('n9', hub)
      np.testing.assert_array_equal(
        hub.descriptor('n9').code, self.descriptors[9].code
      )

  def test_to_add_a_network_rewrites_nothing_of_the_others(self):
    hub = self.filled(3)
    before = (hub.folder / 'first.u8').read_bytes()
    hub.add('n3', self.descriptors[3])
    self.assertStartsWith((hub.folder / 'first.u8').read_bytes(), before)

  def assertStartsWith(self, content, start):
    self.assertEqual(content[: len(start)], start)

  def test_what_a_killed_process_left_is_written_over(self):
    hub = self.filled(2)
    with open(hub.folder / 'first.u8', 'ab') as file:
      file.write(b'left behind')
    hub.add('n2', self.descriptors[2])
    np.testing.assert_array_equal(
      hub.descriptor('n2').code, self.descriptors[2].code
    )

  def test_removed_networks_are_not_found(self):
    hub = self.filled(5)
    hub.remove('n4')
    hub.remove('n1')
    found = hub.neighbours(self.descriptors[1], 5)
    self.assertCountEqual([name for name, _ in found], ['n0', 'n2', 'n3'])
    self.assertLen(hub, 3)
    hub.add('n1', self.descriptors[1])
    self.assertEqual(hub.neighbours(self.descriptors[1], 1)[0][0], 'n1')

  def test_removed_networks_take_no_place_of_a_candidate(self):
    hub = self.filled(9)
    for name in ('n5', 'n6', 'n7', 'n8'):
      hub.remove(name)
    with mock.patch.object(hub_lib, '_CANDIDATES', 1):
      found = hub.neighbours(self.descriptors[2], 2)
    self.assertEqual(found, hub.neighbours(self.descriptors[2], 2))
    self.assertEqual(found[0], ('n2', 1.0))

  def test_an_empty_hub_has_no_neighbours(self):
    self.assertEqual(self.filled(0).neighbours(self.descriptors[0]), [])

  def test_wrong_use_is_a_clear_error(self):
    hub = self.filled(1)
    with self.assertRaisesRegex(HubError, "'n0'.* already"):
      hub.add('n0', self.descriptors[1])
    np.testing.assert_array_equal(
      hub.descriptor('n0').code, self.descriptors[0].code
    )
    with self.assertRaisesRegex(HubError, 'needs 127 words'):
      hub.add('n1', Descriptor(1.0, np.zeros(3, np.uint64)))
    for use in (hub.remove, hub.descriptor):
      with self.assertRaisesRegex(HubError, "no network 'lost'"):
        use('lost')
    with self.assertRaisesRegex(HubError, 'another folder'):
      Hub(self.folder, Sketcher(2048))


if __name__ == '__main__':
  absltest.main()
