"""Tests of the preprocessing language."""

from absl.testing import absltest, parameterized
import hypothesis
from hypothesis import strategies as st
import numpy as np

from attribution import geometric_operations, preprocessing_operations
from attribution.preprocessing import Preprocessing, PreprocessingError
from tests import testing

numbers = st.integers(-255, 255) | st.floats(-255, 255, width=32)
pairs = st.tuples(numbers, numbers).filter(lambda p: p[0] != p[1])
steps = st.one_of(
  st.sampled_from(['center_crop', 'bgr', 'mask_center(0.5)']),
  st.just('pad_to_square(0.5)'),
  st.integers(2, 40).map(lambda n: f'resize({n})'),
  st.integers(2, 40).map(lambda n: f'resize_shorter({n})'),
  st.tuples(st.integers(2, 40), st.integers(2, 40)).map(
    lambda p: f'resize({p[0]}, {p[1]})'
  ),
  pairs.map(lambda p: f'range({min(p)!r}, {max(p)!r})'),
  pairs.map(lambda p: f'clip({min(p)!r},{max(p)!r})'),
  numbers.map(lambda m: f'mean_std({m!r}, (1, 2, 0.5))'),
)


class LanguageTest(parameterized.TestCase):
  @parameterized.parameters(
    (' center_crop|resize( 256 ) ', 'center_crop | resize(256)'),
    ('resize(64, 64) | range(-1.0, 1)', 'resize(64) | range(-1, 1)'),
    ('resize(4,8)', 'resize(4, 8)'),
    ('center_crop(1)', 'center_crop'),
    ('crop(4, 4) | pad_to_square', 'crop(4) | pad_to_square(0)'),
    ('clip(.1, 0.90)', 'clip(0.1, 0.9)'),
    ('mean_std((0.5,), 1)', 'mean_std((0.5,), 1)'),
    ('mask_center()', 'mask_center(0.5, 0)'),
    ('range(-1, 1,)', None),
  )
  def test_text_has_one_canonical_form(self, text, expected):
    if expected is None:
      with self.assertRaises(PreprocessingError):
        Preprocessing.parse(text)
    else:
      self.assertEqual(str(Preprocessing.parse(text)), expected)

  @hypothesis.settings(max_examples=60, deadline=None)
  @hypothesis.given(st.lists(steps, min_size=1, max_size=5))
  def test_canonical_form_is_read_back(self, chosen):
    parsed = Preprocessing.parse(' | '.join(chosen))
    self.assertEqual(Preprocessing.parse(str(parsed)), parsed)
    self.assertEqual(str(Preprocessing.parse(str(parsed))), str(parsed))
    images = testing.images(1, 8)
    outputs = parsed(images)
    self.assertEqual(outputs.shape[1:], parsed.output_shape((8, 8, 3)))
    self.assertEqual(outputs.dtype, np.float32)
    self.assertEqual(parsed.inverse(outputs, (8, 8, 3)).shape, (1, 8, 8, 3))

  def test_unknown_operation_lists_the_known_ones(self):
    with self.assertRaisesRegex(
      PreprocessingError, "'zoom'.*center_crop.*resize"
    ):
      Preprocessing.parse('center_crop | zoom(2)')

  @parameterized.parameters(
    '', '|', 'resize', 'resize()', 'resize(0)', 'resize(2.5)', 'resize(-3)',
    'resize(1, 2, 3)', 'resize(1000000)', 'resize(True)', 'resize("a")',
    'resize(4', 'resize 4', 'clip(0.9, 0.1)', 'clip(1)', 'range(1, 1)',
    'range(0, 1e999)', 'range(0, None)', 'mean_std(0, 0)', 'mask_center(0)',
    'mask_center(2)', 'bgr(1)', 'center_crop(3)', 'Resize(4)',
    'channels_first | bgr', 'range(-1, 1), resize(4)', 'range(low=0, high=1)',
    'range(0, 1e39)', f'clip(0, 1{"0" * 400})', 'mean_std(0, 1e-300)',
    'range((0.1, 0.2, 0.3), (1, 2, 3))', 'append_channel((1, 2))',
    'mean_std(((1, 2, 3), (1, 2, 3), (1, 2, 3)), 1)',
  )  # fmt: skip
  def test_bad_text_is_one_clear_error(self, text):
    with self.assertRaises(PreprocessingError) as caught:
      Preprocessing.parse(text)
    self.assertIn(repr(text), str(caught.exception))
    self.assertNotIn('\n', str(caught.exception))

  @parameterized.parameters(
    '__import__("os").system("touch /tmp/x")',
    'resize(__import__("os").getpid())',
    'resize(1) or resize(2)',
    'resize(2**9)',
    'range(0, [1 for _ in range(3)])',
    'resize.__class__()',
  )
  def test_code_is_not_run(self, text):
    with self.assertRaises(PreprocessingError):
      Preprocessing.parse(text)

  def test_operation_can_be_registered_once(self):
    with self.assertRaisesRegex(ValueError, 'resize'):
      preprocessing_operations.register_operation('resize')(
        geometric_operations.Resize
      )


if __name__ == '__main__':
  absltest.main()
