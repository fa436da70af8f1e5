"""Tests of converting folders of released encoders, by small stand-ins."""

import csv
import hashlib
import json
import pathlib
import shutil
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from attribution.explainer import Explainer
from experiments import evaluation
from taskonomy_models import bank as banks
from taskonomy_models.task_bank import conversion as task_bank_conversion
from taskonomy_models.task_bank import download as task_bank_download
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from tests import (
  bank_testing,
  command_testing,
  task_bank_testing,
  testing,
  torch_testing,
)
from transferability.oracle import Oracle

_TASKS = ('curvature', 'denoise', 'colorization', 'class_1000')


def _write_pytorch(folder: pathlib.Path, task: str, seed: int = 0) -> str:
  """Writes random weights as a .pth file; returns its name."""
  encoder = task_bank.encoders()[task]
  rng = np.random.default_rng([seed, len(task)])
  state = {}
  for variable in task_bank_encoder.variables(encoder.channels):
    shape = variable.torch_shape
    if len(shape) == 4:
      values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    else:
      values = rng.uniform(0.5, 1, shape)
    state[variable.torch_name] = values.astype(np.float32)
  folder.mkdir(parents=True, exist_ok=True)
  name = f'{encoder.pytorch_name}_encoder.pth'
  torch_testing.save(folder / name, state)
  return name


class _SmallTest(parameterized.TestCase):
  """The blocks are small, and a picture has 256 pixels a side as always."""

  def setUp(self):
    super().setUp()
    blocks = (
      task_bank_encoder.Block(*b) for b in task_bank_testing.SMALL_BLOCKS
    )
    self.enter_context(
      mock.patch.object(task_bank_encoder, 'BLOCKS', tuple(blocks))
    )
    self.root = pathlib.Path(self.create_tempdir().full_path)
    self.source, self.output = self.root / 'source', self.root / 'bank'
    for task in _TASKS:
      _write_pytorch(self.source, task)

  def _convert(self, **options):
    return task_bank_conversion.convert(self.source, self.output, **options)


class ConversionTest(_SmallTest):
  def test_bank_holds_what_there_is_with_everything_known(self):
    report = self._convert()
    names = ('curvature', 'denoise', 'colorization', 'class_1000')
    self.assertEqual(report.converted, names)
    self.assertEmpty(report.failed)
    self.assertLen(report.missing, 16)
    bank = banks.load(str(self.output))
    self.assertEqual(bank.names, names)
    self.assertEqual(bank.image_size, 256)
    self.assertEqual(
      bank.groups,
      {
        'curvature': '3d', 'denoise': '2d', 'colorization': '2d',
        'class_1000': 'semantic',
      },
    )  # fmt: skip
    for encoder in bank.encoders:
      known = task_bank.encoders()[encoder.name]
      self.assertEqual(encoder.preprocessing, known.preprocessing)
      self.assertEqual(encoder.label, known.task.label)
      self.assertEqual(encoder.load().digest, encoder.sha256)
      with Explainer(
        encoder.graph,
        input_tensor=encoder.input_tensor,
        representation_tensor=encoder.representation_tensor,
        preprocessing=encoder.preprocessing,
        methods=('saliency', 'elrp'),
        batch_size=1,
      ) as explainer:
        explanation = explainer.explain(testing.images(1, 256))
      self.assertEqual(explanation.representation.shape, (1, 16, 16, 8))
      for values in explanation.maps.values():
        self.assertEqual(values.shape, (1, 256, 256, 3))
        self.assertGreater(np.abs(values).max(), 0)

  def test_oracle_is_taskonomys_among_these_sources(self):
    self._convert()
    oracle = evaluation.load_oracle(banks.load(str(self.output)))
    whole = Oracle.taskonomy()
    self.assertEqual(oracle.targets, ('curvature', 'denoise', 'class_1000'))
    for target in oracle.targets:
      self.assertEqual(
        oracle.ranking[target],
        tuple(n for n in whole.ranking[target] if n in _TASKS),
      )
    with open(self.output / 'oracle.csv', encoding='utf-8') as file:
      self.assertEqual(
        next(csv.reader(file)), ['target', 'rank_1', 'rank_2', 'rank_3']
      )

  def test_bank_without_a_target_has_no_oracle(self):
    self._convert(only=['colorization'])
    self.assertIsNone(banks.load(str(self.output)).oracle)
    _write_pytorch(self.source, 'inpainting_whole')
    self._convert(only=['inpainting_whole'])
    bank = banks.load(str(self.output))
    self.assertEqual(bank.names, ('colorization', 'inpainting_whole'))
    self.assertIsNone(bank.oracle)

  def test_second_run_converts_what_is_new_or_changed(self):
    self._convert(only=['curvature', 'denoise'])
    before = bank_testing.tree_bytes(self.output)
    _write_pytorch(self.source, 'denoise', seed=1)
    with _freezes() as freezes:
      report = self._convert()
      self.assertEqual(report.kept, ('curvature',))
      self.assertEqual(
        report.converted, ('denoise', 'colorization', 'class_1000')
      )
      after = bank_testing.tree_bytes(self.output)
      self.assertEqual(after['curvature.pb'], before['curvature.pb'])
      self.assertNotEqual(after['denoise.pb'], before['denoise.pb'])
      self.assertEqual(freezes.call_count, 3)
      self.assertLen(self._convert().kept, 4)
      self.assertEqual(freezes.call_count, 3)
    self.assertEqual(bank_testing.tree_bytes(self.output), after)

  @parameterized.parameters('delete', 'damage', 'weights_type')
  def test_graph_that_is_not_as_wanted_is_made_anew(self, change):
    self._convert(only=['curvature'])
    graph = self.output / 'curvature.pb'
    before = graph.read_bytes()
    options = {}
    if change == 'delete':
      graph.unlink()
    elif change == 'damage':
      graph.write_bytes(before[:-1])
    else:
      options = {'weights_type': 'float16'}
    report = self._convert(only=['curvature'], **options)
    self.assertEqual(report.converted, ('curvature',))
    self.assertEqual(graph.read_bytes() == before, change != 'weights_type')
    banks.load(str(self.output)).digests()

  def test_bad_file_is_named_and_the_others_are_converted(self):
    path = self.source / 'denoising_encoder.pth'
    path.write_bytes(path.read_bytes()[:-1000])
    report = self._convert()
    self.assertEqual(
      report.converted, ('curvature', 'colorization', 'class_1000')
    )
    self.assertEqual(list(report.failed), ['denoise'])
    self.assertIn(str(path), report.failed['denoise'])
    self.assertIn('denoise', report.missing)
    self.assertLen(banks.load(str(self.output)).encoders, 3)
    _write_pytorch(self.source, 'denoise')
    report = self._convert()
    self.assertEqual(report.converted, ('denoise',))
    self.assertNotIn('denoise', report.missing)

  def test_wrong_number_of_channels_is_named(self):
    shutil.copy(
      self.source / 'curvature_encoder.pth',
      self.source / 'colorization_encoder.pth',
    )
    report = self._convert()
    self.assertRegex(
      report.failed['colorization'],
      r"colorization_encoder.pth: .*'conv1.weight' has the shape "
      r'\[64, 3, 7, 7\], but \[64, 1, 7, 7\]',
    )

  def test_killed_run_leaves_a_bank_and_goes_on(self):
    freeze = task_bank_encoder.freeze
    with mock.patch.object(task_bank_encoder, 'freeze', _until(freeze, 2)):
      with self.assertRaises(KeyboardInterrupt):
        self._convert()
    self.assertEqual(
      banks.load(str(self.output)).names, ('curvature', 'denoise')
    )
    # As if it had been killed before the description was written.
    (self.output / 'bank.json').unlink()
    report = self._convert()
    self.assertEqual(report.kept, ('curvature', 'denoise'))
    self.assertEqual(report.converted, ('colorization', 'class_1000'))
    resumed = bank_testing.tree_bytes(self.output)
    shutil.rmtree(self.output)
    self._convert()
    self.assertEqual(bank_testing.tree_bytes(self.output), resumed)

  def test_what_was_converted_stays_when_its_source_is_gone(self):
    self._convert(only=['curvature'])
    (self.source / 'curvature_encoder.pth').unlink()
    self._convert()
    self.assertIn('curvature', banks.load(str(self.output)).names)

  def test_another_bank_is_not_written_into(self):
    bank_testing.write(self.output)
    before = bank_testing.tree_bytes(self.output)
    with self.assertRaisesRegex(ValueError, f'{self.output} .*another'):
      self._convert()
    self.assertEqual(bank_testing.tree_bytes(self.output), before)

  @parameterized.parameters('{', '[]', '{"curvature": 1}')
  def test_damaged_record_of_sources_is_named(self, text):
    self.output.mkdir()
    (self.output / 'sources.json').write_text(text)
    with self.assertRaisesRegex(ValueError, 'sources.json is damaged'):
      self._convert()

  def test_full_disk_is_noticed_before_anything_is_converted(self):
    usage = mock.Mock(free=3 * 90 * 2**20)
    with mock.patch.object(shutil, 'disk_usage', return_value=usage):
      with self.assertRaisesRegex(OSError, '4 graphs need .* GiB'):
        self._convert()
      self._convert(only=['curvature', 'denoise'])
      self.assertLen(self._convert().kept, 2)  # Which need no more.

  def test_unknown_task_and_empty_folder_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'jigsaw.*autoencoder'):
      self._convert(only=['jigsaw'])
    with self.assertRaisesRegex(ValueError, f'No encoders .*{self.source}'):
      self._convert(only=['edge2d'])

  def test_file_that_only_pretends_to_be_the_release_needs_a_flag(self):
    released = task_bank.encoders()['curvature'].files('pytorch')[0].path
    path = self.source / released
    (self.source / 'curvature_encoder.pth').rename(path)
    report = self._convert(only=['curvature'])
    self.assertRegex(
      report.failed['curvature'], f'{released} is not the released file'
    )
    self.assertEmpty(bank_testing.tree_bytes(self.root / 'bank'))
    with self.assertLogs(level='WARNING') as logs:
      report = self._convert(only=['curvature'], allow_unknown_digests=True)
    self.assertEqual(report.converted, ('curvature',))
    self.assertRegex(logs.output[0], 'not the file of the PyTorch release')

  def test_checkpoint_and_pytorch_file_give_the_same_bank(self):
    images = testing.images(1, 64) / np.float32(127.5) - 1
    model = task_bank_testing.SlimModel(images, task_bank_testing.SMALL_BLOCKS)
    model.save(self.source / 'edge2d' / task_bank.CHECKPOINT)
    state = {
      v.torch_name: model.variables[v.name].transpose(3, 2, 0, 1)
      if len(v.shape) == 4
      else model.variables[v.name]
      for v in task_bank_encoder.variables(3)
    }
    state = {name: value.astype(np.float32) for name, value in state.items()}
    torch_testing.save(self.source / 'edge_occlusion_encoder.pth', state)
    self._convert(only=['edge2d', 'edge3d'])
    edge2d, edge3d = (
      (self.output / f'{name}.pb').read_bytes() for name in ('edge2d', 'edge3d')
    )
    self.assertEqual(edge2d, edge3d)


def _freezes():
  return mock.patch.object(
    task_bank_encoder, 'freeze', wraps=task_bank_encoder.freeze
  )


def _until(function, number: int):
  """Returns `function`, that is interrupted after a number of calls."""
  calls = []

  def call(*args, **kwargs):
    calls.append(1)
    if len(calls) > number:
      raise KeyboardInterrupt
    return function(*args, **kwargs)

  return call


class EntryPointTest(_SmallTest):
  def setUp(self):
    super().setUp()
    self.cache = self.root / 'cache'
    for module in (banks, task_bank_download):
      self.enter_context(
        mock.patch.object(
          module.pooch, 'os_cache', return_value=str(self.cache)
        )
      )

  def _run(self, *arguments):
    """Returns exit code and what was printed."""
    ((code, out, err),) = command_testing.run(
      'taskonomy_models.convert_task_bank', arguments
    )
    return code, out + err

  def test_bank_is_written_where_it_is_looked_for(self):
    code, printed = self._run(f'--source={self.source}')
    self.assertEqual(code, 0, printed)
    self.assertIn('4 of 20 tasks; 4 converted now, 0 kept', printed)
    self.assertRegex(
      printed, 'Missing: autoencoder, edge2d, .*inpainting_whole'
    )
    self.assertLen(banks.load('task_bank').encoders, 4)
    code, printed = self._run(f'--source={self.source}')
    self.assertIn('0 converted now, 4 kept', printed)

  def test_bad_file_is_exit_code_1_after_the_others_were_converted(self):
    path = self.source / 'curvature_encoder.pth'
    path.write_text('This is no file of weights.')
    output = str(self.output)
    code, printed = self._run(f'--source={self.source}', f'--output={output}')
    self.assertEqual(code, 1)
    self.assertRegex(
      printed, f'1 not converted: curvature: {path}: it is neither'
    )
    self.assertNotIn('Traceback', printed)
    self.assertLen(banks.load(output).encoders, 3)

  @parameterized.parameters(
    ([], 'one of --source and --download'),
    (['--source=x', '--download=pytorch'], 'one of --source and --download'),
    (['--source=no/such/folder'], 'no/such/folder'),
    (['--source=.', '--weights_type=int8'], 'weights_type'),
    (['--download=keras'], 'download'),
    (['--source=.', 'stray'], 'stray'),
    (['--download=pytorch', '--tasks=nonsense'], 'nonsense'),
  )
  def test_wrong_arguments_are_one_clear_line(self, arguments, message):
    code, printed = self._run(*arguments)
    self.assertEqual(code, 1)
    self.assertIn(message, printed)
    self.assertNotIn('Traceback', printed)

  def test_tasks_and_weights_type_are_heeded(self):
    code, printed = self._run(
      f'--source={self.source}', '--tasks=denoise', '--weights_type=float16'
    )
    self.assertEqual(code, 0, printed)
    self.assertEqual(banks.load('task_bank').names, ('denoise',))
    records = json.loads(
      (banks.task_bank_folder() / 'sources.json').read_text()
    )
    self.assertEqual(records['denoise']['weights_type'], 'float16')

  def test_download_then_conversion(self):
    def retrieve(url, known_hash, fname, path, **_):
      """What the release holds is what the test has made."""
      self.assertRegex(known_hash, '^sha256:[0-9a-f]{64}$')
      self.assertEndsWith(url, fname)
      target = pathlib.Path(path) / fname
      target.parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(self.source / 'curvature_encoder.pth', target)

    with mock.patch.object(task_bank_download.pooch, 'retrieve', retrieve):
      code, printed = self._run(
        '--download=pytorch', '--tasks=curvature', '--allow_unknown_digests'
      )
    self.assertEqual(code, 0, printed)
    self.assertEqual(banks.load('task_bank').names, ('curvature',))


class DownloadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def _patch(self, retrieve):
    self.enter_context(
      mock.patch.object(task_bank_download.pooch, 'retrieve', retrieve)
    )

  def test_each_release_has_its_files(self):
    pytorch = task_bank_download.files('pytorch')
    self.assertLen(pytorch, 20)
    self.assertNotIn(None, [file.sha256 for file in pytorch])
    self.assertLen(task_bank_download.files('tensorflow'), 40)
    self.assertLen(task_bank_download.files('tensorflow', ['denoise']), 2)

  def test_offline_message_says_what_from_where_and_whereto(self):
    calls = []

    def retrieve(url, **_):
      calls.append(url)
      if 'autoencoding' not in url:
        raise ConnectionError('no route')

    self._patch(retrieve)
    wanted = task_bank_download.files('pytorch', ['autoencoder', 'curvature'])
    with self.assertRaisesRegex(
      ConnectionError, '1 files are missing'
    ) as caught:
      task_bank_download.fetch(wanted, self.folder)
    message = str(caught.exception)
    self.assertIn(wanted[1].urls[0], message)
    self.assertIn(f'`source={self.folder}`', message)
    self.assertNotIn('autoencoding', message)
    self.assertEqual(calls, [wanted[0].urls[0], *wanted[1].urls])

  def test_second_address_is_tried_where_the_first_fails(self):
    wanted = task_bank_download.files('pytorch', ['curvature'])
    got = []

    def retrieve(url, **_):
      if url == wanted[0].urls[0]:
        raise ValueError('wrong digest')
      got.append(url)

    self._patch(retrieve)
    task_bank_download.fetch(wanted, self.folder)
    self.assertEqual(got, [wanted[0].urls[1]])

  def test_file_that_is_there_is_fetched_again_only_if_it_is_wrong(self):
    """With pooch itself, and a folder in place of the network."""
    content = b'weights'
    remote = self.folder / 'remote' / 'x.pth'
    remote.parent.mkdir()
    remote.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    url = 'https://example.invalid/x.pth'
    wanted = task_bank.File('sub/x.pth', (url,), digest)
    fetched = []

    def download(url, output, _):
      fetched.append(url)
      shutil.copy(remote, output)

    self.enter_context(
      mock.patch.object(
        task_bank_download.pooch, 'HTTPDownloader', lambda **_: download
      )
    )
    local = self.folder / 'local' / 'sub' / 'x.pth'
    for expected in (1, 1):
      task_bank_download.fetch([wanted], self.folder / 'local')
      self.assertEqual(local.read_bytes(), content)
      self.assertLen(fetched, expected)
    local.write_bytes(content[:-1])
    task_bank_download.fetch([wanted], self.folder / 'local')
    self.assertLen(fetched, 2)
    self.assertEqual(local.read_bytes(), content)
    local.unlink()
    remote.write_bytes(b'An error page.')
    with self.assertRaises(ConnectionError):
      task_bank_download.fetch([wanted], self.folder / 'local')
    self.assertFalse(local.exists())


if __name__ == '__main__':
  absltest.main()
