"""Tests of the command that compresses one network."""

import pathlib

from absl.testing import absltest
import numpy as np
import pytest
import tensorflow as tf

from attribution.preprocessing import Preprocessing
from experiments.compression import loading, reporting
from taskonomy_models import bank as banks
from tests import command_testing, testing

_COMMAND = 'experiments.compress'
_QUICK = ['--num_images=20', '--num_explained=4', '--epochs=1']


class CompressTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    np.save(self.folder / 'images.npy', testing.images(20, 32))

  def _run(self, *arguments):
    probe = f'--probe={self.folder / "images.npy"}'
    ((code, out, err),) = command_testing.run(
      _COMMAND, [*arguments, probe, *_QUICK]
    )
    return code, out, err

  @pytest.mark.long
  @pytest.mark.slow
  def test_an_application_of_keras_gets_smaller_and_its_maps_are_judged(self):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.applications.MobileNet(
      (32, 32, 3), alpha=0.25, weights=None, classes=5
    )
    model.save(self.folder / 'model.keras')
    output = self.folder / 'run'
    code, out, err = self._run(
      str(self.folder / 'model.keras'),
      '--setting=structured',
      '--ratio=0.6',
      '--matching=swa',
      '--nocompare',
      f'--output={output}',
    )
    self.assertEqual(code, 0, err)
    self.assertIn('attributions were', out)
    small = tf.keras.models.load_model(output / 'compressed.keras')
    self.assertLess(small.count_params(), 0.45 * model.count_params())
    inputs = np.zeros((1, 32, 32, 3), np.float32)
    self.assertAlmostEqual(float(small(inputs).numpy().sum()), 1, places=5)
    page = (output / 'report.html').read_text()
    self.assertIn('attributions were', page)
    self.assertTrue((output / 'figures' / 'maps_grad_cam.png').exists())
    _, out, _ = self._run(
      str(self.folder / 'model.keras'),
      '--ratio=0.6',
      '--matching=swa',
      '--nocompare',
      f'--output={output}',
      '--resume',
    )
    self.assertIn('nothing was computed again', out)

  @pytest.mark.long
  @pytest.mark.slow
  def test_an_encoder_of_the_mini_bank_loses_weights(self):
    output = self.folder / 'run'
    code, _, err = self._run(
      'mini:edge2d',
      '--setting=unstructured',
      '--ratio=0.8',
      '--rounds=1',
      '--matching=subspace',
      '--nocompare',
      f'--output={output}',
    )
    self.assertEqual(code, 0, err)
    small = tf.keras.models.load_model(output / 'compressed.keras')
    kernels = [v.numpy() for v in small.weights if len(v.shape) == 4]
    zeros = np.mean(np.concatenate([k.ravel() for k in kernels]) == 0)
    self.assertAlmostEqual(zeros, 0.8, delta=0.01)

  def test_what_cannot_be_is_said_in_one_line(self):
    for arguments, part in (
      (['model.onnx'], 'no Keras network'),
      (['mini:wibble'], 'no network'),
      (['mini:edge2d', '--ratio=1'], '--ratio'),
      (['mini:edge2d', '--layer=wibble'], 'no layer'),
      (['mini:edge2d', '--matching=naive', '--beta=1'], '--beta is of maps'),
    ):
      code, _, err = self._run(*arguments, f'--output={self.folder / "x"}')
      self.assertEqual(code, 1)
      self.assertRegex(err, f'^Error: .*{part}.*\n$')
    self.assertFalse((self.folder / 'x').exists())


class RowsTest(absltest.TestCase):
  def test_the_error_of_outputs_is_in_units_of_what_differs(self):
    maps = dict.fromkeys(reporting.METHODS, np.ones((2, 3)))
    for outputs, expected in (([[1.0], [3.0]], 0.25), ([[0.3], [0.3]], np.nan)):
      before = np.array(outputs, np.float32)
      looked = {
        reporting.BEFORE: reporting.Judged(before, maps, (1, 1)),
        'naive': reporting.Judged(before + np.float32(0.5), maps, (1, 1)),
      }
      header, _, row = reporting.rows(looked)
      found = dict(zip(header, row, strict=True))['output error']
      np.testing.assert_allclose(found, expected)


class LoadingTest(absltest.TestCase):
  def test_an_encoder_of_the_mini_bank_is_the_frozen_one(self):
    bank = banks.load('mini')
    (encoder,) = (e for e in bank.encoders if e.name == 'colorization')
    model, text = loading.of_mini_bank('colorization')
    inputs = Preprocessing.parse(text)(testing.images(3, 64))
    expected = encoder.load().run(inputs)
    actual = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


class VerdictTest(absltest.TestCase):
  def test_it_counts_what_was_kept_and_compares_with_plain_compression(self):
    rng = np.random.default_rng(0)
    before = {m: rng.normal(size=(9, 4, 4, 3)) for m in reporting.METHODS}
    looked = {
      name: reporting.Judged(
        rng.normal(size=(9, 3)),
        {m: v + spread * rng.normal(size=v.shape) for m, v in before.items()},
        (5, 5),
      )
      for name, spread in (('before', 0), ('naive', 2), ('swa', 0.1))
    }
    first, second = reporting.verdict(looked, 'swa')
    self.assertStartsWith(first, 'Its attributions were kept: 6 of 6')
    self.assertIn('nearer, beyond doubt: Grad-CAM, Saliency', second)
    self.assertIn('farther: none', second)
    (only,) = reporting.verdict(looked, 'naive')
    self.assertStartsWith(only, 'Its attributions were not kept: 0 of 6')


if __name__ == '__main__':
  absltest.main()
