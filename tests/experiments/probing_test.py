"""Tests of probes in the model space: stored, resumed, inserted, removed."""

import dataclasses
import pathlib

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from attribution.probes import Probes
from experiments import (
  evaluation,
  insertion,
  pipeline,
  probing,
  run_answer,
  similarities,
)
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder
from tests import bank_testing, testing
from tests.tracking_testing import Killed, killed_after, silent
from transferability import descriptors, sketches, subspaces

_PROBES = Probes(count=4, num_images=11)
_MEASURES = ('attribution_kernel', 'attribution_span')


class ProbingTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.probe = pipeline.load_probe(
      self.bank, 'noise', track=silent, num_images=13
    )
    self.output = self.folder / 'run'

  def project(self, track=silent, bank=None, **options):
    options = {'batch_size': 4, 'probes': _PROBES} | options
    how = pipeline.Projection(
      pipeline.method_objects(['elrp'], 1e-3), **options
    )
    return pipeline.project(
      bank or self.bank, self.probe, how, self.output, track
    )

  def new(self):
    path = self.folder / 'new.pb'
    graph_def = testing.tiny_graph_def('tanh', 9)
    path.write_bytes(graph_def.SerializeToString(deterministic=True))
    t = 'range(-1, 1)'
    return Encoder('new', str(path), 'input:0', 'representation:0', t, 'New')

  def test_rows_are_the_maps_of_the_directions_of_each_image(self):
    space = self.project(dtype='float32')['probes']
    chosen = _PROBES.chosen(13)
    self.assertEqual(
      space.image_digests, tuple(self.probe.digests[i] for i in chosen)
    )
    self.assertEqual(space.map_shape, (4, *self.probe.images.shape[1:]))
    for encoder in self.bank.encoders:  # Of different T, sizes and channels.
      with Explainer(
        self.bank.network(encoder.name),
        preprocessing=encoder.preprocessing,
        methods=['elrp'],
        probe_methods=['gradient'],
      ) as explainer:
        images = self.probe.images[chosen]
        directions = _PROBES.directions(
          explainer.digest,
          space.image_digests,
          explainer.count_units(images),
        )
        maps = explainer.probe('gradient', images, directions)
      maps /= np.linalg.norm(maps.reshape(11, -1), axis=1).reshape(
        11, 1, 1, 1, 1
      )
      stored = np.asarray(space.rows(encoder.name)).reshape(maps.shape)
      np.testing.assert_allclose(stored, maps, rtol=1e-3, atol=1e-5)

  def test_maps_of_methods_stay_as_they_are_without_probes(self):
    self.project()
    probed = bank_testing.tree_bytes(self.output / 'model_space' / 'elrp')
    self.output = self.folder / 'plain'
    self.project(probes=None)
    plain = bank_testing.tree_bytes(self.output / 'model_space' / 'elrp')
    self.assertEqual(plain, probed)
    self.assertFalse((self.output / 'model_space' / 'probes').exists())

  @parameterized.product(number=(2, 5, 9, 17), point=('full', 'sketch:8'))
  def test_killed_run_ends_in_the_same_bytes(self, number, point):
    self.project(probe_point=point)
    expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'resumed'
    with self.assertRaises(Killed):
      self.project(killed_after(number), probe_point=point)
    self.project(probe_point=point)
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)

  def test_a_run_without_probes_gets_them(self):
    self.project(probes=None)
    self.project()
    found = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'at_once'
    self.project()
    self.assertEqual(bank_testing.tree_bytes(self.output), found)

  def test_network_is_inserted_with_its_probes_and_removed(self):
    self.project()
    before = bank_testing.tree_bytes(self.output)
    spaces = insertion.insert(self.output, self.new())
    self.assertIn('new', spaces['probes'].models)
    after = bank_testing.tree_bytes(self.output)
    self.assertEqual({n: after[n] for n in before}, before)
    self.output = self.folder / 'together'
    bank = banks.Bank('five', (*self.bank.encoders, self.new()))
    together = self.project(bank=bank)
    for measure, found in probing.image_scores(
      spaces['probes'], bank.names, _MEASURES
    ).items():
      expected = probing.image_scores(together['probes'], bank.names, [measure])
      np.testing.assert_array_equal(found, expected[measure])
    header, *rows = insertion.placement(spaces['probes'], 'new')
    self.assertEqual(header[:2], ('target', 'affinity'))
    span = probing.image_scores(spaces['probes'], bank.names, _MEASURES)
    span = span['attribution_span'].mean(axis=0)
    names = list(bank.names)
    for target, value, *_ in rows:
      self.assertAlmostEqual(value, span[names.index(target), -1])
    self.output = self.folder / 'run'
    insertion.remove(self.output, 'new')
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def test_sketches_tell_the_kernels_of_the_maps_within_the_bound(self):
    names = self.bank.names
    full = probing.image_scores(self.project()['probes'], names, _MEASURES)
    self.output = self.folder / 'sketched'
    space = self.project(probe_point='sketch:256')['probes']
    self.assertEqual(space.map_shape, (4 * 256 + 1,))
    (found,) = probing.image_scores(space, names, [_MEASURES[0]]).values()
    rows = np.stack(list(space.stacks(names)))
    lengths = np.linalg.norm(sketches.kernel_points(rows), axis=2)
    bound = sketches.kernel_bound(4 * 256, 1, lengths.mean() ** 2)
    errors = found - full['attribution_kernel']
    others = errors[:, ~np.eye(len(names), dtype=bool)]
    self.assertBetween(np.sqrt(np.mean(others**2)), 1e-4, bound)

  def test_sketches_of_kernels_have_descriptors(self):
    space = self.project(probe_point='sketch:256')['probes']
    names = self.bank.names
    (values,) = probing.image_scores(space, names, [_MEASURES[0]]).values()
    a, b = (probing.descriptor(space, name) for name in names[:2])
    self.assertEqual(a.code.nbytes + 8, 4096)
    error = a.affinity(b) - values.mean(axis=0)[0, 1]
    bound = 4 * a.norm * b.norm * descriptors.deviation(32704)
    self.assertLess(abs(error), bound)
    self.output = self.folder / 'full'
    with self.assertRaisesRegex(ValueError, 'has maps of random directions'):
      probing.descriptor(self.project()['probes'], names[0])

  def test_sketches_do_not_tell_spans(self):
    space = self.project(probe_point='sketch:8')['probes']
    with self.assertRaisesRegex(ValueError, 'span needs maps .* in full'):
      probing.image_scores(space, self.bank.names, _MEASURES)

  def test_network_is_inserted_among_sketches_and_removed(self):
    self.project(probe_point='sketch:8')
    before = bank_testing.tree_bytes(self.output)
    space = insertion.insert(self.output, self.new())['probes']
    bank = banks.Bank('five', (*self.bank.encoders, self.new()))
    (found,) = probing.image_scores(space, bank.names, [_MEASURES[0]]).values()
    _, *rows = insertion.placement(space, 'new')
    for target, value, *_ in rows:
      row = list(bank.names).index(target)
      self.assertAlmostEqual(value, found.mean(axis=0)[row, -1])
    self.output = self.folder / 'together'
    together = self.project(bank=bank, probe_point='sketch:8')['probes']
    np.testing.assert_array_equal(together.rows('new'), space.rows('new'))
    self.output = self.folder / 'run'
    insertion.remove(self.output, 'new')
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def test_probes_alone_take_no_network(self):
    self.project()
    with self.assertRaisesRegex(ValueError, 'pass the folder of the run'):
      insertion.insert(self.output / 'model_space' / 'probes', self.new())

  def test_image_without_direction_stops_the_run_or_is_dropped(self):
    images = np.array(self.probe.images)
    images[[0, 2]] = 0
    self.probe = dataclasses.replace(self.probe, images=images)
    dead = testing.freeze(lambda x: tf.nn.relu(x[:, ::2, ::2, :]), 16)
    path = self.folder / 'dead.pb'
    path.write_bytes(dead.SerializeToString(deterministic=True))
    encoder = Encoder(
      'dead', str(path), 'input:0', 'representation:0', 'range(-1, 1)', 'Dead'
    )
    bank = banks.Bank('two', (self.bank.encoders[0], encoder))
    with self.assertRaisesRegex(ValueError, r'\.\) Do this\.$'):
      self.project(bank=bank, way_on='Do this.')
    spaces = self.project(bank=bank, on_bad_map='drop_image')
    chosen = _PROBES.chosen(13).tolist()
    dropped = [chosen.index(i) for i in (0, 2) if i in chosen]
    self.assertEqual(spaces['probes'].dropped_images.tolist(), dropped)
    self.assertEqual(spaces['elrp'].dropped_images.tolist(), [0, 2])
    scores = probing.image_scores(spaces['probes'], bank.names, _MEASURES)
    self.assertLen(scores['attribution_span'], 11 - len(dropped))

  def test_corrupt_row_is_found(self):
    space = self.project()['probes']
    path = space.folder / 'models' / 'beta' / 'rows.npy'
    content = bytearray(path.read_bytes())
    content[-7] ^= 0xFF
    path.write_bytes(content)
    with self.assertRaisesRegex(ValueError, "'beta', image 10, is corrupt"):
      probing.image_scores(space, self.bank.names, ['attribution_span'])

  def test_protocol_of_the_released_code_averages_channels(self):
    same = banks.Bank('same', (self.bank.encoders[0], self.bank.encoders[1]))
    space = self.project(bank=same, protocol='released_code')['probes']
    self.assertEqual(space.map_shape, (4, *self.probe.images.shape[1:3], 1))

  def test_directed_measures_are_evaluated_with_intervals_and_a_tree(self):
    spaces = self.project(keep_representations=True)
    names = self.bank.names
    kept = similarities.load(self.output, names, spaces)
    matrices, resampled, _ = similarities.of_run(
      similarities.DEFAULT, self.output, names, spaces
    )
    expected = similarities.matrices(similarities.DEFAULT, kept, spaces)
    for name, matrix in matrices.items():
      np.testing.assert_array_equal(matrix, expected[name])
    found = evaluation.evaluate(
      self.bank, spaces, similarities=matrices, resampled=resampled
    )
    self.assertEqual(list(found.affinities), ['elrp', *similarities.DEFAULT])
    span = found.affinities['attribution_span']
    self.assertFalse(np.array_equal(span, span.T))
    for name in similarities.DEFAULT:
      self.assertIn('precision_low', found.scores[name].columns())
    part = evaluation.of_affinities(
      {'attribution_span': (span + span.T) / 2}, names, {}, names
    )
    np.testing.assert_array_equal(
      found.trees['attribution_span'].linkage,
      part.trees['attribution_span'].linkage,
    )

  def test_it_is_told_how_surely_a_source_by_spade_stays_first(self):
    spaces = self.project(keep_representations=True)
    matrices, resampled, _ = similarities.of_run(
      ['spade'], self.output, self.bank.names, spaces
    )
    self.assertEqual(list(resampled), ['spade'])
    found = evaluation.evaluate(
      self.bank, spaces, similarities=matrices, resampled=resampled
    )
    drawn = run_answer.resampled_of(found, spaces, 'spade')
    answer = run_answer.answer(found, self.bank.names, 'spade', drawn)
    column = answer.table[0].index('stays first')
    for row in answer.table[1:]:
      self.assertRegex(row[column], r'^\d+ %$')

  def test_measures_are_those_of_the_stored_rows(self):
    space = self.project()['probes']
    rows = [
      np.asarray(space.rows(n), np.float32).reshape(11, 4, -1)
      for n in self.bank.names
    ]
    found = probing.image_scores(space, self.bank.names, _MEASURES)
    for name, values in found.items():
      expected = subspaces.pairs(rows, subspaces.MEASURES[name])
      np.testing.assert_array_equal(values, expected)


if __name__ == '__main__':
  absltest.main()
