"""Tests of what is stated about the released Taskonomy encoders."""

from absl.testing import absltest, parameterized
import numpy as np

from attribution.preprocessing import Preprocessing
from taskonomy_models import tasks
from taskonomy_models.task_bank import release as task_bank
from tests import testing


class TaskBankTest(parameterized.TestCase):
  def test_all_tasks_of_the_paper_are_there_in_their_order(self):
    self.assertEqual(
      list(task_bank.encoders()), [task.name for task in tasks.TASKS]
    )

  def test_files_of_the_pytorch_release_are_named_for_their_digests(self):
    files = [
      f for e in task_bank.encoders().values() for f in e.files('pytorch')
    ]
    self.assertLen({file.sha256 for file in files}, 20)
    self.assertLen({file.path.split('-')[0] for file in files}, 20)
    for file in files:
      self.assertRegex(file.sha256, '^[0-9a-f]{64}$')
      self.assertEndsWith(file.path, f'_encoder-{file.sha256}.pth')
      self.assertGreater(len(file.urls), 1)
      for url in file.urls:
        self.assertStartsWith(url, 'https://')
        self.assertEndsWith(url, f'/assets/pytorch/{file.path}')

  @parameterized.parameters(
    ('rgb2sfnorm', 'normal', 'f5e2c7737e4948e3'),
    ('class_1000', 'class_object', '4a4e42dad5806603'),
    ('rgb2mist', 'depth_euclidean', '88f18d41313de7db'),
    ('inpainting_whole', 'inpainting', 'bf96fbaaea9268a8'),
  )
  def test_some_names_and_digests_of_the_pytorch_release(
    self, task, name, digest
  ):
    (file,) = task_bank.encoders()[task].files('pytorch')
    self.assertStartsWith(file.path, f'{name}_encoder-{digest}')

  def test_files_of_the_tensorflow_release(self):
    files = task_bank.encoders()['edge2d'].files('tensorflow')
    self.assertEqual(
      [file.path for file in files],
      [
        'edge2d/model.permanent-ckpt.index',
        'edge2d/model.permanent-ckpt.data-00000-of-00001',
      ],
    )
    for file in files:
      self.assertEndsWith(
        file.urls[0], f'taskonomy_taskbankv1_models/{file.path}'
      )

  def test_one_encoder_sees_lightness_and_four_are_feed_forward(self):
    grey = [e.name for e in task_bank.encoders().values() if e.channels == 1]
    self.assertEqual(grey, ['colorization'])
    self.assertEqual(
      {e.name for e in task_bank.encoders().values() if e.prefix},
      {'class_1000', 'class_places', 'room_layout', 'vanishing_point'},
    )


class PreprocessingTest(parameterized.TestCase):
  @parameterized.parameters(*task_bank.encoders())
  def test_text_is_canonical_and_fits_the_encoder(self, name):
    encoder = task_bank.encoders()[name]
    preprocessing = Preprocessing.parse(encoder.preprocessing)
    self.assertEqual(str(preprocessing), encoder.preprocessing)
    for shape in ((300, 411, 3), (256, 256, 3), (101, 100, 3)):
      self.assertEqual(
        preprocessing.output_shape(shape), (256, 256, encoder.channels)
      )

  @parameterized.parameters(*task_bank.encoders())
  def test_it_is_the_demos_written_out(self, name):
    image = testing.images(1, size=512)[0]
    got = Preprocessing.parse(task_bank.encoders()[name].preprocessing)(
      image[None]
    )[0]
    # From 512 to 256 by bilinear interpolation: means of 2 x 2 pixels.
    x = image.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3)) / 255
    if name == 'colorization':
      linear = np.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)
      y = linear @ [0.212671, 0.715160, 0.072169]
      lightness = np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)
      expected = (lightness / 50 - 1)[..., None]
    else:
      plain = {'class_1000', 'class_places', 'vanishing_point'}
      plain |= {'segmentsemantic', 'inpainting_whole'}
      expected = 2 * (x if name in plain else np.clip(x, 0.1, 0.9)) - 1
      if name == 'inpainting_whole':
        expected[64:192, 64:192] = 0
    np.testing.assert_allclose(got, expected, 0, 2e-5)


if __name__ == '__main__':
  absltest.main()
