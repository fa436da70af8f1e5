"""Tests of one more network in the spaces of a run."""

import dataclasses
import json
import pathlib
import re
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import pytest

from experiments import insertion, pipeline, results, run_record
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder
from tests import bank_testing, testing
from tests.tracking_testing import silent
from toolkit_basics import files
from transferability import affinity as affinity_lib
from transferability import ranking_files

_TRANSFORMS = ('none', 'absolute+pooled')
_ZOO_SPACES = [
  f'{method}{transform}'
  for method in ('saliency', 'elrp')
  for transform in ('', '@absolute+pooled')
]


class InsertionTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.probe = pipeline.load_probe(
      self.bank, 'noise', track=silent, num_images=7, seed=3
    )
    self.run_ = self.folder / 'run'
    self.methods = pipeline.method_objects(['saliency', 'elrp'], 1e-3)

  def project(self, bank, output, **options):
    how = pipeline.Projection(self.methods, batch_size=4, **options)
    return pipeline.project(bank, self.probe, how, output, silent)

  def new(self, name='new', seed=9, size=16, channels=3, t='range(-1, 1)'):
    path = self.folder / f'{name}.pb'
    graph_def = testing.tiny_graph_def('tanh', seed, size, channels)
    path.write_bytes(graph_def.SerializeToString(deterministic=True))
    return Encoder(name, str(path), 'input:0', 'representation:0', t, name)

  def insert(self, encoder, **options):
    if not (self.run_ / 'run.json').exists():
      options = {'probe': {'seed': 3}, **options}
    return insertion.insert(self.run_, encoder, **options)

  def models(self):
    return {
      name: space.models
      for name, space in insertion.open_spaces(self.run_).items()
    }

  def assert_unchanged(self, before):
    """No file that was there is another one now, or gone."""
    after = bank_testing.tree_bytes(self.run_)
    self.assertEmpty([n for n in before if before[n] != after.get(n)])

  def assert_same_tree(self, before):
    self.assert_unchanged(before)
    self.assertEqual(set(bank_testing.tree_bytes(self.run_)), set(before))


class SpacesTest(InsertionTestCase):
  """Of spaces alone, without a run's record and tables."""

  def setUp(self):
    super().setUp()
    self.project(self.bank, self.run_)

  def test_new_point_is_what_projecting_all_together_gives(self):
    spaces = self.insert(self.new())
    bank = banks.Bank('five', (*self.bank.encoders, self.new()))
    together = self.project(bank, self.folder / 'together')
    for name, space in spaces.items():
      np.testing.assert_array_equal(
        space.affinity(bank.names), together[name].affinity(bank.names)
      )

  def test_no_file_of_another_model_is_touched(self):
    before = bank_testing.tree_bytes(self.run_)
    self.insert(self.new())
    self.assert_unchanged(before)
    insertion.remove(self.run_, 'new')
    self.assert_same_tree(before)

  def test_inserting_again_computes_nothing(self):
    self.insert(self.new())
    with mock.patch.object(pipeline, 'Explainer', side_effect=AssertionError):
      self.insert(self.new())

  def test_epsilon_and_batches_are_those_of_the_space(self):
    spaces = insertion.open_spaces(self.run_)
    how = insertion.projection(spaces)
    methods = {method.name: method for method in how.methods}
    self.assertEqual(set(methods), {'saliency', 'elrp'})
    self.assertEqual(methods['elrp'].epsilon, 1e-3)
    self.assertEqual(how.batch_size, 4)

  def test_placement_ranks_the_model_among_the_sources_of_each_target(self):
    space = self.insert(self.new())['elrp']
    header, *rows = insertion.placement(space, 'new')
    self.assertEqual(header, ('target', 'affinity', 'rank_of_new', 'of'))
    values = [row[1] for row in rows]
    self.assertEqual(values, sorted(values, reverse=True))
    self.assertEqual({row[0] for row in rows}, set(bank_testing.NAMES))
    for target, affinity, rank, count in rows:
      neighbours = space.neighbours(target)
      self.assertEqual(neighbours[rank - 1], ('new', affinity))
      self.assertEqual(count, 4)
    self.assertIn('rank_of_new', insertion.table(space, 'new'))

  def test_affinities_are_printed_as_numbers(self):
    rows = [('target', 'affinity'), ('a', 0.00012346), ('b', -0.0000321)]
    with mock.patch.object(insertion, 'placement', return_value=rows):
      _, *lines = insertion.table(None, 'new').splitlines()
    self.assertEqual(lines[0].split(), ['a', '0.0001235'])
    self.assertEqual(lines[1].split(), ['b', '-3.21e-05'])

  def test_one_space_alone_can_be_given(self):
    for folder in (self.run_ / 'model_space', self.run_):
      self.assertLen(insertion.open_spaces(folder), 2)
    self.assertEqual(
      list(insertion.open_spaces(self.run_ / 'model_space' / 'elrp')), ['elrp']
    )

  def test_other_images_are_refused_before_anything_is_written(self):
    before = bank_testing.tree_bytes(self.run_)
    with self.assertRaisesRegex(ValueError, 'made with other images'):
      self.insert(self.new(), probe={'seed': 4})
    self.assert_same_tree(before)

  def test_a_graph_of_another_size_gets_images_of_its_size(self):
    before = bank_testing.tree_bytes(self.run_)
    spaces = self.insert(self.new(size=12))
    for space in spaces.values():
      self.assertEqual(
        space.manifest('new')['preprocessing'],
        'resize(12) | range(-1, 1)',
      )
    self.assert_unchanged(before)

  def test_a_graph_that_does_not_fit_is_refused(self):
    before = bank_testing.tree_bytes(self.run_)
    with self.assertRaisesRegex(ValueError, 'bad: the graph takes inputs'):
      self.insert(self.new('bad', channels=1))
    self.assert_same_tree(before)

  def test_another_size_has_no_place_where_maps_stay_in_inputs(self):
    self.run_ = self.folder / 'released'
    bank = dataclasses.replace(self.bank, encoders=self.bank.encoders[:2])
    self.project(bank, self.run_, protocol='released_code')
    with self.assertRaisesRegex(ValueError, r'new: .*\(12, 12\).*\(16, 16\)'):
      self.insert(self.new(size=12))
    self.assertIn('new', self.insert(self.new())['elrp'].models)

  @parameterized.parameters('error', 'drop_image')
  def test_what_fails_on_the_way_leaves_everything_as_it_was(self, on_bad_map):
    before = bank_testing.tree_bytes(self.run_)
    explain, calls = pipeline.Explainer.explain, []

    def fail_at_last(explainer, images, **options):
      found = explain(explainer, images, **options)
      calls.append(len(images))
      for maps in found.maps.values():
        maps[1] = 0 if len(calls) == 1 else maps[1]
      if len(calls) == 2:
        raise ValueError('the last batch')
      return found

    with mock.patch.object(pipeline.Explainer, 'explain', fail_at_last):
      with self.assertRaisesRegex(ValueError, 'has no direction|last batch'):
        self.insert(self.new(), on_bad_map=on_bad_map)
    self.assert_same_tree(before)

  def test_another_network_of_a_name_that_is_taken_is_refused(self):
    before = bank_testing.tree_bytes(self.run_)
    with self.assertRaisesRegex(ValueError, "'alpha' was computed differently"):
      self.insert(self.new('alpha'))
    self.assert_same_tree(before)

  def test_folders_without_spaces_and_unknown_models_are_named(self):
    with self.assertRaisesRegex(FileNotFoundError, 'No model space in'):
      insertion.open_spaces(self.folder)
    with self.assertRaisesRegex(ValueError, "no model 'who'.*'alpha'"):
      insertion.remove(self.run_, 'who')


class RunTestCase(InsertionTestCase):
  """A run with its record and tables; figures only where it `draws`."""

  kind = 'comparison'
  draws = False
  options = {}
  flags = {
    'similarities': ['rsa'],
    'protocol': 'paper',
    'save_maps': True,
  }

  def setUp(self):
    super().setUp()
    if not self.draws:
      self.enter_context(mock.patch.object(results, 'visuals'))
    flags = {'probe': 'noise', 'num_images': 7, 'seed': 3, **self.flags}
    self.record = run_record.RunRecord(self.run_, flags, {})
    self.record.start()
    self.finish(self.bank, self.record)

  def finish(self, bank, record):
    spaces = self.project(bank, record.output, **self.options)
    results.finish(self.kind, record, bank, self.probe, spaces)

  def tables(self):
    """Returns all that a run holds, but spaces, times and pictures."""
    return {
      name: content
      for name, content in bank_testing.tree_bytes(self.run_).items()
      if name.split('/')[0] not in ('model_space', 'run.json', 'measured.json')
      and '/events.' not in name
    }

  def assert_same_tables(self, before):
    after = self.tables()
    self.assertEqual(set(after), set(before))
    self.assertEmpty([n for n in before if before[n] != after[n]])

  def page(self):
    text = (self.run_ / 'report.html').read_text(encoding='utf-8')
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.mark.slow
class DrawnRunTest(RunTestCase):
  draws = True
  options = {'save_maps': True, 'keep_representations': True}

  def test_tables_figures_and_page_have_the_new_network(self):
    before = self.tables()
    self.insert(self.new())
    names = (*bank_testing.NAMES, 'new')
    for method in ('saliency', 'elrp', 'rsa'):
      with self.subTest(method):
        matrix, found = affinity_lib.load_matrix(
          self.run_ / 'affinity' / f'{method}.csv'
        )
        self.assertEqual(found, names)
        self.assertTrue(np.isfinite(matrix).all())
        ranked = ranking_files.read(self.run_ / 'ranking' / f'{method}.csv')
        self.assertEqual(set(ranked), {*bank_testing.RANKING, 'new'})
        self.assertIn('new', ranked['alpha'])
        newick = (self.run_ / 'tree' / f'{method}.newick').read_text()
        self.assertIn('new:', newick)
    self.assertEqual(self.page()['names'], list(names))
    self.assertEqual(set(self.page()['relevant']), set(bank_testing.RANKING))
    after = self.tables()
    for name in before:
      is_drawn = name.startswith(('figures/maps', 'figures/tree', 'report'))
      if is_drawn or name.startswith(('affinity', 'distance', 'ranking')):
        self.assertNotEqual(after[name], before[name], name)
    with self.subTest('what the oracle does not know is not scored'):
      name = 'precision_recall.csv'
      self.assertEqual(after[name], before[name])
    with self.subTest('the run is finished'):
      self.assertTrue(run_record.RunRecord.of(self.run_).is_finished)
    with self.subTest('and all is as it was when the network has gone again'):
      self.assertEqual(insertion.remove(self.run_, 'new'), ['elrp', 'saliency'])
      self.assert_same_tables(before)
      self.assertTrue(run_record.RunRecord.of(self.run_).is_finished)


class RunTest(RunTestCase):
  options = {'save_maps': True, 'keep_representations': True}

  def test_a_network_of_the_bank_can_go_and_come_again(self):
    before = self.tables()
    insertion.remove(self.run_, 'gamma')
    _, names = affinity_lib.load_matrix(self.run_ / 'affinity' / 'elrp.csv')
    self.assertEqual(names, ('alpha', 'beta', 'delta'))
    self.assertFalse((self.run_ / 'maps' / 'elrp' / 'gamma.npy').exists())
    self.insert(self.bank.encoders[2])
    self.assert_same_tables(before)

  def test_the_last_two_networks_stay(self):
    insertion.remove(self.run_, 'alpha')
    insertion.remove(self.run_, 'gamma')
    before = bank_testing.tree_bytes(self.run_)
    with self.assertRaisesRegex(ValueError, 'would have 1 network left'):
      insertion.remove(self.run_, 'delta')
    self.assert_same_tree(before)

  def test_a_network_without_a_place_in_the_oracle_leaves_no_old_scores(self):
    self.insert(self.new())
    self.insert(self.new('newer', seed=11))
    for name in bank_testing.NAMES:
      insertion.remove(self.run_, name)
    self.assertFalse((self.run_ / 'summary.csv').exists())
    _, names = affinity_lib.load_matrix(self.run_ / 'affinity' / 'elrp.csv')
    self.assertEqual(names, ('new', 'newer'))

  def test_one_space_of_a_run_is_changed_without_its_tables(self):
    before = self.tables()
    insertion.insert(self.run_ / 'model_space' / 'elrp', self.new())
    self.assert_same_tables(before)
    self.assertIn('new', self.models()['elrp'])
    self.assertNotIn('new', self.models()['saliency'])

  def test_what_fails_leaves_the_run_as_it_was(self):
    before = bank_testing.tree_bytes(self.run_)
    with mock.patch.object(
      pipeline.MapFile, 'finish', side_effect=OSError('disk full')
    ):
      with self.assertRaisesRegex(OSError, 'disk full'):
        self.insert(self.new())
    self.assert_same_tree(before)

  @parameterized.parameters(
    (MemoryError(), 'new: there is not enough memory'),
    (RuntimeError('no kernel'), 'new: RuntimeError: no kernel'),
  )
  def test_whatever_a_network_raises_is_one_line_and_leaves_the_run(
    self, error, said
  ):
    before = bank_testing.tree_bytes(self.run_)
    for place in ('explain', '__init__'):
      with mock.patch.object(pipeline.Explainer, place, side_effect=error):
        with self.assertRaisesRegex(ValueError, said):
          self.insert(self.new())
    with mock.patch.object(pipeline, 'check_encoder', side_effect=error):
      with self.assertRaisesRegex(ValueError, said):
        self.insert(self.new())
    self.assert_same_tree(before)
    self.assertTrue(run_record.RunRecord.of(self.run_).is_finished)

  def test_images_that_are_gone_keep_a_network_from_being_removed(self):
    before = bank_testing.tree_bytes(self.run_)
    with self.assertRaisesRegex(ValueError, 'made with other images'):
      insertion.remove(self.run_, 'alpha', {'seed': 4})
    self.assert_same_tree(before)

  def test_a_resumed_run_keeps_what_was_inserted(self):
    self.insert(self.new())
    after = self.tables()
    self.finish(self.bank, run_record.RunRecord.of(self.run_))
    self.assert_same_tables(after)


class ZooRunTest(RunTestCase):
  """A run whose spaces are methods and map transforms."""

  kind = 'zoo'
  options = {'map_transforms': _TRANSFORMS}
  flags = {'map_transform': list(_TRANSFORMS), 'num_permutations': 9}

  def test_insert_and_remove_reach_every_space(self):
    before = self.tables()
    spaces = self.insert(self.new())
    self.assertCountEqual(spaces, _ZOO_SPACES)
    for names in self.models().values():
      self.assertEqual(names, (*bank_testing.NAMES, 'new'))
    for space in _ZOO_SPACES:
      for variant in (space, f'{space}@common_removed'):
        _, names = affinity_lib.load_matrix(
          self.run_ / 'affinity' / f'{variant}.csv'
        )
        self.assertEqual(names, (*bank_testing.NAMES, 'new'))
    header, *rows = files.read_csv(self.run_ / 'networks.csv')
    self.assertEqual(rows[-1][:2], ['new', ''])
    self.assertGreater(float(rows[-1][header.index('seconds_per_image')]), 0)
    with self.subTest('a network without a group has no part in the tests'):
      rows = [
        [
          row
          for row in tables['groups.csv'].splitlines()
          if b'@comm' not in row
        ]
        for tables in (before, self.tables())
      ]
      self.assertLen(rows[0], 1 + 2 * len(_ZOO_SPACES))
      self.assertEqual(*rows)
    self.assertCountEqual(insertion.remove(self.run_, 'new'), _ZOO_SPACES)
    for names in self.models().values():
      self.assertEqual(names, bank_testing.NAMES)
    self.assert_same_tables(before)

  def test_what_fails_at_the_end_leaves_nothing_that_was_measured(self):
    self.insert(self.new('other', seed=11))
    before = bank_testing.tree_bytes(self.run_)
    finish = pipeline._Model.finish
    with mock.patch.object(pipeline._Model, 'finish', autospec=True) as mocked:
      mocked.side_effect = lambda model: (finish(model), 1 / 0)
      with self.assertRaises(ZeroDivisionError):
        self.insert(self.new())
    self.assert_same_tree(before)

  def test_one_space_of_many_can_be_given(self):
    folder = self.run_ / 'model_space' / 'elrp@absolute+pooled'
    insertion.insert(folder, self.new())
    found = {name for name, models in self.models().items() if 'new' in models}
    self.assertEqual(found, {'elrp@absolute+pooled'})
    self.assertEqual(insertion.remove(folder, 'new'), ['elrp@absolute+pooled'])


if __name__ == '__main__':
  absltest.main()
