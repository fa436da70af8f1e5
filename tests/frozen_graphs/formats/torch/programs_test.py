"""Tests of files of programs of PyTorch, which are not run without a word."""

import pathlib
import zipfile

from absl.testing import absltest, parameterized

import frozen_graphs
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import programs, surgery


class ProgramsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _archive(self, name: str, *entries: str) -> pathlib.Path:
    path = self.folder / name
    with zipfile.ZipFile(path, 'w') as archive:
      for entry in entries:
        archive.writestr(entry, b'')
    return path

  @parameterized.parameters(
    ('a.pt2', ('a/data.pkl',), 'export'),
    ('a.pt', ('a/data.pkl', 'a/code/__torch__.py'), 'script'),
    ('a.torchscript', ('a/code/__torch__.py',), 'script'),
    ('a.pth', ('a/data.pkl', 'a/data/0'), None),
    ('a.onnx', ('a/code/__torch__.py',), None),
  )
  def test_kind_is_told_by_name_and_entries(self, name, entries, expected):
    self.assertEqual(programs.kind_of(self._archive(name, *entries)), expected)

  def test_what_is_no_archive_has_no_kind(self):
    path = self.folder / 'a.pt'
    path.write_bytes(b'\x80\x02}.')
    self.assertIsNone(programs.kind_of(path))
    self.assertIsNone(programs.kind_of(self.folder / 'lost.pt2'))

  @parameterized.parameters('checks', 'sandbox', None)
  def test_a_program_is_not_run_unless_that_is_said(self, trust):
    path = self._archive('a.pt2', 'a/data.pkl')
    with self.assertRaisesRegex(
      GraphError, r'a\.pt2 is a program of PyTorch: .*`trust=.code.`'
    ):
      frozen_graphs.load(path, trust=trust)

  @parameterized.parameters(
    ('head.fc.weight', True), ('fc.bias', True), ('classifier.1', True),
    ('lm_head', True), ('aux1.conv', True), ('layer4.1.fc1', False),
    ('features.0', False), ('blocks.3', False), ('ahead.x', False),
  )  # fmt: skip
  def test_heads_are_told_by_their_path(self, path, expected):
    self.assertEqual(surgery.is_of_head(path), expected)


if __name__ == '__main__':
  absltest.main()
