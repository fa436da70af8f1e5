"""Tests of the diagram of the method: what it says is what it was given."""

import pathlib
from unittest import mock

from absl.testing import absltest
import cv2
from matplotlib.figure import Figure
from matplotlib.text import Text
import numpy as np
import pytest

from experiments import figures
from tests import bank_testing, command_testing, module_graph, testing
from transferability.clustering import task_similarity_tree

_LABELS = ('Depth', 'Normals', 'Edges', 'Points_$x$', 'Scene')
_GROUPS = ('3d', '3d', '2d', '2d', None)


def _affinity() -> np.ndarray:
  """Returns an affinity in which two pairs are so near that labels collide."""
  points = np.eye(5)
  points[1] = points[0] + 0.05 * points[1]
  points[3] = points[2] + 0.05 * points[3]
  points[4] = 0.3 * points[0] + points[4]
  points /= np.linalg.norm(points, axis=1, keepdims=True)
  return points @ points.T


class MethodDiagramTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir(), 'diagram.png')

  def _draw(self, **changes) -> Figure:
    affinity = _affinity()
    maps = np.random.default_rng(0).normal(size=(5, 3, 8, 8, 3))
    arguments = {
      'images': testing.images(3),
      'maps': maps,
      'affinity': affinity,
      'tree': task_similarity_tree(affinity, _LABELS),
      'labels': _LABELS,
      'groups': _GROUPS,
    }
    with mock.patch.object(
      Figure, 'savefig', autospec=True, side_effect=Figure.savefig
    ) as savefig:
      figures.method_diagram(self.path, **arguments | changes)
    return savefig.call_args.args[0]

  def test_the_ranking_is_that_of_the_affinity(self):
    tree = task_similarity_tree(_affinity(), _LABELS)
    target = tree.leaf_order[0]
    row = _affinity()[target]
    row[target] = -np.inf
    texts = [t.get_text() for t in self._draw().findobj(Text)]
    start = texts.index('Sources for')
    expected = [_LABELS[i] for i in np.argsort(-row, kind='stable')[:-1]]
    self.assertEqual(
      texts[start + 1 : start + 6],
      [
        _LABELS[target],
        *(f'{place}  {name}' for place, name in enumerate(expected, 1)),
      ],
    )

  def test_the_matrix_is_the_affinity_in_the_order_of_the_tree(self):
    order = list(task_similarity_tree(_affinity(), _LABELS).leaf_order)
    drawn = [
      image.get_array()
      for axes in self._draw().axes
      for image in axes.images
      if image.get_array().ndim == 2
    ]
    self.assertLen(drawn, 1)
    expected = _affinity()[np.ix_(order, order)]
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(drawn[0].data[off], expected[off])
    self.assertTrue(drawn[0].mask[np.eye(5, dtype=bool)].all())

  def test_every_model_has_its_own_maps_in_its_row(self):
    maps = np.random.default_rng(0).normal(size=(5, 3, 8, 8, 3))
    images = testing.images(3)
    pictures = [
      (axes.get_position(), np.asarray(axes.images[0].get_array()))
      for axes in self._draw(maps=maps, images=images).axes
      if axes.images and axes.images[0].get_array().ndim == 3
    ]
    self.assertLen(pictures, 3 + 5 * 2)
    self.assertCountEqual(
      [p.tobytes() for _, p in pictures if p.shape[1] == 16][:3],
      [image.tobytes() for image in images],
    )
    heights = []
    for i in range(5):
      strips = figures.map_panels(images[:2], maps[i : i + 1, :2])
      for strip in strips[:, :, -16:] | 7:
        places = [p for p, shown in pictures if np.array_equal(shown, strip)]
        self.assertLen(places, 1)
        heights.append(places[0].y0)
    rows = np.reshape(heights, (5, 2))
    np.testing.assert_allclose(rows[:, 0], rows[:, 1])
    self.assertTrue((np.diff(rows[:, 0]) < 0).all())

  def test_no_label_covers_another(self):
    figure = self._draw()
    renderer = figure.canvas.get_renderer()
    boxes = [
      text.get_window_extent(renderer)
      for text in figure.findobj(Text)
      if text.get_text()
    ]
    for i, box in enumerate(boxes):
      for other in boxes[:i]:
        self.assertFalse(box.padded(-2).overlaps(other.padded(-2)))

  def test_the_same_input_gives_the_same_bytes(self):
    self._draw()
    first = self.path.read_bytes()
    self._draw()
    self.assertEqual(self.path.read_bytes(), first)

  def test_too_few_images_or_models_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'not 2 and 5'):
      self._draw(images=testing.images(2))
    with self.assertRaisesRegex(ValueError, 'not 3 and 2'):
      self._draw(labels=_LABELS[:2])
    with self.assertRaisesRegex(ValueError, '4 groups for 5'):
      self._draw(groups=_GROUPS[:4])
    self.assertFalse(self.path.exists())


class CommandTest(absltest.TestCase):
  @pytest.mark.slow
  def test_it_draws_networks_of_a_bank(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    bank_testing.write(folder / 'bank')
    output = folder / 'new' / 'diagram.png'
    given = output.with_suffix('')
    networks = 'alpha,beta,delta'
    ((code, out, err),) = command_testing.run(
      'experiments.run_diagram',
      [
        *(f'--bank={folder / "bank"}', f'--networks={networks}'),
        *('--num_images=3', f'--output={given}'),
      ],
    )
    self.assertEqual(code, 0, err)
    self.assertIn(f'Written: {output}', out)
    self.assertGreater(cv2.imread(str(output)).std(), 10)
    self.assertTrue(output.with_suffix('.pdf').exists())

  def test_too_few_networks_are_refused_before_any_work(self):
    ((code, _, err),) = command_testing.run(
      'experiments.run_diagram', ['--networks=edge2d,edge3d,edge2d']
    )
    self.assertEqual(code, 1)
    self.assertIn('--networks must name three or more', err)

  def test_the_picture_of_the_docs_is_not_too_large(self):
    path = module_graph.ROOT / 'docs' / 'images' / 'figure_1.png'
    self.assertLess(path.stat().st_size, 300_000)
    self.assertGreater(cv2.imread(str(path)).shape[1], 1500)


if __name__ == '__main__':
  absltest.main()
