"""Tests that an explainer lights the pixel that its network looks at."""

from collections.abc import Callable
import dataclasses

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution import preprocessing_operations
from attribution.explainer import Explainer
from attribution.preprocessing import Preprocessing

Place = tuple[float, float]


def stay(place: Place, height: int, width: int) -> Place:
  del height, width
  return place


def scale(rows: Callable[[int, int], float], columns=None):
  """Returns where a pixel's centre goes if the sides grow by factors."""

  def move(place: Place, height: int, width: int) -> Place:
    factors = rows(height, width), (columns or rows)(height, width)
    return tuple(
      (p + 0.5) * f - 0.5 for p, f in zip(place, factors, strict=True)
    )

  return move


def shift(sides: Callable[[int, int], tuple[int, int]]):
  """Returns where a pixel goes if the centre stays, and the sides change."""

  def move(place: Place, height: int, width: int) -> Place:
    new = sides(height, width)
    return (
      place[0] + (new[0] // 2 - height // 2),
      place[1] + (new[1] // 2 - width // 2),
    )

  return move


@dataclasses.dataclass(frozen=True)
class Case:
  """An operation, and where it moves a pixel, by a formula of its own.

  Attributes:
    text: The preprocessing, which ends in the operation.
    move: From (row, column) of the image, and its sides, to the input's.
    places: Rows and columns of the pixels, as fractions of the sides.
    tolerance: Pixels of the image that the brightest one may be away.
  """

  text: str
  move: Callable[[Place, int, int], Place] = stay
  places: tuple[Place, ...] = ((0, 0), (0.2, 0.7), (0.5, 0.5), (0.99, 0.99))
  tolerance: int = 0


_INNER = ((0.4, 0.6), (0.5, 0.5), (0.6, 0.4))

# At least one of every operation; images of even sides.
CASES = {
  'append_channel': [Case('append_channel(1)')],
  'bayer_mosaic': [Case('bayer_mosaic')],
  'bgr': [Case('bgr')],
  'center_crop': [
    Case('center_crop', shift(lambda h, w: (min(h, w),) * 2), _INNER),
    Case('center_crop(0.5)', shift(lambda h, w: (min(h, w) // 2,) * 2), _INNER),
  ],
  'channels_first': [Case('channels_first')],
  'clip': [Case('clip(0.05, 0.95)')],
  'crop': [Case('crop(6, 8)', shift(lambda h, w: (6, 8)), _INNER)],
  'grayscale': [Case('grayscale')],
  'lightness': [Case('lightness')],
  'mask_center': [Case('mask_center(0.25)', places=((0, 0), (0.9, 0.2)))],
  'mean_std': [Case('mean_std((-0.4, -0.5, -0.6), (0.2, 0.3, 0.4))')],
  'pad_to_square': [
    Case('pad_to_square(0.5)', shift(lambda h, w: (max(h, w),) * 2))
  ],
  'range': [Case('range(1, 255)')],
  'resize': [
    Case(f'resize({h}, {w})', scale(
      lambda height, _, h=h: h / height, lambda _, width, w=w: w / width
    ), tolerance=1)
    for h, w in ((60, 60), (31, 90), (13, 11), (40, 9), (200, 160))
  ],
  'resize_shorter': [
    Case(f'resize_shorter({side})', scale(
      lambda h, w, side=side: side / min(h, w)
    ), tolerance=1)
    for side in (11, 30)
  ],
}  # fmt: skip


def network_at(shape: tuple, pixel: tuple[int, int], is_nchw: bool):
  """Returns a frozen graph that sees one pixel of its input.

  A slice, and a unit for every channel: `input:0` and `seen:0`.
  """
  with tf.Graph().as_default() as graph:
    source = tf.compat.v1.placeholder(tf.float32, [None, *shape], 'input')
    row, column = pixel
    seen = source[:, :, row, column] if is_nchw else source[:, row, column, :]
    tf.multiply(seen, 2.0, name='seen')
  return graph.as_graph_def()


class PixelTest(parameterized.TestCase):
  def test_there_is_a_case_of_every_operation(self):
    self.assertEqual(set(CASES), set(preprocessing_operations.operations()))
    for name, cases in CASES.items():
      for case in cases:
        last = Preprocessing.parse(case.text).steps[-1]
        self.assertEqual(last.name, name)

  @parameterized.parameters(
    *((case, shape) for cases in CASES.values() for case in cases
      for shape in ((16, 28), (28, 16)))
  )  # fmt: skip
  def test_the_pixel_looked_at_is_the_brightest_of_the_map(self, case, shape):
    rng = np.random.default_rng(3)
    image = rng.uniform(0.4, 0.6, (1, *shape, 3))
    t = Preprocessing.parse(case.text)
    encoded = t.output_shape((*shape, 3))
    is_nchw = case.text.endswith('channels_first')
    sides = encoded[1:] if is_nchw else encoded[:2]
    for fractions in case.places:
      pixel = tuple(int(f * n) for f, n in zip(fractions, shape, strict=True))
      looked_at = tuple(
        int(np.clip(round(place), 0, side - 1))
        for place, side in zip(case.move(pixel, *shape), sides, strict=True)
      )
      with Explainer(
        network_at(encoded, looked_at, is_nchw),
        input_tensor='input:0',
        representation_tensor='seen:0',
        preprocessing=t,
        methods=('gradient_times_input',),
        batch_size=1,
      ) as explainer:
        explanation = explainer.explain(image)
      lit = np.abs(explanation.maps['gradient_times_input'][0]).sum(axis=2)
      self.assertEqual(lit.shape, shape)
      brightest = np.unravel_index(lit.argmax(), shape)
      distance = np.abs(np.subtract(brightest, pixel)).max()
      with self.subTest(pixel=pixel, looked_at=looked_at, lit=brightest):
        self.assertLessEqual(distance, case.tolerance)

  def test_chains_bring_a_pixel_back_too(self):
    text = 'center_crop | resize(48) | range(0, 255) | bgr | append_channel(1)'
    image = np.full((1, 16, 28, 3), 0.5)
    for pixel in ((0, 6), (8, 20), (15, 21)):
      looked_at = 3 * pixel[0] + 1, 3 * (pixel[1] - 6) + 1
      with Explainer(
        network_at((48, 48, 4), looked_at, False),
        input_tensor='input:0',
        representation_tensor='seen:0',
        preprocessing=text,
        methods=('gradient_times_input',),
      ) as explainer:
        maps = explainer.explain(image).maps['gradient_times_input']
      lit = np.abs(maps[0]).sum(axis=2)
      self.assertEqual(np.unravel_index(lit.argmax(), lit.shape), pixel)
      self.assertEqual(np.count_nonzero(lit), 1)


if __name__ == '__main__':
  absltest.main()
