"""Tests of finding the released encoders in folders as users have them."""

import os
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs.errors import GraphError
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import files as task_bank_files
from taskonomy_models.task_bank import release as task_bank
from taskonomy_models.task_bank.files import Checkpoint, TorchFile
from tests import task_bank_testing, torch_testing

_SHA = 'ab' * 32


class _FolderTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path).resolve()

  def _touch(self, *names):
    for name in names:
      path = self.folder / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text('')

  def _touch_checkpoint(self, *prefixes):
    for prefix in prefixes:
      self._touch(
        f'{prefix}.index', f'{prefix}.meta', f'{prefix}.data-00000-of-00001'
      )

  def _find(self, folder=None):
    findings = task_bank_files.find(folder or self.folder)
    root = folder or self.folder
    return {
      name: (type(source), str(source.path.relative_to(root)))
      for name, source in findings.sources.items()
    }


class FindTest(_FolderTest):
  def test_checkpoints_of_the_release(self):
    names = list(task_bank.encoders())
    self._touch_checkpoint(*(f'{n}/model.permanent-ckpt' for n in names))
    found = self._find()
    self.assertEqual(list(found), names)
    for name, (kind, path) in found.items():
      self.assertEqual(kind, Checkpoint)
      self.assertEqual(path, f'{name}/model.permanent-ckpt')

  def test_files_of_the_pytorch_release(self):
    for encoder in task_bank.encoders().values():
      self._touch(encoder.files('pytorch')[0].path)
    self._touch(f'normal_decoder-{_SHA}.pth')
    found = task_bank_files.find(self.folder)
    self.assertEqual(list(found.sources), list(task_bank.encoders()))
    for name, source in found.sources.items():
      self.assertEqual(source.encoder.name, name)
      self.assertEqual(source.stated, source.encoder.pytorch_sha256)
    self.assertEmpty(found.notes)

  @parameterized.parameters(
    ('temp/curvature/model.permanent-ckpt', 'curvature'),
    ('a/b/edge2d/model.ckpt-1000', 'edge2d'),
    ('curvature.ckpt', 'curvature'),
    ('class_1000-final', 'class_1000'),
    ('class_places_v1/x', 'class_places'),
    ('denoise/curvature.ckpt', 'curvature'),
  )
  def test_other_layouts_of_checkpoints(self, prefix, task):
    self._touch_checkpoint(prefix)
    self.assertEqual(self._find(), {task: (Checkpoint, prefix)})

  def test_folder_may_itself_be_named_for_the_task(self):
    self._touch_checkpoint('rgb2mist/model.permanent-ckpt')
    folder = self.folder / 'rgb2mist'
    self.assertEqual(
      self._find(folder), {'rgb2mist': (Checkpoint, 'model.permanent-ckpt')}
    )

  @parameterized.parameters(
    ('curvature_encoder.pth', 'curvature'),
    (f'curvature_encoder-{_SHA}.pth', 'curvature'),
    ('edge_texture_encoder.pth', 'edge2d'),
    ('edge2d_encoder.pth', 'edge2d'),
    ('deep/folder/normal.pt', 'rgb2sfnorm'),
    ('segment_unsup2d_encoder.pt', 'segment2d'),
  )
  def test_other_names_of_pytorch_files(self, name, task):
    self._touch(name)
    self.assertEqual(self._find(), {task: (TorchFile, name)})

  def test_checkpoint_is_preferred_to_the_copy_and_that_is_said(self):
    self._touch('curvature_encoder.pth')
    self._touch_checkpoint('curvature/model.permanent-ckpt')
    found = task_bank_files.find(self.folder)
    self.assertIsInstance(found.sources['curvature'], Checkpoint)
    (note,) = found.notes
    self.assertRegex(note, 'curvature_encoder.pth is not used.*checkpoint')

  def test_permanent_checkpoint_is_preferred_to_those_of_training(self):
    self._touch_checkpoint(
      'curvature/model.ckpt-10', 'curvature/model.permanent-ckpt'
    )
    self.assertEqual(
      self._find()['curvature'][1], 'curvature/model.permanent-ckpt'
    )

  @parameterized.parameters(
    [['curvature_encoder.pth', 'x/curvature.pth']],
    [['curvature/model.ckpt-1.index', 'curvature/model.ckpt-2.index']],
  )
  def test_choice_between_files_is_the_users(self, names):
    self._touch(*names)
    with self.assertRaisesRegex(ValueError, 'curvature: which') as caught:
      self._find()
    for name in names:
      self.assertIn(name.removesuffix('.index'), str(caught.exception))

  def test_what_is_not_used_is_said(self):
    self._touch('jigsaw/model.permanent-ckpt.index', 'egomotion_encoder.pth')
    self._touch('resnet50.pth', 'mymodel.index', 'notes.txt')
    found = task_bank_files.find(self.folder)
    self.assertEmpty(found.sources)
    notes = '\n'.join(found.notes)
    self.assertRegex(notes, 'jigsaw/.* not used: .*several')
    self.assertRegex(notes, 'egomotion_encoder.pth .*several')
    self.assertRegex(notes, 'resnet50.pth is not used: .*not named')
    self.assertRegex(notes, 'mymodel.index is not used: .*not named')
    self.assertNotIn('notes.txt', notes)

  def test_folders_that_contain_themselves_end(self):
    self._touch('a/curvature_encoder.pth')
    os.symlink(self.folder, self.folder / 'a' / 'loop')
    self.assertEqual(list(self._find()), ['curvature'])

  def test_missing_folder_is_named(self):
    with self.assertRaisesRegex(NotADirectoryError, 'no/such'):
      task_bank_files.find('no/such')


class ReadTest(_FolderTest):
  def setUp(self):
    super().setUp()
    blocks = (
      task_bank_encoder.Block(*b) for b in task_bank_testing.SMALL_BLOCKS
    )
    self.enter_context(
      mock.patch.object(task_bank_encoder, 'BLOCKS', tuple(blocks))
    )

  def _save(self, values, name='curvature'):
    """Writes a checkpoint of these variables."""
    prefix = self.folder / name / task_bank.CHECKPOINT
    prefix.parent.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      for key, value in values.items():
        tf.compat.v1.get_variable(key, initializer=value)
      session.run(tf.compat.v1.global_variables_initializer())
      saver = tf.compat.v1.train.Saver()
      saver.save(session, str(prefix), write_state=False)
    return Checkpoint(task_bank.encoders()[name], prefix)

  def _values(self, prefix='', channels=3):
    rng = np.random.default_rng(0)
    return {
      prefix + v.name: rng.uniform(0.1, 1, v.shape).astype(np.float32)
      for v in task_bank_encoder.variables(channels)
    }

  @parameterized.parameters('', 'feedforward/')
  def test_variables_are_found_under_either_prefix(self, prefix):
    values = self._values(prefix)
    checkpoint = self._save(
      {**values, 'global_step': np.int64(3)}, 'class_1000'
    )
    weights = checkpoint.weights()
    self.assertLen(weights, len(values))
    for name, value in weights.items():
      np.testing.assert_array_equal(value, values[prefix + name])

  def test_missing_variable_is_named_with_what_there_is(self):
    values = self._values('feedforward/')
    del values['feedforward/compress1/BatchNorm/gamma']
    checkpoint = self._save(values, 'class_1000')
    with self.assertRaisesRegex(
      GraphError,
      f"{checkpoint.path}.*'feedforward/compress1/BatchNorm/gamma' is missing",
    ):
      checkpoint.weights()

  def test_checkpoint_of_another_network_says_what_it_holds(self):
    checkpoint = self._save({'resnet/conv': np.ones(3, np.float32)})
    with self.assertRaisesRegex(
      GraphError, "'encoder/conv1/weights' is missing.*resnet/conv"
    ):
      checkpoint.weights()

  def test_missing_data_are_named(self):
    checkpoint = self._save({'x': np.ones(3, np.float32)})
    os.remove(f'{checkpoint.path}.data-00000-of-00001')
    with self.assertRaisesRegex(GraphError, 'data-00000-of-00001 is missing'):
      task_bank_files.digest(checkpoint)

  @parameterized.parameters('.index', '.data-00000-of-00001')
  def test_damaged_checkpoint_is_one_clear_error(self, suffix):
    checkpoint = self._save(self._values())
    checkpoint.weights()
    path = f'{checkpoint.path}{suffix}'
    content = pathlib.Path(path).read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    for damaged in (content[: len(content) // 2], b'', bytes(flipped)):
      pathlib.Path(path).write_bytes(damaged)
      with self.subTest(size=len(damaged)):
        with self.assertRaisesRegex(
          GraphError, f'{checkpoint.path}: the checkpoint is damaged'
        ) as caught:
          checkpoint.weights()
        self.assertNotIn('\n', str(caught.exception))

  def test_pytorch_file_gives_the_same_variables(self):
    values = self._values(channels=1)
    state = {
      v.torch_name: values[v.name].transpose(3, 2, 0, 1)
      if values[v.name].ndim == 4
      else values[v.name]
      for v in task_bank_encoder.variables(1)
    }
    path = self.folder / 'colorization_encoder.pth'
    torch_testing.save(path, state)
    source = task_bank_files.find(self.folder).sources['colorization']
    weights = source.weights()
    self.assertEqual(list(weights), list(values))
    for name, value in values.items():
      np.testing.assert_array_equal(weights[name], value)


class DigestTest(_FolderTest):
  def test_digest_changes_with_any_of_the_files(self):
    self._touch_checkpoint('curvature/model.permanent-ckpt')
    source = task_bank_files.find(self.folder).sources['curvature']
    digests = {task_bank_files.digest(source)}
    for suffix in ('index', 'data-00000-of-00001'):
      pathlib.Path(f'{source.path}.{suffix}').write_text('x')
      digests.add(task_bank_files.digest(source))
    self.assertLen(digests, 2 + 1)
    pathlib.Path(f'{source.path}.meta').write_text('x')
    self.assertIn(task_bank_files.digest(source), digests)

  def test_only_a_released_name_obliges(self):
    encoder = task_bank.encoders()['curvature']
    released = encoder.pytorch_sha256
    path = pathlib.Path('x.pth')
    for stated, digest, expected in (
      (None, _SHA, False),
      (None, released, True),
      (_SHA, _SHA, False),
      (_SHA, 'cd' * 32, False),
      (_SHA, released, True),
      (released, released, True),
    ):
      source = TorchFile(encoder, path, stated)
      self.assertEqual(source.is_released(digest), expected)
    with self.assertRaisesRegex(
      GraphError, f'x.pth is not.*{_SHA}.*`allow_unknown_digests=True`'
    ):
      TorchFile(encoder, path, released).is_released(_SHA)


if __name__ == '__main__':
  absltest.main()
