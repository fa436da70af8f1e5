"""Tests of the form in which banks are stored."""

from concurrent import futures
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

from taskonomy_models import bank as banks
from taskonomy_models import tasks
from taskonomy_models.encoder import Networks
from tests import bank_testing, testing
from toolkit_basics import files
from transferability.oracle import Oracle


class EmbeddedTest(parameterized.TestCase):
  @parameterized.parameters(*sorted({*banks.NAMED} - {'task_bank'}))
  def test_a_bank_of_the_package_is_whole_and_was_measured(self, name):
    bank = banks.load(name)
    self.assertEqual(bank.name, name)
    self.assertEqual(bank.names, tuple(task.name for task in tasks.TASKS))
    oracle = Oracle.load(bank.oracle, bank.oracle_affinity)
    targets = tuple(task.name for task in tasks.TARGETS)
    self.assertEqual(oracle.targets, targets)
    self.assertSameElements(oracle.sources, bank.names)
    self.assertIsNotNone(bank.oracle_losses)
    bank.digests()  # Compares the graphs with the description.


class LoadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.content = bank_testing.write(self.folder)

  def _load(self, content=None):
    if content is not None:
      bank_testing.write_json(self.folder, content)
    return banks.load(str(self.folder))

  def _refuses(self, message):
    """The message also names the file."""
    with self.assertRaisesRegex(banks.BankError, message) as caught:
      self._load(self.content)
    self.assertIn(str(self.folder), str(caught.exception))
    self.assertNotIn('\n', str(caught.exception))

  def test_bank_holds_what_the_file_says(self):
    bank = self._load()
    self.assertEqual(bank.name, 'small')
    self.assertEqual(bank.names, bank_testing.NAMES)
    self.assertEqual(bank.groups, bank_testing.GROUPS)
    self.assertEqual(bank.oracle, str(self.folder / 'oracle.csv'))
    self.assertIsNone(bank.image_size)
    beta = bank.encoders[1]
    self.assertEqual(beta.graph, str(self.folder / 'beta.pb'))
    self.assertEqual(beta.label, 'Beta')
    self.assertEqual(beta.input_tensor, 'input:0')
    self.assertEqual(beta.representation_tensor, 'representation:0')
    self.assertEqual(beta.preprocessing, 'clip(0.1, 0.9) | range(-1, 1)')
    self.assertIsNone(beta.sha256)

  def test_labels_that_cannot_be_shown_are_refused_before_anything_runs(self):
    for key, text, part in (
      ('label', 'a' * 10_000, '10000 characters; 200'),
      ('label', 'caf\udce9', r"'\\udce9' stands for nothing"),
      ('group', '2d\ud800', r"'\\ud800' stands for nothing"),
    ):
      content = bank_testing.write(self.folder)
      content['encoders'][1][key] = text
      bank_testing.write_json(self.folder, content)
      with self.assertRaisesRegex(
        ValueError, f'bank.json: encoder 2: beta: its {key}.*{part}'
      ):
        banks.load(str(self.folder))

  def test_label_group_and_oracle_may_be_missing(self):
    del self.content['oracle']
    for entry in self.content['encoders']:
      del entry['label'], entry['group']
    bank = self._load(self.content)
    self.assertIsNone(bank.oracle)
    self.assertEmpty(bank.groups)
    self.assertEqual([e.label for e in bank.encoders], list(bank.names))

  def test_groups_are_those_of_the_encoders_that_have_one(self):
    del self.content['encoders'][2]['group']
    known = {n: g for n, g in bank_testing.GROUPS.items() if n != 'gamma'}
    self.assertEqual(self._load(self.content).groups, known)

  @parameterized.parameters('name', 'graph', 'input', 'representation')
  def test_required_key_may_not_be_missing(self, key):
    del self.content['encoders'][1][key]
    self._refuses(f"encoder 2: .*'{key}'.* missing")

  @parameterized.parameters('name', 'encoders')
  def test_bank_needs_a_name_and_encoders(self, key):
    del self.content[key]
    self._refuses(f"'{key}'.* missing")

  def test_unknown_key_of_an_encoder_is_refused(self):
    self.content['encoders'][0]['preprocesing'] = 'range(-1, 1)'
    self._refuses("encoder 1: unknown .*'preprocesing'.*preprocessing")

  def test_unknown_key_of_the_bank_is_refused(self):
    self.content['orcale'] = 'oracle.csv'
    self._refuses("unknown .*'orcale'.*oracle")

  @parameterized.parameters('alpha', 'Alpha')
  def test_name_may_not_be_used_twice(self, name):
    self.content['encoders'][1]['name'] = name
    self._refuses('more than once.*alpha')

  @parameterized.parameters('', '.', '..', 'a/b', 'a b', '-a', 'x' * 129, 7)
  def test_name_must_be_that_of_a_file(self, name):
    self.content['encoders'][3]['name'] = name
    self._refuses('encoder 4')

  def test_graph_file_must_be_there(self):
    os.remove(self.folder / 'gamma.pb')
    self._refuses('encoder 3: .*gamma.pb')

  @parameterized.parameters('graph', 'oracle')
  def test_files_outside_the_folder_are_refused(self, key):
    outside = self.create_tempfile('outside.pb').full_path
    relative = os.path.relpath(outside, self.folder)
    for path in (outside, relative):
      with self.subTest(path):
        where = self.content['encoders'][0] if key == 'graph' else self.content
        where[key] = path
        self._refuses('outside the bank')

  def test_file_is_no_folder_of_a_bank(self):
    file = self.create_tempfile('a').full_path
    with self.assertRaisesRegex(banks.BankError, 'is no folder.*`output`'):
      banks.Folder(file).check_free('a')

  def test_link_that_leads_to_itself_is_no_file(self):
    os.remove(self.folder / 'alpha.pb')
    os.symlink('alpha.pb', self.folder / 'alpha.pb')
    self._refuses('encoder 1: there is no file .*alpha.pb')

  def test_link_out_of_the_folder_is_refused(self):
    outside = self.create_tempfile('outside.pb').full_path
    os.remove(self.folder / 'alpha.pb')
    os.symlink(outside, self.folder / 'alpha.pb')
    self._refuses('outside the bank')

  def test_oracle_that_is_named_must_be_there(self):
    os.remove(self.folder / 'oracle.csv')
    self._refuses('oracle.csv')

  @parameterized.parameters('', '{', '[1,', '{"name": "a"} x', '\x00')
  def test_what_is_not_json_is_refused(self, text):
    self.content = text
    self._refuses('not JSON')

  def test_what_is_not_text_is_refused(self):
    (self.folder / 'bank.json').write_bytes(b'\xff\xfe\x00')
    with self.assertRaisesRegex(banks.BankError, 'not JSON'):
      self._load()

  @parameterized.parameters(
    ([],), (None,), ('bank',), ({'name': 'a', 'encoders': {}},)
  )
  def test_json_of_another_form_is_refused(self, content):
    self.content = json.dumps(content)
    self._refuses('needed')

  @parameterized.parameters(0, -1, 2.5, True, '64')
  def test_image_size_must_be_a_side(self, size):
    self.content['image_size'] = size
    self._refuses('image_size')

  def test_image_size_is_kept(self):
    self.content['image_size'] = 48
    self.assertEqual(self._load(self.content).image_size, 48)

  def test_folder_without_a_bank_is_refused_with_the_choices(self):
    empty = self.create_tempdir().full_path
    for folder in (empty, empty + '/missing'):
      with self.assertRaisesRegex(
        FileNotFoundError, f'{folder}.*bank.json.*mini.*task_bank'
      ):
        banks.load(folder)

  def test_task_bank_that_is_absent_says_where_to_put_it(self):
    cache = self.create_tempdir().full_path
    with mock.patch.object(banks.pooch, 'os_cache', return_value=cache):
      with self.assertRaisesRegex(FileNotFoundError, f'{cache}/task_bank.*Put'):
        banks.load('task_bank')

  def test_task_bank_is_found_in_the_cache(self):
    cache = self.folder.parent
    target = self.folder.rename(cache / 'task_bank')
    self.addCleanup(target.rename, self.folder)
    with mock.patch.object(banks.pooch, 'os_cache', return_value=str(cache)):
      self.assertEqual(banks.load('task_bank').names, bank_testing.NAMES)


class DigestsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.content = bank_testing.write(self.folder)

  def test_digests_are_those_of_all_files(self):
    def digest(name):
      return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    self.assertEqual(
      banks.load(str(self.folder)).digests(),
      {
        'bank': digest('bank.json'),
        'graphs': {name: digest(f'{name}.pb') for name in bank_testing.NAMES},
        'oracle': digest('oracle.csv'),
        'oracle_affinity': None,
        'oracle_losses': None,
      },
    )

  def test_bank_without_an_oracle_has_no_digest_of_it(self):
    del self.content['oracle']
    bank_testing.write_json(self.folder, self.content)
    self.assertIsNone(banks.load(str(self.folder)).digests()['oracle'])


class FolderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.path)
    self.bank = banks.load(str(self.path))
    self.folder = banks.Folder(self.path)

  def _new(self, name='new', **fields):
    old = self.bank.encoders[0]
    return dataclasses.replace(old, name=name, graph='', **fields)

  def test_described_bank_loads_as_it_was(self):
    self.assertEqual(self.folder.describe(), self.bank)
    self.assertEqual(banks.load(str(self.path)), self.bank)
    changed = self.folder.describe(order=[self.bank.names[1]], image_size=16)
    self.assertEqual(changed.image_size, 16)
    self.assertEqual(changed.names[:2], self.bank.names[1::-1])

  def test_added_network_comes_last_with_its_digest(self):
    graph = testing.tiny_graph_def()
    encoder = self.folder.add(self._new(group=None), graph)
    self.assertEqual(encoder.sha256, encoder.load().digest)
    bank = banks.load(str(self.path))
    self.assertEqual(bank.encoders, (*self.bank.encoders, encoder))

  def test_a_graph_may_come_as_bytes_and_in_parts(self):
    graph = testing.tiny_graph_def()
    content = graph.SerializeToString(deterministic=True)
    added = [
      self.folder.add(self._new(), given).sha256
      for given in (graph, content, [content[:100], content[100:]])
    ]
    self.assertEqual(added, [files.sha256(content)] * 3)

  def test_network_is_replaced_in_its_place_if_that_is_asked_for(self):
    name = self.bank.names[0]
    graph = testing.tiny_graph_def(seed=5)
    with self.assertRaisesRegex(banks.BankError, 'already'):
      self.folder.add(self._new(name), graph, overwrite=False)
    self.folder.add(self._new(name, label='Other'), graph)
    bank = banks.load(str(self.path))
    self.assertEqual(bank.names, self.bank.names)
    self.assertEqual(bank.encoders[0].label, 'Other')

  def test_what_a_network_was_made_from_is_kept_beside_it(self):
    graph = testing.tiny_graph_def()
    self.folder.add(self._new(), graph, {'source': 'a.onnx', 'version': 1})
    self.assertTrue(self.folder.has('new', {'source': 'a.onnx'}))
    self.assertFalse(self.folder.has('new', {'source': 'b.onnx'}))
    self.assertFalse(self.folder.has(self.bank.names[0], {}))
    self.folder.graph('new').write_bytes(b'changed')
    self.assertFalse(self.folder.has('new', {'source': 'a.onnx'}))
    (self.path / 'sources.json').write_text('[')
    with self.assertRaisesRegex(banks.BankError, 'sources.json is damaged'):
      self.folder.provenance()

  def test_bank_can_be_moved(self):
    self.folder.describe()
    moved = self.path.rename(self.path.with_name('moved'))
    self.addCleanup(moved.rename, self.path)
    bank = banks.load(str(moved))
    self.assertEqual(bank.encoders[0].graph, str(moved / 'alpha.pb'))

  def test_nothing_else_is_left_in_the_folder(self):
    before = sorted(os.listdir(self.path))
    self.folder.describe()
    self.assertEqual(sorted(os.listdir(self.path)), before)

  def test_graph_without_a_description_does_not_replace_another(self):
    before = {p: p.read_bytes() for p in self.path.iterdir()}
    graph = testing.tiny_graph_def(seed=5)
    full = mock.patch.object(
      self.folder, '_content', side_effect=OSError(errno.ENOSPC, 'full')
    )
    for name in (self.bank.names[0], 'new'):
      with full, self.assertRaisesRegex(OSError, 'full'):
        self.folder.add(self._new(name), graph)
    after = {p: p.read_bytes() for p in self.path.iterdir()}
    self.assertEqual(after, before)

  def test_folder_that_cannot_be_made_is_refused_before_all_else(self):
    path = os.path.join(self.create_tempfile().full_path, 'inside')
    with self.assertRaises(NotADirectoryError) as caught:
      banks.Folder(path).check_free('new')
    self.assertEqual(caught.exception.filename, path)

  def test_networks_may_be_added_at_the_same_time(self):
    names = [f'n{i}' for i in range(8)]
    graph = testing.tiny_graph_def()
    with futures.ThreadPoolExecutor(4) as pool:
      list(pool.map(lambda n: self.folder.add(self._new(n), graph), names))
    self.assertContainsSubset(names, banks.load(str(self.path)).names)


class NetworksTest(absltest.TestCase):
  def test_network_is_loaded_once_while_there_is_room(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder)
    bank = banks.load(str(folder))
    encoder = bank.encoders[0]
    network = bank.network(encoder.name)
    self.assertIs(bank.network(encoder.name), network)
    self.assertIs(dataclasses.replace(bank).network(encoder.name), network)
    bank.networks.drop(encoder)
    self.assertIsNot(bank.network(encoder.name), network)
    small = Networks(max_bytes=10)
    self.assertIsNot(small.get(encoder), small.get(encoder))
    with self.assertRaisesRegex(banks.BankError, "No encoder 'x'; there are"):
      bank.network('x')


if __name__ == '__main__':
  absltest.main()
