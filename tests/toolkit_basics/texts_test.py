"""Tests of text of others."""

from absl.testing import absltest

from toolkit_basics import texts


class OneLineTest(absltest.TestCase):
  def test_plain_text_is_kept(self):
    self.assertEqual(texts.one_line('The file ü is bad.'), 'The file ü is bad.')

  def test_breaks_and_what_terminals_obey_become_spaces(self):
    text = ' a\n\n b\x1b[31mc\r\x00d\x85e\u2028f\t'
    self.assertEqual(texts.one_line(text), 'a bc d e f')
    self.assertEqual(texts.one_line('a\x1b[2Jb'), 'a [2Jb')

  def test_of_a_long_text_both_ends_are_kept(self):
    line = texts.one_line('a' * 10**6 + 'z', 100)
    self.assertEqual(line, 'a' * 47 + ' ... ' + 'a' * 46 + 'z')
    self.assertEqual(texts.one_line('a' * 100, 100), 'a' * 100)


if __name__ == '__main__':
  absltest.main()
