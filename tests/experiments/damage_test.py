"""Tests that a run survives what happens to its folder."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np

from experiments import visuals
from probe_data import scene_dataset
from tests import bank_testing, command_testing, testing

_ROWS = 'model_space/gradient_times_input/models/beta/rows.npy'


@contextlib.contextmanager
def _no_file_larger_than(size):
  """Lets the system refuse to make files larger, as a quota would."""
  old = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


@contextlib.contextmanager
def _without_rights():
  """Takes the rights of root, to whom all folders are open."""
  is_root = os.geteuid() == 0
  if is_root:
    os.seteuid(65534)
  try:
    yield
  finally:
    if is_root:
      os.seteuid(0)


class DamageTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    # Not below that of pytest, which root alone may enter.
    self.folder = pathlib.Path(tempfile.mkdtemp())
    self.addCleanup(shutil.rmtree, self.folder)
    self.addCleanup(self.folder.chmod, 0o755)
    self.bank, self.output = self.folder / 'bank', self.folder / 'output'
    bank_testing.write(self.bank)
    np.save(self.folder / 'images.npy', testing.images(4))
    # Pictures take most of the time.
    self.enter_context(mock.patch.object(visuals, 'draw'))

  def run_it(self, *arguments, output=None):
    (result,) = command_testing.run(
      'experiments.run_taskonomy',
      [
        f'--bank={self.bank}',
        f'--probe={self.folder / "images.npy"}',
        '--methods=gradient_times_input',
        '--similarities=rsa',
        '--save_maps',
        '--batch_size=2',
        f'--output={output or self.output}',
        *arguments,
      ],
    )
    return result

  def lasting(self, output=None):
    """Returns all files but the record, which holds times."""
    found = bank_testing.tree_bytes(output or self.output)
    del found['run.json']
    return found


class RepairTest(DamageTestCase):
  def setUp(self):
    super().setUp()
    code, _, err = self.run_it()
    self.assertEqual(code, 0, err)
    self.before = self.lasting()

  def _mend(self, *parts):
    with self.assertLogs() as logs:
      code, _, err = self.run_it('--resume')
    self.assertEqual(code, 0, err)
    after = self.lasting()
    self.assertEqual(after.keys(), self.before.keys())
    self.assertEmpty([n for n in after if after[n] != self.before[n]])
    said = '\n'.join(logs.output)
    for part in parts:
      self.assertIn(part, said)
    code, out, _ = self.run_it('--resume')
    self.assertIn('is finished', out)

  def test_a_changed_row_is_computed_anew(self):
    path = self.output / _ROWS
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    self._mend(_ROWS, 'beta (1 rows are not those')

  def test_whatever_was_cut_or_lost_is_made_anew(self):
    lost = [
      'affinity/rsa.csv',
      'maps/gradient_times_input/alpha.npy',
      'representations/gamma.npy',
      'model_space/gradient_times_input/models/delta/manifest.json',
    ]
    for name in lost[:2]:
      (self.output / name).unlink()
    for name in (*lost[2:], _ROWS):
      os.truncate(self.output / name, 90)
    longer = _ROWS.replace('beta/rows', 'alpha/finished')
    with open(self.output / longer, 'ab') as file:
      file.write(b'more')
    self._mend(*lost, longer)

  def test_what_is_no_file_any_more_is_made_anew(self):
    def replaced(name):
      (self.output / name).unlink()
      return self.output / name

    replaced('affinity/rsa.csv').symlink_to('/dev/zero')
    os.mkfifo(replaced('maps/gradient_times_input/alpha.npy'))
    link = replaced('representations/gamma.npy')
    link.symlink_to(link)
    os.mkfifo(replaced(_ROWS))
    self._mend('rsa.csv', 'alpha.npy', 'gamma.npy', _ROWS)

  def test_the_description_of_a_space_is_written_anew(self):
    path = self.output / 'model_space/gradient_times_input/space.json'
    path.write_text('{}')
    self._mend('space.json')

  def test_damage_of_a_network_that_was_inserted_is_said(self):
    path = self.output / 'run.json'
    content = json.loads(path.read_text())
    content['digests']['inserted'] = {'beta': {'label': 'B', 'group': None}}
    path.write_text(json.dumps(content))
    (self.output / _ROWS).write_bytes(b'')
    code, _, err = self.run_it('--resume')
    self.assertEqual(code, 1)
    self.assertRegex(err, 'beta was inserted.*insert_model')


class RefusalTest(DamageTestCase):
  def _check_same(self, one, other):
    one, other = self.lasting(one), self.lasting(other)
    self.assertEqual(one.keys(), other.keys())
    self.assertEmpty([name for name in one if one[name] != other[name]])

  def test_a_run_goes_on_after_a_quota_was_raised(self):
    whole = self.folder / 'whole'
    self.assertEqual(self.run_it(output=whole)[0], 0)
    sizes = [path.stat().st_size for path in whole.rglob('*.npy')]
    for size in (1, 700, max(sizes) - 1):
      with _no_file_larger_than(size):
        code, _, err = self.run_it('--resume')
      self.assertEqual(code, 1)
      self.assertRegex(err, '^Error: .*[Ff]ile too large: .*output.*\n$')
    code, _, err = self.run_it('--resume')
    self.assertEqual(code, 0, err)
    self._check_same(self.output, whole)

  def mounted(self, size):
    """Returns a disk, and what makes it larger."""
    disk = self.folder / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
      self.skipTest('This user may not mount a file system.')
    self.addCleanup(subprocess.run, ['umount', str(disk)], check=True)
    larger = ['mount', '-o', 'remount,size=9m', str(disk)]
    return disk, lambda: subprocess.run(larger, check=True)

  def test_scenes_go_on_after_a_full_disk_was_emptied(self):
    disk, make_larger = self.mounted('300k')
    data = str(disk / 'data'), 'train', 64, 32
    with self.assertRaisesRegex(OSError, 'No space left on device.*data'):
      scene_dataset.build(*data)
    make_larger()
    found = scene_dataset.build(*data)
    self.assertGreater(found['image'].std(axis=(1, 2, 3)).min(), 0)
    self.assertLen(os.listdir(disk / 'data'), 1)

  def test_a_run_goes_on_after_a_full_disk_was_emptied(self):
    disk, make_larger = self.mounted('64k')
    output = disk / 'output'
    code, _, err = self.run_it(output=output)
    self.assertEqual(code, 1)
    self.assertRegex(err, '^Error: .*No space left on device: .*output.*\n$')
    make_larger()
    code, _, err = self.run_it('--resume', output=output)
    self.assertEqual(code, 0, err)
    self.assertEqual(self.run_it()[0], 0)
    self._check_same(self.output, output)

  def test_a_folder_that_is_only_read_can_be_read_and_is_not_changed(self):
    self.assertEqual(self.run_it()[0], 0)
    before = bank_testing.tree_bytes(self.output)
    for path in (self.folder, *self.folder.rglob('*')):
      path.chmod(0o555 if path.is_dir() else 0o444)
    with _without_rights():
      finished = self.run_it('--resume')
      refused = self.run_it('--overwrite')
      new = self.run_it(output=self.folder / 'new')
    for path in (self.folder, *self.folder.rglob('*')):
      path.chmod(0o755 if path.is_dir() else 0o644)
    self.assertEqual(finished[0], 0, finished[2])
    self.assertIn('is finished', finished[1])
    for code, _, err in (refused, new):
      self.assertEqual(code, 1)
      self.assertRegex(err, '^Error: .*Permission denied.*\n$')
    self.assertEqual(bank_testing.tree_bytes(self.output), before)


if __name__ == '__main__':
  absltest.main()
