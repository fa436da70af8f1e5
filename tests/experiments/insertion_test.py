"""Tests of one more network in the spaces of a run."""

import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments import insertion, pipeline
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder
from tests import bank_testing, testing


class InsertionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.probe = probe_sets.load(
      'noise', num_images=7, image_size=(16, 16), seed=3
    )
    self.run_ = self.folder / 'run'
    self.methods = pipeline.method_objects(['saliency', 'elrp'], 1e-3)
    self.project(self.bank, self.run_)
    self.images = insertion.Probe(seed=3)

  def project(self, bank, output):
    how = pipeline.Projection(self.methods, batch_size=4)
    return pipeline.project(
      bank, self.probe, how, output, lambda items, **_: items
    )

  def new(self, name='new', seed=9):
    path = self.folder / f'{name}.pb'
    graph_def = testing.tiny_graph_def('tanh', seed)
    path.write_bytes(graph_def.SerializeToString(deterministic=True))
    return Encoder(
      name, str(path), 'input:0', 'representation:0', 'range(-1, 1)', name
    )

  def insert(self, encoder, **options):
    return insertion.insert(
      self.run_, encoder, self.images, batch_size=4, **options
    )

  def test_new_point_is_what_projecting_all_together_gives(self):
    spaces = self.insert(self.new())
    bank = banks.Bank('five', (*self.bank.encoders, self.new()))
    together = self.project(bank, self.folder / 'together')
    for method, space in spaces.items():
      np.testing.assert_array_equal(
        space.affinity(bank.names), together[method].affinity(bank.names)
      )

  def test_no_file_of_another_model_is_touched(self):
    before = bank_testing.tree_bytes(self.run_)
    self.insert(self.new())
    after = bank_testing.tree_bytes(self.run_)
    self.assertEqual(before, {name: after[name] for name in before})
    insertion.remove(self.run_, 'new')
    self.assertEqual(bank_testing.tree_bytes(self.run_), before)

  def test_inserting_again_computes_nothing(self):
    self.insert(self.new())
    with mock.patch.object(pipeline, 'Explainer', side_effect=AssertionError):
      self.insert(self.new())

  def test_epsilon_is_that_of_the_space(self):
    spaces = insertion.open_spaces(self.run_)
    how = {m.name: m for m in insertion.projection(spaces, 4).methods}
    self.assertEqual(set(how), {'saliency', 'elrp'})
    self.assertEqual(how['elrp'].epsilon, 1e-3)

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

  def test_one_method_alone_can_be_given(self):
    for folder in (self.run_ / 'model_space', self.run_):
      self.assertLen(insertion.open_spaces(folder), 2)
    self.assertEqual(
      list(insertion.open_spaces(self.run_ / 'model_space' / 'elrp')), ['elrp']
    )

  def test_other_images_are_refused_before_anything_is_written(self):
    before = bank_testing.tree_bytes(self.run_)
    self.images = insertion.Probe(seed=4)
    with self.assertRaisesRegex(ValueError, 'made with other images'):
      self.insert(self.new())
    self.assertEqual(bank_testing.tree_bytes(self.run_), before)

  def test_the_record_of_the_run_says_which_images(self):
    (self.run_ / 'run.json').write_text(
      '{"flags": {"probe": "noise", "num_images": 7, "seed": 3}}'
    )
    spaces = insertion.open_spaces(self.run_)
    loaded = insertion.load_probe(spaces, insertion.Probe())
    self.assertEqual(loaded.digests, self.probe.digests)

  def test_a_graph_that_does_not_fit_is_refused(self):
    path = self.folder / 'bad.pb'
    path.write_bytes(
      testing.tiny_graph_def('tanh', size=12).SerializeToString()
    )
    encoder = Encoder(
      'bad', str(path), 'input:0', 'representation:0', 'range(0, 1)', 'bad'
    )
    with self.assertRaisesRegex(ValueError, 'bad: the graph takes inputs'):
      self.insert(encoder)

  def test_another_network_of_a_name_that_is_taken_is_refused(self):
    with self.assertRaisesRegex(ValueError, "'alpha' was computed differently"):
      self.insert(self.new('alpha'))

  def test_folders_without_spaces_and_unknown_models_are_named(self):
    with self.assertRaisesRegex(FileNotFoundError, 'No model space in'):
      insertion.open_spaces(self.folder)
    with self.assertRaisesRegex(ValueError, "no model 'who'.*'alpha'"):
      insertion.remove(self.run_, 'who')


if __name__ == '__main__':
  absltest.main()
