"""Tests of what is said about affinities of half precision."""

import pathlib

from absl.testing import absltest
import numpy as np

from experiments import half_precision, insertion, pipeline
from taskonomy_models import bank as banks
from tests import bank_testing
from tests.tracking_testing import silent
from transferability.affinity import mean_cosine


class HalfPrecisionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(self.folder / 'bank')
    self.bank = banks.load(str(self.folder / 'bank'))
    self.probe = pipeline.load_probe(
      self.bank, 'noise', track=silent, num_images=7
    )

  def projected(self, name, precision):
    how = pipeline.Projection(
      pipeline.method_objects(['saliency', 'elrp']),
      batch_size=4,
      precision=precision,
      on_bad_map='drop_image',
    )
    output = self.folder / name
    spaces = pipeline.project(self.bank, self.probe, how, output, silent)
    return how, spaces

  def deviations(self, how, spaces):
    return half_precision.deviations(
      *(self.bank, self.probe, how, spaces, self.folder / 'half', silent)
    )

  def test_deviation_is_that_from_a_run_of_single_precision(self):
    how, spaces = self.projected('half', 'bfloat16')
    _, exact = self.projected('single', 'float32')
    found = self.deviations(how, spaces)
    self.assertEqual(list(found), ['saliency', 'elrp'])
    for name, each in found.items():
      expected = spaces[name].affinity() - exact[name].affinity()
      self.assertEqual(each['images'], 7)
      self.assertAlmostEqual(
        each['max_difference'], np.abs(expected).max(), places=6
      )
      self.assertGreater(each['max_difference'], 0)
      self.assertLess(each['max_difference'], 0.05)
      self.assertBetween(each['spearman'], 0.5, 1)

  def test_nothing_is_left_in_the_folder(self):
    how, spaces = self.projected('half', 'bfloat16')
    before = sorted((self.folder / 'half').rglob('*'))
    self.deviations(how, spaces)
    self.assertEqual(sorted((self.folder / 'half').rglob('*')), before)

  def test_images_that_were_dropped_have_no_part(self):
    how, spaces = self.projected('half', 'bfloat16')
    _, exact = self.projected('single', 'float32')
    spaces['elrp'].drop_images([0, 3])
    found = self.deviations(how, spaces)['saliency']
    kept = [1, 2, 4, 5, 6]
    expected = [
      mean_cosine(all_['saliency'].image_cosines()[kept])
      for all_ in (spaces, exact)
    ]
    self.assertEqual(found['images'], 5)
    self.assertAlmostEqual(
      found['max_difference'],
      np.abs(expected[0] - expected[1]).max(),
      places=6,
    )

  def test_single_precision_does_not_differ_from_itself(self):
    self.assertEqual(self.deviations(*self.projected('half', 'float32')), {})

  def test_points_of_two_precisions_do_not_share_a_space(self):
    self.projected('half', 'bfloat16')
    with self.assertRaisesRegex(ValueError, 'precision'):
      self.projected('half', 'float32')

  def test_inserted_networks_have_the_precision_of_the_others(self):
    _, spaces = self.projected('half', 'bfloat16')
    self.assertEqual(insertion.projection(spaces).precision, 'bfloat16')


if __name__ == '__main__':
  absltest.main()
