"""Tests of the figures: what is drawn, where, and that it is reproducible."""

from collections.abc import Callable
import os
import pathlib
from unittest import mock
import warnings

from absl.testing import absltest, parameterized
import cv2
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
import numpy as np

from experiments import figures
from experiments.figures import matrices
from taskonomy_models import tasks
from transferability import map_transforms
from transferability.clustering import task_similarity_tree
from transferability.ranking import PrecisionRecall

_LABELS = ('Depth', 'Edges', 'Normals', 'Scene', 'Points')
_GROUPS = ('3d', '2d', '3d', 'semantic', '2d')


def _affinity(seed: int = 0, size: int = 5) -> np.ndarray:
  points = np.random.default_rng(seed).normal(size=(size, 8))
  points /= np.linalg.norm(points, axis=1, keepdims=True)
  affinity = points @ points.T
  np.fill_diagonal(affinity, 1)
  return affinity


def _images(n: int = 2) -> np.ndarray:
  shape = (n, 12, 16, 3)
  return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def _maps(models: int = 3, n: int = 2) -> np.ndarray:
  shape = (models, n, 12, 16, 3)
  return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def _table(*names: str) -> dict[str, PrecisionRecall]:
  return {
    name: PrecisionRecall.from_hits([i + 1, i + 2, i + 4, i + 5], 10, 5)
    for i, name in enumerate(names)
  }


class FiguresTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir(), 'figure.png')

  def draw(self, function: Callable, *args, **options) -> Figure:
    """Calls a function of the library; returns the figure that it saved."""
    savefig, drawn = Figure.savefig, []

    def keep(figure, *args, **options):
      drawn.append(figure)
      savefig(figure, *args, **options)

    with mock.patch.object(Figure, 'savefig', keep):
      function(self.path, *args, **options)
    (figure,) = dict.fromkeys(drawn)  # Once as PNG, once as PDF.
    return figure

  def assert_nothing_is_cut_off(self, figure: Figure) -> None:
    box = figure.get_tightbbox(figure.canvas.get_renderer())  # In inches.
    width, height = figure.get_size_inches()
    self.assertGreaterEqual(min(box.x0, box.y0), 0)
    self.assertLessEqual(box.x1, width)
    self.assertLessEqual(box.y1, height)


_DRAWINGS = {
  'map_grid': (_images(), _maps(), _LABELS[:3], 'elrp'),
  'affinity_heat_map': (_affinity(), _LABELS, range(5), 'Affinity', _GROUPS),
  'precision_recall_curves': (_table('elrp', 'random', 'oracle'), 'precision'),
  'task_tree': (task_similarity_tree(_affinity(), _LABELS), _LABELS, _GROUPS),
}


class EveryFigureTest(FiguresTestCase):
  @parameterized.parameters(*_DRAWINGS)
  def test_same_input_gives_same_bytes(self, name):
    first, second = self.path, self.path.with_name('again.png')
    for path in (first, second):
      getattr(figures, name)(path, *_DRAWINGS[name])
    for kind in ('.png', '.pdf'):
      data = [path.with_suffix(kind).read_bytes() for path in (first, second)]
      self.assertEqual(*data)
      self.assertNotIn(b'atplotlib', data[0])
      self.assertNotIn(b'CreationDate', data[0])

  @parameterized.parameters(*_DRAWINGS)
  def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(self, name):
    self.path.write_bytes(b'old')
    with mock.patch.object(os, 'replace', side_effect=OSError('disk full')):
      with self.assertRaisesRegex(OSError, 'disk full'):
        getattr(figures, name)(self.path, *_DRAWINGS[name])
    self.assertEqual(self.path.read_bytes(), b'old')
    self.assertLen(list(self.path.parent.iterdir()), 1)

  @parameterized.parameters(*_DRAWINGS)
  def test_nothing_is_cut_off(self, name):
    self.assert_nothing_is_cut_off(
      self.draw(getattr(figures, name), *_DRAWINGS[name])
    )

  def test_pyplot_is_not_imported(self):
    for path in pathlib.Path(figures.__file__).parent.glob('*.py'):
      source = path.read_text()
      self.assertNotIn('pyplot as', source)
      self.assertNotIn('import pyplot', source)

  @parameterized.parameters('a$^$b', '_private', '{x')
  def test_labels_are_neither_mathematics_nor_left_out(self, label):
    labels = (label, *_LABELS[1:])
    groups = (label, *_GROUPS[1:])
    tree = task_similarity_tree(_affinity(), labels)
    matrix = (_affinity(), labels, range(5), label, groups)
    for count, figure in (
      (1, self.draw(figures.map_grid, _images(), _maps(), labels[:3], 'elrp')),
      (4, self.draw(figures.affinity_heat_map, *matrix)),
      (3, self.draw(figures.task_tree, tree, labels, groups, label)),
    ):
      texts = figure.findobj(Text)
      found = [t for t in texts if t.get_visible() and t.get_text() == label]
      self.assertLen(found, count)
      self.assertFalse(any(text.get_parse_math() for text in found))


class GroupColorsTest(parameterized.TestCase):
  def test_groups_of_the_paper_have_their_own_fixed_colors(self):
    colors = figures.group_colors(tasks.GROUPS)
    self.assertEqual(colors, {g: figures.GROUP_COLORS[g] for g in tasks.GROUPS})
    self.assertLen(set(colors.values()), 4)

  def test_colors_do_not_depend_on_the_order_of_groups(self):
    groups = ['mine', '2d', 'yours', 'theirs']
    self.assertEqual(
      figures.group_colors(groups), figures.group_colors(groups[::-1])
    )

  def test_other_groups_differ_from_each_other_and_from_the_paper(self):
    groups = [*tasks.GROUPS, *'abcdefghijklmnop', None]
    self.assertLen(set(figures.group_colors(groups).values()), len(groups))

  def test_groups_are_called_in_words(self):
    self.assertEqual(figures.group_label('object_pose'), 'object pose')

  def test_more_groups_than_colors_still_have_one_each(self):
    self.assertLen(figures.group_colors(map(str, range(50))), 50)


class MapPanelsTest(parameterized.TestCase):
  def test_first_panel_is_the_image(self):
    panels = figures.map_panels(_images(), _maps())
    np.testing.assert_array_equal(panels[:, :, :16], _images())

  def test_panels_stand_in_the_order_of_models(self):
    maps = _maps()
    panels = figures.map_panels(_images(), maps)
    swapped = figures.map_panels(_images(), maps[::-1])
    np.testing.assert_array_equal(panels[:, :, 20:36], swapped[:, :, 60:76])
    self.assertEqual(panels.shape, (2, 12, 16 + 3 * 20, 3))

  def test_positive_is_red_negative_blue_and_zero_nearly_white(self):
    maps = np.zeros((1, 1, 12, 16, 1), np.float32)
    maps[0, 0, :4], maps[0, 0, 4:8] = 2, -2
    panel = figures.map_panels(_images(1), maps)[0, :, 20:].astype(int)
    self.assertTrue((panel[:4, :, 0] > panel[:4, :, 2] + 50).all())
    self.assertTrue((panel[4:8, :, 2] > panel[4:8, :, 0] + 50).all())
    self.assertGreater(panel[8:].min(), 240)

  def test_channels_are_summed_with_their_sign(self):
    maps = np.zeros((1, 1, 12, 16, 2), np.float32)
    maps[..., 0], maps[..., 1] = 3, -3
    panel = figures.map_panels(_images(1), maps)[0, :, 20:]
    self.assertGreater(panel.min(), 240)

  def test_maps_that_are_nowhere_negative_are_black_at_zero(self):
    maps = np.abs(_maps())
    maps[:, :, 0, 0] = 0
    panels = figures.map_panels(_images(), maps)
    self.assertLess(panels[:, 0, 20].max(), 10)
    maps[0, 0, 5, 5] = -1e-3  # Now zero is in the middle of the scale.
    panels = figures.map_panels(_images(), maps)
    self.assertGreater(panels[:, 0, 20].min(), 240)

  def test_each_map_has_its_own_scale(self):
    maps = _maps()
    scaled = maps.copy()
    scaled[1, 0] *= 1000
    np.testing.assert_array_equal(
      figures.map_panels(_images(), maps), figures.map_panels(_images(), scaled)
    )

  def test_one_outlier_does_not_hide_the_rest(self):
    maps = np.ones((1, 1, 20, 20, 1), np.float32)
    images = np.zeros((1, 20, 20, 3), np.uint8)
    expected = figures.map_panels(images, maps)
    maps[0, 0, 0, 0] = 1e6
    np.testing.assert_array_equal(figures.map_panels(images, maps), expected)

  def test_a_map_of_one_pixel_or_none_can_be_drawn(self):
    maps = np.zeros((1, 2, 30, 30, 1), np.float32)
    maps[0, 0, 3, 4] = 1e-6  # Less than 0.5 % of the pixels.
    panels = figures.map_panels(np.zeros((2, 30, 30, 3), np.uint8), maps)
    self.assertGreater(panels[0, 3, 34 + 4].max(), 200)
    self.assertLess(panels[1, :, 34:].max(), 10)

  def test_maps_of_another_size_are_drawn_as_large_as_the_image(self):
    maps = _maps()[:, :, ::2, ::2]
    self.assertEqual(
      figures.map_panels(_images(), maps).shape, (2, 12, 16 + 3 * 20, 3)
    )

  @parameterized.named_parameters(
    ('of_other_images', _maps(n=3), 'Maps of 2 images'),
    ('without_channels', _maps()[..., 0], 'Maps of 2 images'),
    ('not_finite', _maps() * np.float32('nan'), 'not finite'),
  )
  def test_maps_are_refused(self, maps, message):
    with self.assertRaisesRegex(ValueError, message):
      figures.map_panels(_images(), maps)

  def test_images_that_are_not_uint8_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'float64'):
      figures.map_panels(_images() / 255, _maps())


class MapGridTest(FiguresTestCase):
  def test_twenty_models_and_five_images_fit_a_page(self):
    labels = [task.label for task in tasks.TASKS]
    figure = self.draw(
      figures.map_grid, _images(5), _maps(20, 5), labels, 'elrp'
    )
    self.assert_nothing_is_cut_off(figure)
    height, width = cv2.imread(str(self.path)).shape[:2]
    self.assertBetween(width, 1600, 1850)
    self.assertLess(height, 2400)
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes[:2]:
      boxes = [t.get_window_extent(renderer) for t in axes.texts]
      self.assertLen(boxes, 11)
      for left, right in zip(boxes, boxes[1:], strict=False):
        self.assertLess(left.x1, right.x0)

  def test_a_panel_is_large_enough_to_see(self):
    figure = self.draw(
      figures.map_grid, _images(5), _maps(20, 5), ['x'] * 20, 'elrp'
    )
    across = figure.axes[0].get_position().width * figure.get_size_inches()[0]
    self.assertGreater(across / 11, 0.95)

  def test_labels_have_the_colors_of_their_groups(self):
    groups = ['2d', None, 'semantic']
    figure = self.draw(
      figures.map_grid, _images(), _maps(), 'abc', 'elrp', True, groups
    )
    ink = figure.axes[0].texts[0].get_color()
    colors = [text.get_color() for text in figure.axes[0].texts]
    two, semantic = (figures.GROUP_COLORS[g] for g in ('2d', 'semantic'))
    self.assertEqual(colors, [ink, two, ink, semantic])
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    self.assertEqual(said, ['2D', 'semantic', 'no group'])
    self.assert_nothing_is_cut_off(figure)

  def test_overlay_shows_the_image_where_a_map_says_nothing(self):
    images = _images(1)
    maps = np.zeros((1, 1, 12, 16, 3))
    maps[0, 0, 2, 3], maps[0, 0, 8, 9] = 1, -1
    panel = figures.map_panels(images, maps, overlay=True)[0, :, -16:]
    grey = images[0].astype(float).mean(axis=-1)
    silent = np.ones((12, 16), bool)
    silent[2, 3] = silent[8, 9] = False
    self.assertEqual(np.ptp(panel[silent].astype(int), axis=-1).max(), 0)
    correlation = np.corrcoef(panel[silent][:, 0], grey[silent])[0, 1]
    self.assertGreater(correlation, 0.999)
    red, blue = panel[2, 3].astype(int), panel[8, 9].astype(int)
    self.assertGreater(red[0], red[2] + 100)
    self.assertGreater(blue[2], blue[0] + 100)

  def test_many_models_are_drawn_in_bands_of_equal_size(self):
    labels = [f'Network {i}' for i in range(54)]
    maps = np.zeros((54, 2, 12, 16, 3))
    maps[np.arange(54), :, 3, 4] = np.arange(1, 55)[:, None, None]
    maps[53] = -1
    figure = self.draw(figures.map_grid, _images(), maps, labels, 'elrp')
    self.assert_nothing_is_cut_off(figure)
    *bands, _ = figure.axes  # The last one is the scale.
    shown = [[t.get_text() for t in axes.texts] for axes in bands]
    self.assertEqual(
      shown, [['Image', *labels[i : i + 9]] for i in range(0, 54, 9)]
    )
    renderer = figure.canvas.get_renderer()
    self.assertGreater(
      bands[0].get_window_extent(renderer).y0,
      bands[1].texts[1].get_window_extent(renderer).y1,
    )
    blue = bands[-1].images[0].get_array()[5, -5]
    self.assertGreater(int(blue[2]), int(blue[0]) + 50)

  def test_caption_states_the_scale(self):
    figure = self.draw(
      figures.map_grid, _images(), _maps(), _LABELS[:3], 'elrp'
    )
    caption = ' '.join(text.get_text() for text in figure.texts)
    self.assertIn('99.5 % quantile', caption)
    self.assertIn('ε-LRP', caption)

  def test_labels_of_other_models_are_refused(self):
    with self.assertRaisesRegex(ValueError, '5 labels for 3 models'):
      figures.map_grid(self.path, _images(), _maps(), _LABELS, 'elrp')


class AffinityHeatMapTest(FiguresTestCase):
  def test_rows_labels_and_colors_stand_in_the_order_given(self):
    order, affinity = (3, 0, 4, 2, 1), _affinity()
    figure = self.draw(
      figures.affinity_heat_map, affinity, _LABELS, order, 'Title', _GROUPS
    )
    axes = figure.axes[0]
    for texts in (axes.get_xticklabels(), axes.get_yticklabels()):
      self.assertEqual(
        [text.get_text() for text in texts], [_LABELS[i] for i in order]
      )
      self.assertEqual(
        [text.get_color() for text in texts],
        [figures.GROUP_COLORS[_GROUPS[i]] for i in order],
      )
    drawn = axes.images[0].get_array()
    self.assertAlmostEqual(drawn[0, 1], affinity[3, 0])
    self.assertAlmostEqual(drawn[4, 2], affinity[1, 4])

  def test_scale_is_that_of_the_values_off_the_diagonal(self):
    affinity = _affinity() * 0.01
    np.fill_diagonal(affinity, 1)
    figure = self.draw(
      figures.affinity_heat_map, affinity, _LABELS, range(5), 'Title'
    )
    picture = figure.axes[0].images[0]
    largest = np.abs(affinity[~np.eye(5, dtype=bool)]).max()
    self.assertAlmostEqual(picture.norm.vmin, -largest)
    self.assertAlmostEqual(picture.norm.vmax, largest)
    self.assertTrue(np.ma.getmaskarray(picture.get_array()).diagonal().all())

  def test_zero_is_white_and_has_a_tick(self):
    figure = self.draw(
      figures.affinity_heat_map, _affinity(), _LABELS, range(5), 'Title'
    )
    axes, bar = figure.axes
    picture = axes.images[0]
    self.assertGreater(min(picture.cmap(picture.norm(0.0))), 0.95)
    red, _, blue, _ = picture.cmap(picture.norm(0.1))
    self.assertGreater(red, blue)
    self.assertIn('0', [text.get_text() for text in bar.get_yticklabels()])
    others = _affinity()[~np.eye(5, dtype=bool)]
    self.assertEqual(bar.get_ylim(), (others.min(), others.max()))

  def test_one_large_pair_does_not_make_the_others_look_alike(self):
    affinity = np.eye(4)
    for i, j, value in ((0, 1, 0.9), (0, 2, 0.02), (1, 2, 0.05), (2, 3, 0.1)):
      affinity[i, j] = affinity[j, i] = value
    figure = self.draw(
      figures.affinity_heat_map, affinity, _LABELS[:4], range(4), 'Title'
    )
    picture = figure.axes[0].images[0]
    colors = picture.cmap(picture.norm(np.array([0.0, 0.02, 0.05, 0.1, 0.9])))
    steps = np.abs(np.diff(colors, axis=0)).max(axis=1)
    self.assertGreater(steps.min(), 0.04)

  @parameterized.parameters((-0.1, 0.72), (0.0, 0.003), (-1.0, 0.0), (0.0, 0.0))
  def test_ticks_of_the_scale_are_round_and_zero_is_one(self, low, high):
    ticks = matrices.scale_ticks(low, high)
    self.assertIn(0, ticks)
    self.assertLessEqual(len(ticks), 13)
    for tick in ticks:
      self.assertBetween(tick, low, high)
      self.assertIn(f'{abs(tick):.0e}'[0], '0125')
    self.assertGreaterEqual(len(ticks), 3 if high > low else 1)

  def test_affinities_of_zero_are_drawn_without_a_warning(self):
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      self.draw(
        figures.affinity_heat_map, np.eye(3), _LABELS[:3], range(3), 'Title'
      )

  def test_cells_show_small_values_in_a_unit_that_is_given(self):
    affinity = np.full((3, 3), -0.00234)
    affinity[0, 1] = affinity[1, 0] = 0.00781
    affinity[0, 2] = affinity[2, 0] = -0.000001
    figure = self.draw(
      figures.affinity_heat_map, affinity, _LABELS[:3], range(3), 'Title'
    )
    axes = figure.axes[0]
    self.assertEqual(
      [text.get_text() for text in axes.texts],
      ['7.8', '0.0', '7.8', '−2.3', '0.0', '−2.3'],
    )
    self.assertIn('10^{3}', axes.get_xlabel())

  def test_large_values_are_shown_as_they_are(self):
    affinity = np.array([[1, 0.456], [0.456, 1]])
    figure = self.draw(
      figures.affinity_heat_map, affinity, _LABELS[:2], range(2), 'Title'
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    self.assertEqual(texts, ['0.46', '0.46'])
    self.assertEmpty(figure.axes[0].get_xlabel())

  def test_values_of_many_models_are_not_written(self):
    figure = self.draw(
      figures.affinity_heat_map,
      _affinity(size=13),
      [f'Model {i}' for i in range(13)],
      range(13),
      'Title',
    )
    self.assertEmpty(figure.axes[0].texts)
    self.assert_nothing_is_cut_off(figure)

  def test_another_matrix_is_another_picture(self):
    pictures = []
    for seed in (0, 1):
      figures.affinity_heat_map(
        self.path, _affinity(seed), _LABELS, range(5), 'Title'
      )
      pictures.append(cv2.imread(str(self.path)))
    self.assertGreater(np.abs(np.subtract(*pictures, dtype=float)).mean(), 1)

  def test_legend_is_below_the_title_and_clear_of_long_labels(self):
    labels = ('A rather long name of a model', *_LABELS[1:])
    figure = self.draw(
      figures.affinity_heat_map, _affinity(), labels, range(5), 'T', _GROUPS
    )
    renderer = figure.canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(renderer)
    for text in figure.axes[0].get_xticklabels():
      self.assertFalse(text.get_window_extent(renderer).overlaps(legend))
    self.assert_nothing_is_cut_off(figure)

  @parameterized.parameters(((0, 1, 2, 3, 3),), ((0, 1, 2, 3),))
  def test_order_that_is_no_permutation_is_refused(self, order):
    with self.assertRaisesRegex(ValueError, 'order'):
      figures.affinity_heat_map(self.path, _affinity(), _LABELS, order, 'T')

  def test_affinity_that_is_not_finite_is_refused(self):
    affinity = _affinity()
    affinity[0, 1] = np.nan
    with self.assertRaisesRegex(ValueError, 'not finite'):
      figures.affinity_heat_map(self.path, affinity, _LABELS, range(5), 'T')


class CurvesTest(FiguresTestCase):
  @parameterized.parameters('precision', 'recall')
  def test_lines_are_the_table(self, kind):
    table = _table('random', 'elrp', 'saliency')
    axes = self.draw(figures.precision_recall_curves, table, kind).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    self.assertEqual(names, ['ε-LRP', 'Saliency', 'Random'])
    lines = axes.get_lines()
    for name, line in zip(('elrp', 'saliency', 'random'), lines, strict=True):
      np.testing.assert_array_equal(line.get_xdata(), table[name].k)
      np.testing.assert_array_equal(
        line.get_ydata(), getattr(table[name], kind)
      )
    self.assertEqual(axes.get_xlabel(), 'K')
    self.assertEqual(axes.get_ylabel(), f'{kind[0].upper()}@K')

  def test_methods_are_thick_and_solid_and_all_look_different(self):
    names = [f'method {i}' for i in range(20)]
    lines = (
      self.draw(figures.precision_recall_curves, _table(*names), 'recall')
      .axes[0]
      .lines
    )
    looks = {(line.get_color(), line.get_marker()) for line in lines}
    self.assertLen(looks, 20)
    self.assertEqual({line.get_linestyle() for line in lines}, {'-'})
    self.assertLen({line.get_linewidth() for line in lines}, 1)

  def test_curves_that_coincide_are_striped_and_both_are_seen(self):
    table = _table('elrp', 'saliency', 'rsa')
    table['cka'] = table['elrp']
    figure = self.draw(figures.precision_recall_curves, table, 'precision')
    axes = figure.axes[0]
    lines = dict(zip(table, axes.get_lines(), strict=True))
    for name in ('saliency', 'rsa'):
      self.assertEqual(lines[name].get_linestyle(), '-')
    (shift, one), (other_shift, two) = (
      lines[name]._unscaled_dash_pattern for name in ('elrp', 'cka')
    )
    self.assertEqual(one, two)
    self.assertEqual(other_shift - shift, one[0])  # Side by side.
    title = axes.get_legend().get_title().get_text()
    self.assertEqual(title, 'Striped: curves that coincide')
    look = figures.curve_styles({n: c.precision for n, c in table.items()})
    self.assertEqual(look['elrp']['dashes'], look['cka']['dashes'])
    self.assertNotEqual(look['elrp']['shift'], look['cka']['shift'])
    self.assertEqual(look['saliency']['dashes'], '')
    self.assertLen({one['width'] for one in look.values()}, 1)
    self.assert_nothing_is_cut_off(figure)

  def test_baselines_are_thin_and_grey_and_all_look_different(self):
    table = _table('elrp', *figures.BASELINES)
    method, *baselines = (
      self.draw(figures.precision_recall_curves, table, 'precision')
      .axes[0]
      .get_lines()
    )
    self.assertLen(baselines, 6)
    for line in baselines:
      red, green, blue = (
        to_hex(line.get_color())[i : i + 2] for i in (1, 3, 5)
      )
      self.assertTrue(red == green == blue, line.get_color())
      self.assertLess(line.get_linewidth(), method.get_linewidth())
    # Matplotlib gives no dashes back but those of a line that is drawn.
    dashes = {str(line._unscaled_dash_pattern) for line in baselines}
    self.assertLen(dashes, 6)

  def test_another_table_is_another_picture(self):
    contents = set()
    for names in (('a', 'b'), ('b', 'a')):
      table = dict(sorted(_table(*names).items()))
      figures.precision_recall_curves(self.path, table, 'precision')
      contents.add(self.path.read_bytes())
    self.assertLen(contents, 2)

  def test_unknown_kind_and_empty_table_are_refused(self):
    with self.assertRaisesRegex(ValueError, "'f1' is neither"):
      figures.precision_recall_curves(self.path, _table('elrp'), 'f1')
    with self.assertRaisesRegex(ValueError, 'no curve'):
      figures.precision_recall_curves(self.path, {}, 'recall')


class BarsTest(FiguresTestCase):
  def test_on_a_log_scale_values_are_points_and_must_be_positive(self):
    seconds = {'measured': [0.003, 12.0, 400.0]}
    figure = self.draw(
      figures.bars, 'abc', seconds, 'Title', 'Seconds', log_scale=True
    )
    axes = figure.axes[0]
    self.assertEmpty(axes.patches)
    self.assertEqual(axes.get_xscale(), 'log')
    self.assertEqual(list(axes.lines[0].get_xdata()), seconds['measured'])
    self.assert_nothing_is_cut_off(figure)
    with self.assertRaisesRegex(ValueError, 'measured has values that are not'):
      figures.bars(
        self.path, 'ab', {'measured': [1, -2]}, '', '', log_scale=True
      )


class ScatterPanelsTest(FiguresTestCase):
  def test_dots_bear_their_rank_and_a_key_says_whose_they_are(self):
    rng = np.random.default_rng(0)
    names = [f'network_{i}' for i in range(20)]
    y = rng.normal(size=20)
    columns = {name: rng.normal(size=20) for name in ('logme', 'parc')}
    figure = self.draw(
      figures.scatter_panels, columns, y, {}, 'Title', 'Measured', names
    )
    self.assert_nothing_is_cut_off(figure)
    key = ' '.join(text.get_text() for text in figure.texts)
    self.assertIn(f'1 {names[int(np.argmax(y))]}, 2 ', key)
    for axes in figure.axes:
      numbers = [int(text.get_text()) for text in axes.texts]
      self.assertCountEqual(numbers, range(1, 21))
      first = axes.texts[numbers.index(1)]
      self.assertEqual(first.xy[1], y.max())


class MethodLabelTest(absltest.TestCase):
  def test_what_was_done_to_maps_is_said_in_words(self):
    self.assertEqual(
      figures.method_label('elrp@absolute+root+pooled@common_removed'),
      'ε-LRP (absolute values, square roots, pooled to 32 x 32, less the mean '
      'map of all networks)',
    )
    for step in map_transforms.steps():
      self.assertNotIn(step, figures.method_label(f'elrp@{step}').split())

  def test_names_of_methods_and_baselines_are_those_of_the_paper(self):
    self.assertEqual(figures.method_label('elrp'), 'ε-LRP')
    self.assertEqual(figures.method_label('oracle'), 'Oracle')
    self.assertEqual(figures.method_label('mine'), 'mine')


class TaskTreeTest(FiguresTestCase):
  def setUp(self):
    super().setUp()
    self.tree = task_similarity_tree(_affinity(), _LABELS)

  def test_legend_has_an_entry_per_group_in_its_color(self):
    figure = self.draw(figures.task_tree, self.tree, _LABELS, _GROUPS)
    (legend,) = figure.legends
    self.assertEqual(
      {text.get_text(): text.get_color() for text in legend.get_texts()},
      {
        figures.group_label(group): figures.GROUP_COLORS[group]
        for group in set(_GROUPS)
      },
    )
    self.assertEqual(
      [to_hex(handle.get_color()) for handle in legend.legend_handles],
      [to_hex(text.get_color()) for text in legend.get_texts()],
    )

  def test_models_without_a_group_are_grey_and_in_the_legend(self):
    groups = [None, *_GROUPS[1:]]
    figure = self.draw(figures.task_tree, self.tree, _LABELS, groups)
    (legend,) = figure.legends
    grey = legend.get_texts()[-1]
    self.assertEqual(grey.get_text(), 'no group')
    self.assertEqual(grey.get_color(), figures.group_colors([None])[None])

  def test_without_groups_there_is_no_legend(self):
    figure = self.draw(figures.task_tree, self.tree, _LABELS)
    self.assertEmpty(figure.legends)

  def test_leaves_stand_in_the_order_of_the_tree_in_their_groups_color(self):
    figure = self.draw(figures.task_tree, self.tree, _LABELS, _GROUPS)
    leaves = [t for t in figure.axes[0].texts if t.get_text() in _LABELS]
    leaves.sort(key=lambda text: text.xy[1])
    self.assertEqual(
      [(text.get_text(), text.get_color()) for text in leaves],
      [
        (_LABELS[i], figures.GROUP_COLORS[_GROUPS[i]])
        for i in self.tree.leaf_order
      ],
    )

  def test_branch_of_a_leaf_starts_beside_its_label(self):
    figure = self.draw(figures.task_tree, self.tree, _LABELS)
    axes = figure.axes[0]
    rows = {text.get_text(): text.xy[1] for text in axes.texts}
    segments = iter(axes.collections[0].get_segments())
    for node in self.tree.linkage[:, :2].astype(int).ravel():
      (_, row), *_ = next(segments)
      if node < len(_LABELS):
        self.assertEqual(row, rows[_LABELS[node]])

  def test_long_labels_are_not_cut_off(self):
    labels = ('A rather long name of a model, with its version', *_LABELS[1:])
    figure = self.draw(figures.task_tree, self.tree, labels, _GROUPS)
    self.assert_nothing_is_cut_off(figure)

  def test_branches_join_at_the_distances_of_the_tree(self):
    axes = self.draw(figures.task_tree, self.tree, _LABELS).axes[0]
    (lines,) = axes.collections
    joins = {round(float(line[1][0]), 9) for line in lines.get_segments()[:-1]}
    self.assertEqual(joins, {round(d, 9) for d in self.tree.linkage[:, 2]})
    self.assertLen(lines.get_segments(), 2 * 4 + 1)

  def test_branch_has_a_groups_color_only_if_all_its_leaves_do(self):
    affinity = np.full((3, 3), 0.1)
    affinity[0, 1] = affinity[1, 0] = 0.8
    np.fill_diagonal(affinity, 1)
    tree = task_similarity_tree(affinity, 'abc')
    axes = self.draw(figures.task_tree, tree, 'abc', ['2d', '2d', '3d']).axes[0]
    colors = [to_hex(color) for color in axes.collections[0].get_colors()]
    two, three = (figures.GROUP_COLORS[group].lower() for group in ('2d', '3d'))
    self.assertCountEqual(colors[:4], [two, two, two, three])
    self.assertNotIn(colors[4], (two, three))

  @parameterized.parameters(1e-6, 1e-3, 0.5)
  def test_axis_is_cropped_to_where_models_join(self, scale):
    affinity = _affinity() * scale
    np.fill_diagonal(affinity, 1)
    tree = task_similarity_tree(affinity, _LABELS)
    axes = self.draw(figures.task_tree, tree, _LABELS).axes[0]
    root, leaves = axes.get_xlim()
    joins = tree.linkage[:, 2]
    self.assertGreater(root, joins.max())
    self.assertLess(leaves, joins.min())
    self.assertLess(root - leaves, 1.5 * np.ptp(joins))
    self.assertEqual(axes.get_xlabel(), '1 - affinity')

  def test_models_that_all_join_at_once_can_be_drawn(self):
    for affinity in (np.eye(3), np.ones((3, 3))):
      tree = task_similarity_tree(affinity, 'abc')
      figure = self.draw(figures.task_tree, tree, 'abc')
      self.assert_nothing_is_cut_off(figure)

  def test_labels_and_groups_of_other_models_are_refused(self):
    with self.assertRaisesRegex(ValueError, '4 labels for 5 models'):
      figures.task_tree(self.path, self.tree, _LABELS[:4])
    with self.assertRaisesRegex(ValueError, '2 groups for 5 models'):
      figures.task_tree(self.path, self.tree, _LABELS, _GROUPS[:2])


if __name__ == '__main__':
  absltest.main()
