"""Tests of the public face: names, what each does, and errors in Python."""

import csv
import os
import pathlib
import subprocess
import sys
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

import attribution_transfer as at
from attribution_transfer import actions
from tests import bank_testing, testing

_T = 'range(-1, 1)'


def _model(name, filters=4, seed=0):
  tf.keras.utils.set_random_seed(seed)
  layers = tf.keras.layers
  return tf.keras.Sequential(
    [
      tf.keras.Input((16, 16, 3)),
      layers.Conv2D(filters, 3, activation='relu', name='conv'),
      layers.Conv2D(filters, 3, activation='relu', name='last'),
    ],
    name=name,
  )


class NamesTest(absltest.TestCase):
  def test_small_affinities_are_shown_as_numbers(self):
    ranking = at.Ranking('a', 'elrp', ('b', 'c'), (0.00012346, -0.0000321))
    _, _, *rows = repr(ranking).splitlines()
    self.assertEqual(
      [row.split()[-1] for row in rows], ['0.0001235', '-3.21e-05']
    )

  def test_public_names_are_these(self):
    self.assertEqual(
      at.__all__,
      [
        'Comparison', 'Maps', 'Placement', 'Ranking', 'Recommendation',
        '__version__', 'bank', 'compare', 'explain', 'images', 'insert',
        'network', 'rank', 'recommend',
      ],
    )  # fmt: skip
    for name in at.__all__:
      self.assertIsNotNone(getattr(at, name))
    self.assertEqual(dir(at), at.__all__)
    with self.assertRaisesRegex(AttributeError, "no attribute 'nothing'"):
      at.nothing  # noqa: B018

  def test_importing_it_imports_no_tensorflow(self):
    code = (
      'import sys, attribution_transfer as at; at.__version__\n'
      'assert "tensorflow" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)

  def test_it_says_that_it_is_typed(self):
    folder = pathlib.Path(at.__file__).parent
    self.assertTrue((folder / 'py.typed').exists())


class FaceTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.pictures = testing.images(6, 16)

  def _shelf(self):
    return at.bank(
      [
        at.network(
          _model(name, seed=seed), representation='last', preprocessing=_T
        )
        for seed, name in enumerate(('one', 'two', 'three'))
      ]
    )

  def test_models_in_memory_are_compared_without_a_folder(self):
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(self.folder)
    result = at.compare(self._shelf(), self.pictures, ['saliency', 'elrp'])
    self.assertEqual(result.names, ('one', 'two', 'three'))
    self.assertEqual(result.methods, ('saliency', 'elrp'))
    matrix = result.affinity('saliency')
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-3)
    np.testing.assert_array_equal(matrix, matrix.T)
    self.assertEqual(result.to_dict()['elrp']['one']['one'], 1.0)
    self.assertIn('3 networks by elrp', repr(result))
    self.assertEmpty(os.listdir(self.folder))

  def test_ranking_is_the_order_of_a_row(self):
    result = at.compare(self._shelf(), self.pictures)
    ranking = result.rank('one')
    row = dict(zip(result.names, result.affinity()[0], strict=True))
    expected = sorted(('two', 'three'), key=lambda name: -row[name])
    self.assertEqual(list(ranking.sources), expected)
    self.assertEqual(ranking.best, expected[0])
    self.assertEqual(ranking.to_dict()[0]['affinity'], row[expected[0]])
    self.assertIn('Sources for one, by elrp', repr(ranking))
    again = at.rank('one', self._shelf(), self.pictures)
    self.assertEqual(again.sources, ranking.sources)
    ranking.to_csv(self.folder / 'ranking.csv')
    with open(self.folder / 'ranking.csv', newline='') as file:
      self.assertEqual(next(csv.reader(file)), ['rank', 'source', 'affinity'])

  def test_tables_and_pictures_are_written(self):
    result = at.compare(self._shelf(), self.pictures)
    result.to_csv(self.folder / 'affinity.csv')
    result.plot_tree(self.folder / 'tree.png')
    result.plot_affinity(self.folder / 'affinity.png')
    for name in ('affinity.csv', 'tree.png', 'affinity.png'):
      self.assertGreater((self.folder / name).stat().st_size, 50)

  def test_maps_are_those_of_the_method(self):
    network = at.network(_model('x'), representation='last', preprocessing=_T)
    maps = at.explain(network, self.pictures, ['gradient_times_input', 'elrp'])
    self.assertEqual(maps['elrp'].shape, (6, 16, 16, 3))
    self.assertGreater(np.abs(maps['elrp']).max(), 0)
    self.assertEqual(
      repr(maps), '<Maps of x: 6 images 16x16, gradient_times_input, elrp>'
    )
    maps.plot(self.folder / 'maps.png', number=3)
    maps.to_csv(self.folder / 'maps.csv')
    self.assertGreater((self.folder / 'maps.png').stat().st_size, 50)

  def test_network_is_inserted_among_those_of_a_comparison(self):
    bank_testing.write(self.folder / 'bank')
    shelf = at.bank(self.folder / 'bank')
    images = at.images('scenes', num_images=4, bank=shelf)
    at.compare(shelf, images, output=self.folder / 'run')
    network = at.network(_model('new'), representation='last', preprocessing=_T)
    placement = at.insert(self.folder / 'run', network)
    self.assertLen(placement.to_dict(), len(shelf.encoders))
    self.assertIn('new among the others', repr(placement))

  def test_network_is_inserted_where_images_were_an_array(self):
    run = self.folder / 'run'
    at.compare(self._shelf(), self.pictures, output=run)
    network = at.network(_model('new'), representation='last', preprocessing=_T)
    with self.assertRaisesRegex(ValueError, r'pass them \(`images`\)'):
      at.insert(run, network)
    with self.assertRaisesRegex(ValueError, 'made with other images'):
      at.insert(run, network, self.pictures[::-1])
    for name, images in (
      ('new', self.pictures), ('newer', at.images(self.pictures))
    ):  # fmt: skip
      network = at.network(
        _model(name), representation='last', preprocessing=_T
      )
      self.assertIn(name, repr(at.insert(run, network, images)))
    network = at.network(_model('ONE'), representation='last', preprocessing=_T)
    with self.assertRaisesRegex(ValueError, 'differs in case'):
      at.insert(run, network, self.pictures)

  def test_images_come_from_arrays_lists_and_folders(self):
    from PIL import Image

    (self.folder / 'photos').mkdir()
    paths = []
    for number, picture in enumerate(self.pictures):
      paths.append(self.folder / 'photos' / f'{number}.png')
      Image.fromarray(picture).save(paths[-1])
    of_array = at.images(self.pictures).images
    np.testing.assert_array_equal(of_array, self.pictures)
    for source in (paths, self.folder / 'photos'):
      found = at.images(source, size=(16, 16)).images
      np.testing.assert_array_equal(found, self.pictures)
    self.assertEqual(
      at.images('scenes', num_images=2).images.shape[1:3], (256,) * 2
    )

  def test_errors_speak_of_arguments(self):
    for arguments, message in (
      ({'representation': 'last', 'preprocessing': ''}, 'preprocessing is not'),
      ({'representation': 'no', 'preprocessing': _T}, "or layer 'no'"),
      ({'representation': 'last', 'preprocessing': 'x('}, "'x\\('|x\\("),
    ):
      with self.assertRaisesRegex(ValueError, message) as caught:
        at.network(_model('x'), **arguments)
      self.assertNotIn('--', str(caught.exception))
    one = at.network(_model('x'), representation='last', preprocessing=_T)
    with self.assertRaisesRegex(ValueError, "more than once: .'x'"):
      at.bank([one, one])
    self.assertRegex(repr(one), r'^<Network x: range\(-1, 1\) to .*last.*>$')
    self.assertEqual(repr(at.bank([one])), '<Bank bank: 1 network: x>')
    self.assertRegex(
      repr(at.bank('mini')),
      '^<Bank mini: 20 networks, with measured transfers: autoencoder, .*>$',
    )
    images = repr(at.images(self.pictures))
    self.assertRegex(images, '^<Images of .*: 6, 16x16>$')
    for other in (_model('x'), 'x.keras', None):
      with self.assertRaisesRegex(ValueError, 'attribution_transfer.network'):
        at.bank([one, other])
      with self.assertRaisesRegex(ValueError, 'attribution_transfer.network'):
        at.explain(other, self.pictures)
    self.assertLen(at.explain(one, self.pictures, 'saliency').maps, 1)
    with self.assertRaisesRegex(ValueError, '1 encoder'):
      at.compare([one], self.pictures)
    with self.assertRaisesRegex(ValueError, "No network 'y'; there are"):
      at.rank('y', self._shelf(), self.pictures)
    with self.assertRaisesRegex(ValueError, 'list of images is empty'):
      at.images([])
    with self.assertRaisesRegex(ValueError, '1 of 1 listed images do not'):
      at.images(['missing.png'])
    with self.assertRaisesRegex(ValueError, r'array of images holds float64'):
      at.images(np.zeros((2, 4, 4, 3)))

  def test_arguments_of_wrong_types_are_errors_in_words(self):
    for wrong in (None, 3, 2.5, [None], {}):
      with self.subTest(wrong=wrong):
        with self.assertRaisesRegex(ValueError, 'is no network; give a model'):
          at.network(wrong, representation='last', preprocessing=_T)
        with self.assertRaisesRegex(ValueError, 'no source of images|is empty'):
          at.images(wrong)
    for wrong in (None, 3):
      with self.assertRaisesRegex(ValueError, f'{wrong} is no bank; give a'):
        at.bank(wrong)
    with self.assertRaisesRegex(FileNotFoundError, 'no file or folder no.onnx'):
      at.network('no.onnx', preprocessing=_T)

  def test_all_images_of_an_array_are_explained(self):
    one = at.network(_model('x'), representation='last', preprocessing=_T)
    pictures = testing.images(201, 16)
    maps = at.explain(one, pictures, 'saliency')
    self.assertLen(maps.ids, 201)
    np.testing.assert_array_equal(maps.images, pictures)
    few = at.explain(one, pictures, 'saliency', num_images=3)
    self.assertLen(few.ids, 3)

  def test_no_more_images_are_computed_than_there_are(self):
    one = at.network(_model('x'), representation='last', preprocessing=_T)
    maps = at.explain(one, self.pictures, 'saliency', batch_size=10**9)
    self.assertLen(maps.ids, 6)
    self.assertLen(
      at.compare(self._shelf(), self.pictures, batch_size=10**9).names, 3
    )

  def test_target_that_is_not_there_is_told_before_the_work(self):
    with mock.patch.object(actions, 'compare') as compare:
      for wrong in ('four', None, ['one']):
        with self.assertRaisesRegex(ValueError, 'No network .*; there are'):
          at.rank(wrong, self._shelf(), self.pictures)
    compare.assert_not_called()

  def test_wrong_arguments_are_named(self):
    one = at.network(_model('x'), representation='last', preprocessing=_T)
    shelf, pictures = self._shelf(), self.pictures
    for argument in ('name', 'label', 'group', 'representation', 'prediction'):
      arguments = {'representation': 'last', argument: 5}
      with self.assertRaisesRegex(ValueError, f'{argument} must be a text'):
        at.network(_model('x'), preprocessing=_T, **arguments)
    with self.assertRaisesRegex(ValueError, 'preprocessing must be a text'):
      at.network(_model('x'), representation='last', preprocessing=5)
    for wrong in (None, [], 5):
      for call in (
        lambda m: at.explain(one, pictures, m),
        lambda m: at.compare(shelf, pictures, m),
      ):
        with self.assertRaisesRegex(ValueError, 'methods must be the name'):
          call(wrong)
    for method in (['elrp'], None):
      with self.assertRaisesRegex(ValueError, 'is no name of a method'):
        at.rank('one', shelf, pictures, method)
    for wrong in (0, 2.5, 'a', None):
      for call in (
        lambda b: at.explain(one, pictures, batch_size=b),
        lambda b: at.compare(shelf, pictures, batch_size=b),
        lambda b: at.recommend(shelf, pictures, batch_size=b),
      ):
        with self.assertRaisesRegex(ValueError, 'batch_size is .*, but must'):
          call(wrong)
    for empty in ([], {}):
      with self.assertRaisesRegex(ValueError, 'no networks in the bank'):
        at.compare(empty, pictures)
    for call in (
      lambda path: at.compare(shelf, pictures, output=path),
      lambda path: at.insert(path, one),
      lambda path: at.recommend(shelf, pictures, output=path),
    ):
      for wrong in ('', 5):
        with self.assertRaisesRegex(ValueError, 'must be the path of a folder'):
          call(wrong)

  def test_size_of_images_is_called_so(self):
    for wrong in (5, (0, 5), (2.5, 3), (5, 5, 5)):
      with self.assertRaisesRegex(ValueError, '^size is '):
        at.images(self.pictures, size=wrong)
    with self.assertRaisesRegex(ValueError, 'holds no images'):
      at.images(np.zeros((3, 0, 4, 3), np.uint8))
    with self.assertRaisesRegex(ValueError, '5 is no bank'):
      at.images(self.pictures, bank=5)
    self.assertEqual(
      at.images('noise', num_images=1, bank='mini').images.shape[1:3], (64, 64)
    )

  def test_numbers_of_numpy_are_numbers(self):
    result = at.recommend(
      self._shelf(),
      self.pictures,
      [0, 1] * 3,
      twins=np.int64(0),
      num_draws=np.int64(5),
    )
    self.assertIn('Transfer from', repr(result))

  def test_results_can_be_compared_and_do_not_change(self):
    result = at.compare(self._shelf(), self.pictures)
    again = at.compare(self._shelf(), self.pictures)
    self.assertFalse(result == again)
    self.assertLen({result, again}, 2)
    first = result.rank('one').affinities
    result.affinity()[:] = 9
    self.assertEqual(result.rank('one').affinities, first)
    maps = at.explain(self._shelf().encoders[0], self.pictures)
    self.assertIn(maps, [result, maps])
    with self.assertRaisesRegex(ValueError, 'number is 0'):
      maps.plot(self.folder / 'maps.png', 0)
    with self.assertRaisesRegex(KeyError, "No method 'saliency'"):
      maps['saliency']

  def test_recommendation_of_models_in_memory(self):
    shelf = self._shelf()
    result = at.recommend(
      shelf, images=self.pictures, target='one', twins=2, num_draws=5
    )
    self.assertIsInstance(result, at.Recommendation)
    self.assertNotIn(
      'one', [row['network'] for row in result.to_dict()['candidates']]
    )
    self.assertIn('6 images are few', repr(result))
    result.plot_tree(self.folder / 'tree.png')
    self.assertGreater((self.folder / 'tree.png').stat().st_size, 50)
    folder = self.folder / 'out'
    labels = [0, 1, 0, 1, 0, 1]
    result = at.recommend(
      shelf, self.pictures, labels, twins=0, num_draws=5, output=folder
    )
    self.assertIn('Transfer from', repr(result))
    self.assertTrue((folder / 'report.html').exists())
    self.assertLen(result.table, 3)
    self.assertIn('Cannot tell', repr(at.recommend(shelf, self.pictures)))

  def test_recommendation_refuses_what_it_cannot_use(self):
    shelf = self._shelf()
    for options, message in (
      ({'images': None, 'labels': [1]}, 'no `images`'),
      ({'target': 'four'}, "No network 'four'"),
      ({'target': 4}, 'target must be the name'),
      ({'images': 4}, 'no source of images'),
      ({'labels': [1, 2]}, '2 labels for 6 images'),
      ({'labels': None, 'train': 2}, '`train` needs `labels`'),
      ({'train': -1}, 'train is -1'),
      ({'history': [(1, 2)]}, 'history must be'),
    ):
      arguments = {'images': self.pictures, **options}
      with self.assertRaisesRegex((ValueError, OSError), message) as caught:
        at.recommend(shelf, **arguments)
      self.assertNotIn('--', str(caught.exception))

  def test_representation_and_preprocessing_are_looked_up(self):
    layers = tf.keras.layers
    model = tf.keras.Sequential(
      [
        tf.keras.Input((16, 16, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation='relu'),
        layers.Conv2D(8, 3, strides=2, activation='relu', name='end'),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
      ],
      name='scales',
    )
    network = at.network(model)
    self.assertEqual(network.preprocessing, 'resize(16) | range(0, 255)')
    self.assertIn('end', network.representation_tensor)
    with self.assertRaisesRegex(ValueError, 'nothing says which values'):
      at.network(_model('x'))


if __name__ == '__main__':
  absltest.main()
