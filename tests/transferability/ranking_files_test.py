"""Tests of rankings in CSV files."""

import pathlib

from absl.testing import absltest, parameterized

from transferability import ranking_files


class RankingFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path) / 'a.csv'

  def test_rankings_come_back(self):
    rankings = {'a': ('b', 'c'), 'b': ('c', 'a')}
    ranking_files.write(self.path, rankings)
    self.assertEqual(ranking_files.read(self.path), rankings)

  def test_no_rankings_have_no_ranks(self):
    ranking_files.write(self.path, {})
    self.assertEqual(self.path.read_text(), 'target\n')

  def test_the_target_itself_may_be_there_and_is_left_out(self):
    self.path.write_text('target,rank_0,rank_1\na,a,b\nb,b,a\n')
    self.assertEqual(ranking_files.read(self.path), {'a': ('b',), 'b': ('a',)})

  def test_names_that_repeat_are_told_once_and_sorted(self):
    self.assertEqual(ranking_files.duplicates('cabcbb'), ['b', 'c'])

  @parameterized.parameters(
    ('source,rank_1\na,b\n', 'header'),
    ('target,rank_2\na,b\n', 'header'),
    ('target\na\n', 'header'),
    ('target,rank_1\na,b\na,c\n', 'two rows'),
    ('target,rank_1,rank_2\na,b\n', "target 'a'"),
    ('target,rank_1,rank_2\na,b,\n', "target 'a'"),
    ('target,rank_0,rank_1\na,b,c\n', 'rank_0'),
  )
  def test_a_malformed_ranking_is_refused(self, text, message):
    self.path.write_text(text)
    with self.assertRaisesRegex(ValueError, message):
      ranking_files.read(self.path)


if __name__ == '__main__':
  absltest.main()
