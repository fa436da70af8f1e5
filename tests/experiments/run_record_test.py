"""Tests of the record that keeps two runs apart."""

import hashlib
import json
import os
import pathlib
import time
from unittest import mock

from absl.testing import absltest, parameterized

from experiments import run_record
from experiments.run_record import RunRecord
from tests import bank_testing
from toolkit_basics import claims

_FLAGS = {'bank': 'mini', 'methods': ('elrp', 'saliency'), 'epsilon': 1e-4}
_DIGESTS = {'graphs': {'a': '12', 'b': '34'}, 'oracle': None}


class RunRecordTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.output = pathlib.Path(self.create_tempdir().full_path) / 'results'

  def _record(self, flags=_FLAGS, digests=_DIGESTS, **kwargs):
    return RunRecord(self.output, flags, digests, **kwargs)

  def _run(self, finish=True, **kwargs):
    """Does what an entry point does; its result is one file."""
    record = self._record(**kwargs)
    record.start()
    with record.stage('work'):
      (self.output / 'folder').mkdir(exist_ok=True)
      (self.output / 'folder' / 'result.csv').write_text('a,b\n')
    record.note('probe', '56')
    if finish:
      record.finish()
    return record

  def _content(self):
    return json.loads((self.output / 'run.json').read_text())

  def test_record_holds_flags_versions_digests_and_seconds(self):
    self._run()
    content = self._content()
    self.assertEqual(
      content['flags'], {**_FLAGS, 'methods': ['elrp', 'saliency']}
    )
    self.assertEqual(content['digests'], {**_DIGESTS, 'probe': '56'})
    self.assertContainsSubset(
      ['python', 'tensorflow', 'numpy', 'scipy'], content['versions']
    )
    self.assertTrue(any(v.startswith('opencv') for v in content['versions']))
    self.assertGreaterEqual(content['seconds']['work'], 0)
    self.assertTrue(content['finished'])
    self.assertEqual(
      content['files'],
      {'folder/result.csv': hashlib.sha256(b'a,b\n').hexdigest()},
    )

  def test_nothing_is_written_before_the_start(self):
    self._record()
    self.assertFalse(self.output.exists())

  def test_file_is_no_folder_of_a_run(self):
    self.output.write_bytes(b'')
    with self.assertRaisesRegex(ValueError, 'is no folder.*`output`'):
      self._record()

  def test_folder_of_a_run_is_not_used_again_without_being_asked(self):
    for finish in (True, False):
      self._run(finish, overwrite=True)
      with self.assertRaisesRegex(
        ValueError, f'{self.output}.*`resume`.*`overwrite`.*`output`'
      ):
        self._record()

  def test_folder_with_other_files_is_never_used(self):
    self.output.mkdir()
    (self.output / 'thesis.txt').write_text('years of work')
    for kwargs in ({}, {'resume': True}, {'overwrite': True}):
      with self.assertRaisesRegex(ValueError, 'not empty.*`output`'):
        self._record(**kwargs)
    self.assertTrue((self.output / 'thesis.txt').exists())

  @parameterized.parameters('{', '[]', '{}', '{"flags": []}', '{"flags": {}}')
  def test_other_run_json_is_never_taken_for_a_record(self, text):
    self.output.mkdir()
    (self.output / 'run.json').write_text(text)
    (self.output / 'thesis.txt').write_text('years of work')
    for kwargs in ({}, {'resume': True}, {'overwrite': True}):
      with self.assertRaisesRegex(ValueError, 'run.json.*not the record'):
        self._record(**kwargs)
    self.assertTrue((self.output / 'thesis.txt').exists())

  def test_resume_and_overwrite_exclude_each_other(self):
    with self.assertRaisesRegex(ValueError, 'not both'):
      self._record(resume=True, overwrite=True)

  def test_resume_of_nothing_is_a_new_run(self):
    self.assertFalse(self._record(resume=True).is_finished)

  def test_resume_of_a_finished_run_changes_no_byte(self):
    self._run()
    before = bank_testing.tree_bytes(self.output)
    self.assertTrue(self._record(resume=True).is_finished)
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

  def test_run_that_lost_a_file_is_not_finished(self):
    self._run()
    os.remove(self.output / 'folder' / 'result.csv')
    self.assertFalse(self._record(resume=True).is_finished)

  def test_run_of_which_a_file_was_changed_is_not_finished(self):
    self._run()
    (self.output / 'folder' / 'result.csv').write_text('a,c\n')
    record = self._record(resume=True)
    self.assertFalse(record.is_finished)
    self.assertEqual(record.damaged(), ['folder/result.csv'])

  def test_lock_left_overs_and_hidden_files_are_no_part_of_a_run(self):
    with claims.folder(self.output):
      record = self._run(finish=False)
      for name in ('.x.csv.7.partial', 'folder/.x.npy.partial'):
        (self.output / name).touch()
      record.finish()
      self.assertEqual([*self._content()['files']], ['folder/result.csv'])
      self.assertTrue(self._record(resume=True).is_finished)
      self._record(overwrite=True)
      self.assertEqual(os.listdir(self.output), [claims.LOCK])

  def test_large_files_are_only_looked_for(self):
    with mock.patch.object(run_record, '_SMALL', 4):
      self._run()
      self.assertEqual(self._content()['files'], {'folder/result.csv': None})
      (self.output / 'folder' / 'result.csv').write_text('a,c\n')
      self.assertTrue(self._record(resume=True).is_finished)

  def test_records_of_earlier_versions_are_read(self):
    self._run()
    content = self._content()
    content['files'] = [*content['files']]
    (self.output / 'run.json').write_text(json.dumps(content))
    self.assertTrue(self._record(resume=True).is_finished)
    os.remove(self.output / 'folder' / 'result.csv')
    self.assertFalse(self._record(resume=True).is_finished)

  def test_the_run_of_a_space_is_found(self):
    self._run()
    space = self.output / 'model_space' / 'elrp'
    space.mkdir(parents=True)
    for path in (self.output, space.parent, space):
      self.assertEqual(
        run_record.folder_of(path), os.path.realpath(self.output)
      )
    self.assertIsNone(run_record.folder_of(self.output.parent))

  def test_interrupted_run_is_not_finished(self):
    self._run(finish=False)
    self.assertFalse(self._record(resume=True).is_finished)

  def test_resume_with_another_flag_names_it(self):
    self._run()
    flags = {**_FLAGS, 'epsilon': 0.1}
    with self.assertRaisesRegex(
      ValueError, '`epsilon` is 0.0001 there, but 0.1 now.*`overwrite`'
    ):
      self._record(flags, resume=True)

  def test_resume_with_a_flag_less_or_more_names_it(self):
    self._run()
    with self.assertRaisesRegex(ValueError, "`bank` is 'mini' there.*None"):
      self._record({k: _FLAGS[k] for k in ('methods', 'epsilon')}, resume=True)
    with self.assertRaisesRegex(ValueError, '`seed` is None there, but 1'):
      self._record({**_FLAGS, 'seed': 1}, resume=True)

  @parameterized.parameters(
    ({'graphs': {'a': '12', 'b': '43'}, 'oracle': None}, 'graphs.b'),
    ({'graphs': {'a': '12', 'b': '34'}, 'oracle': '5'}, 'oracle'),
  )
  def test_resume_with_a_changed_file_names_it(self, digests, name):
    self._run()
    with self.assertRaisesRegex(ValueError, f'changed.*{name}.*`overwrite`'):
      self._record(digests=digests, resume=True)

  def test_overwrite_leaves_nothing_of_the_old_run(self):
    self._run()
    (self.output / 'old.csv').write_text('old')
    record = self._record({**_FLAGS, 'epsilon': 0.1}, overwrite=True)
    self.assertEmpty(list(self.output.iterdir()))
    self.assertFalse(record.is_finished)

  def test_overwrite_of_a_folder_with_another_run_inside_is_refused(self):
    outer = self.output
    self._run()
    self.output = outer / 'deep' / 'inner'
    self._run()
    self.output = outer
    before = bank_testing.tree_bytes(outer)
    with self.assertRaisesRegex(ValueError, '`overwrite`.*inner, another run'):
      self._record(overwrite=True)
    self.assertEqual(bank_testing.tree_bytes(outer), before)

  def test_another_run_inside_is_no_part_of_a_run(self):
    outer = self.output
    self._run(finish=False)
    self.output = outer / 'inner'
    self._run()
    self.output = outer
    self._record(resume=True).finish()
    self.assertEqual([*self._content()['files']], ['folder/result.csv'])
    (outer / 'inner' / 'space.json').write_text('damaged')
    result = outer / 'inner' / 'folder' / 'result.csv'
    result.write_text('as the inner run has it now')
    (outer / 'folder' / 'result.csv').write_text('damaged')
    self.assertFalse(self._record(resume=True).is_finished)
    self.assertTrue(result.exists())

  def test_overwrite_does_not_follow_links_out_of_the_folder(self):
    self._run()
    outside = self.create_tempdir()
    outside.create_file('precious')
    os.symlink(outside.full_path, self.output / 'link')
    self._record(overwrite=True)
    self.assertEqual(os.listdir(outside.full_path), ['precious'])

  def test_seconds_of_earlier_tries_are_added(self):
    record = self._run(finish=False)
    with record.stage('work'):
      time.sleep(0.02)
    first = self._content()['seconds']['work']
    again = self._record(resume=True)
    with again.stage('work'):
      time.sleep(0.02)
    self.assertGreaterEqual(self._content()['seconds']['work'], first + 0.02)

  def test_seconds_of_a_stage_that_fails_are_kept(self):
    record = self._run(finish=False)
    with self.assertRaisesRegex(ValueError, 'inside'):
      with record.stage('other'):
        raise ValueError('inside')
    self.assertIn('other', self._content()['seconds'])


if __name__ == '__main__':
  absltest.main()
