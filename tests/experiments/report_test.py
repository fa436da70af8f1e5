"""Tests of the page of a run, in a real browser where there is one."""

import contextlib
import dataclasses
import json
import pathlib
import re
import unittest

from absl.testing import absltest
import cv2
import numpy as np

from experiments import evaluation as evaluations
from experiments import report
from experiments.report_answer import Answer
from tests import browser_testing, testing
from transferability import resampling
from transferability.oracle import Oracle

_NAMES = tuple('abcdef')
_LABELS = ('Depth', '</script><b>Edges', '"Q" & A', 'Äpfel', 'Scene', 'Points')
_GROUPS = ('3d', '2d', '3d', '2d', 'semantic', 'my group')
_METHODS = ('saliency', 'elrp')


def _cosines(seed):
  points = np.random.default_rng(seed).normal(size=(9, len(_NAMES), 7))
  points /= np.linalg.norm(points, axis=2, keepdims=True)
  return points @ points.transpose(0, 2, 1)


def _evaluation(oracle=None):
  cosines = {method: _cosines(i) for i, method in enumerate(_METHODS)}
  affinities = {name: values.mean(axis=0) for name, values in cosines.items()}
  scores = {}
  if oracle is not None:
    scores = {
      name: evaluations.score(
        affinities[name],
        _NAMES,
        oracle,
        {},
        resampling.ImageMeans(cosines[name]),
      )
      for name in _METHODS
    } | evaluations.baseline_scores(oracle, {})
  relevant = evaluations.relevant_sources(oracle)
  return dataclasses.replace(
    evaluations.of_affinities(affinities, _NAMES, {}, _NAMES),
    scores=scores,
    relevant={target: best[:2] for target, best in relevant.items()},
  )


def _write(path, oracle=None, **changes):
  maps = np.random.default_rng(0).normal(size=(len(_NAMES), 3, 16, 16, 3))
  shown = report.Shown(
    title='Six & more <networks>',
    lead='6 networks.',
    labels=_LABELS,
    groups=_GROUPS,
    evaluation=_evaluation(oracle),
    images=testing.images(3),
    maps={'saliency': np.abs(maps), 'elrp': maps},
    settings={'probe': '</table>', 'methods': ['a', 'b'], 'resume': False},
  )
  report.write(path, dataclasses.replace(shown, **changes))


def _oracle():
  values = np.random.default_rng(5).normal(size=(4, len(_NAMES)))
  return Oracle.from_affinity(values, tuple('abcd'), _NAMES)


class PageTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, 'report.html')

  def data(self):
    text = self.path.read_text(encoding='utf-8')
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)

  def test_numbers_are_those_of_the_evaluation(self):
    _write(self.path, _oracle())
    data, result = self.data(), _evaluation(_oracle())
    for method in _METHODS:
      np.testing.assert_array_equal(
        data['affinities'][method], result.affinities[method]
      )
      np.testing.assert_array_equal(
        data['curves'][method]['precision'],
        result.scores[method].curve.precision,
      )
    self.assertEqual(data['labels'], list(_LABELS))
    self.assertIsNone(data['summary'][-1][-1])  # NaN has no place in JSON.

  def test_nothing_is_loaded_from_elsewhere(self):
    _write(self.path, _oracle())
    text = self.path.read_text(encoding='utf-8')
    places = set(re.findall(r'https?://[^\s"\'<]+', text))
    self.assertEqual(places, {'http://www.w3.org/2000/svg'})
    self.assertNotIn('@import', text)
    self.assertNotRegex(text, r'<(link|script|img|iframe)[^>]*\s(src|href)=')

  def test_texts_cannot_become_tags(self):
    _write(self.path)
    text = self.path.read_text(encoding='utf-8')
    self.assertNotIn('<b>Edges', text)
    self.assertIn('<title>Six &amp; more &lt;networks&gt;</title>', text)
    self.assertEqual(text.count('</script>'), 2)

  def test_same_run_gives_the_same_bytes(self):
    _write(self.path, _oracle())
    first = self.path.read_bytes()
    _write(self.path, _oracle())
    self.assertEqual(self.path.read_bytes(), first)


@unittest.skipIf(browser_testing.missing(), browser_testing.missing())
class BrowserTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    stack = contextlib.ExitStack()
    cls.addClassCleanup(stack.close)
    cls.driver = stack.enter_context(browser_testing.browser())

  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, 'report.html')
    self.show_as(1200, 'light')

  def show_as(self, width, scheme):
    browser_testing.show_as(self.driver, width, scheme)

  def open(self, oracle=None, **changes):
    _write(self.path, oracle, **changes)
    browser_testing.open_page(self.driver, self.path)

  def js(self, script, *arguments):
    return self.driver.execute_script(script, *arguments)

  def text(self, selector):
    return self.js(
      'return document.querySelector(arguments[0]).textContent', selector
    )

  def tearDown(self):
    self.assertEmpty(browser_testing.console_errors(self.driver))
    super().tearDown()

  def test_the_answer_stands_first(self):
    answer = Answer(
      ('Transfer from <b>Depth</b>.', 'Nothing is known for sure.'),
      [('rank', 'network', 'score'), (1, 'Depth', 0.71234), (2, 'A', np.nan)],
      'Scores are made up.',
    )
    self.open(_oracle(), answer=answer)
    first = "return document.querySelector('main section:not([hidden])')"
    self.assertEqual(
      list(filter(None, self.js(f'{first}.innerText').splitlines())),
      [
        'The answer',
        'Transfer from <b>Depth</b>.',
        'Nothing is known for sure.',
        'rank\tnetwork\tscore',
        '1\tDepth\t0.712',
        '2\tA\t–',
        'Scores are made up.',
      ],
    )
    self.open(_oracle())
    self.assertEqual(
      self.js(f'{first}.querySelector("h2").innerText'),
      'Agreement with measured transfers',
    )

  def test_an_answer_may_be_all_there_is(self):
    answer = Answer(['Transfer from Depth.'])
    report.write(self.path, report.Shown('A page', 'Of one.', answer))
    browser_testing.open_page(self.driver, self.path)
    shown = "return [...document.querySelectorAll('h2')].filter("
    shown += '(e) => e.offsetParent).map((e) => e.textContent)'
    self.assertEqual(self.js(shown), ['The answer'])

  def test_whole_and_vanishing_numbers_have_decimals_and_no_sign(self):
    rows = [('network', 'score'), ('A', 1.0), ('B', -0.00013), ('C', -0.5)]
    self.open(answer=Answer(['Take A, by 5 %.'], rows))
    cells = [row.split()[1] for row in self.cells('#answer-table')]
    self.assertEqual(cells, ['score', '1.000', '0.000', '−0.500'])
    self.assertEqual(self.text('#answer .first'), 'Take A, by 5\xa0%.')

  def cells(self, table):
    script = 'return document.querySelector(arguments[0]).innerText'
    return self.js(script, table).strip().splitlines()

  def test_where_nobody_asks_for_transfers_no_word_is_said_of_them(self):
    self.open(transfers=False, groups=[None] * len(_NAMES))
    text = self.js('return document.body.innerText')
    for word in ('ransfer', 'oracle', 'Sources', 'groups that'):
      self.assertNotIn(word, text)
    self.assertIn('Nearest networks', text)

  def test_figures_fit_a_phone_and_say_what_they_are(self):
    picture = self.path.with_name('figure.png')
    cv2.imwrite(str(picture), np.full((300, 2000, 3), 200, np.uint8))
    self.show_as(390, 'dark')
    self.open(pictures={'Curves: higher is better.': picture})
    self.assertIn('Curves: higher', self.text('#pictures figcaption'))
    script = "return document.querySelector('#pictures img')"
    self.assertEqual(self.js(f'{script}.naturalWidth'), 1600)
    self.assertLessEqual(self.js(f'{script}.clientWidth'), 390)
    self.assertEqual(self.js(f'{script}.alt'), 'Curves: higher is better.')

  def test_pointing_at_a_cell_gives_pair_and_value(self):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    self.open(_oracle())
    self.js("document.querySelector('[name=order][value=bank]').click()")
    cell = self.driver.find_element(
      By.CSS_SELECTOR, '#matrix rect[data-r="0"][data-c="4"]'
    )
    ActionChains(self.driver).move_to_element(cell).perform()
    value = _evaluation().affinities['elrp'][0, 4]
    expected = f'Depth – Scene: {value:.4f}'.replace('-', '−')
    self.assertEqual(self.text('#affinity-readout'), expected)

  def test_arrow_keys_move_from_pair_to_pair(self):
    from selenium.webdriver import ActionChains, Keys

    self.open()
    self.js("document.querySelector('[name=order][value=bank]').click()")
    self.js("document.getElementById('matrix').focus()")
    ActionChains(self.driver).send_keys(
      Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT
    ).perform()
    self.assertStartsWith(
      self.text('#affinity-readout'), '</script><b>Edges – "Q" & A: '
    )

  def test_slider_shows_another_image(self):
    from selenium.webdriver import Keys
    from selenium.webdriver.common.by import By

    self.open()
    picture = (
      "return document.querySelector('#maps .panel').style.backgroundImage"
    )
    first = self.js(picture)
    self.assertEqual(self.text('#image-value'), '1 of 3')
    self.driver.find_element(By.ID, 'image').send_keys(Keys.ARROW_RIGHT)
    self.assertEqual(self.text('#image-value'), '2 of 3')
    self.assertNotEqual(self.js(picture), first)

  def test_pictures_of_the_gallery_can_be_decoded(self):
    self.open()
    widths = self.driver.execute_async_script(
      """
      const done = arguments[arguments.length - 1];
      Promise.all(data.gallery.elrp.map((source) => {
        const image = new Image(); image.src = source;
        return image.decode().then(() => image.naturalWidth);
      })).then(done, (error) => done(String(error)));
      """
    )
    self.assertEqual(widths, [16 * 7] * 3)

  def test_other_method_changes_matrix_tree_maps_and_sources(self):
    self.open(_oracle())
    parts = "return ['matrix', 'tree', 'maps', 'sources'].map("
    parts += '(id) => document.getElementById(id).outerHTML)'
    before = self.js(parts)
    self.js("document.querySelector('[name=method][value=saliency]').click()")
    for old, new in zip(before, self.js(parts), strict=True):
      self.assertNotEqual(old, new)

  def test_the_measure_of_the_answer_is_shown_first_beside_maps_of_another(
    self,
  ):
    found = _evaluation(_oracle())
    more = {
      part: {**getattr(found, part), 'spade': getattr(found, part)['saliency']}
      for part in ('affinities', 'rankings', 'trees')
    }
    evaluation = dataclasses.replace(found, **more)
    self.open(_oracle(), evaluation=evaluation, told='spade')
    checked = "return document.querySelector('[name=method]:checked').value"
    self.assertEqual(self.js(checked), 'spade')
    self.assertIn('predict', self.text('#affinity-note'))
    self.assertIn('ε-LRP', self.text('#maps-of'))
    self.js("document.querySelector('[name=method][value=saliency]').click()")
    self.assertIn('cosine', self.text('#affinity-note'))
    self.assertIn('Saliency', self.text('#maps-of'))

  def test_sources_are_ranked_and_the_relevant_ones_marked(self):
    self.open(_oracle())
    items = self.js(
      "return [...document.querySelectorAll('#sources li')].map("
      '(li) => [li.firstChild.textContent.trim(), li.className])'
    )
    result, relevant = _evaluation(), _oracle().relevant('a', 2)
    self.assertEqual(
      items,
      [
        [_LABELS[_NAMES.index(name)], 'relevant' if name in relevant else '']
        for name in result.rankings['elrp']['a']
      ],
    )

  def test_values_at_k_follow_the_slider(self):
    from selenium.webdriver import Keys
    from selenium.webdriver.common.by import By

    self.open(_oracle())
    self.driver.find_element(By.ID, 'k').send_keys(Keys.ARROW_RIGHT)
    row = self.js(
      "return [...document.querySelectorAll('#at-k tbody tr')].map("
      '(row) => [...row.children].map((cell) => cell.textContent))[1]'
    )
    curve = _evaluation(_oracle()).scores['elrp'].curve
    self.assertEqual(row[1], f'{curve.precision[1]:.3f}')
    self.assertEqual(self.text('#k-value'), '2')

  def test_curves_can_be_hidden(self):
    self.open(_oracle())
    count = "return document.querySelectorAll('#curves polyline').length"
    before = self.js(count)
    self.js("document.querySelector('#curve-legend button').click()")
    self.assertEqual(self.js(count), before - 1)

  def test_zoom_enlarges_the_matrix(self):
    self.open()
    width = "return document.getElementById('matrix').clientWidth"
    before = self.js(width)
    self.js("document.getElementById('zoom-in').click()")
    self.assertGreater(self.js(width), before)

  def test_without_an_oracle_there_are_no_curves_and_no_word_of_them(self):
    self.open()
    self.assertTrue(
      self.js("return document.getElementById('curves-section').hidden")
    )
    self.assertIn('no oracle', self.text('#summary-note'))
    self.assertNotIn('P@K', self.js('return document.body.innerText'))

  def test_each_column_of_the_summary_is_explained(self):
    self.open(_oracle())
    self.js("document.querySelector('details').open = true")
    columns = self.js(
      "return [...document.querySelectorAll('#summary thead th')].map("
      '(cell) => cell.textContent)'
    )
    explained = self.js(
      "return [...document.querySelectorAll('dt')].map("
      "(term) => term.textContent).join(', ')"
    )
    self.assertContainsSubset(['Spearman', 'Tree index'], columns)
    for column in columns[1:]:
      self.assertIn(re.sub('@[135]$', '@K', column), explained)

  def test_groups_have_a_legend_in_their_colors(self):
    groups = ['3d', '2d', None, '2d', 'semantic', 'my group']  # One inserted.
    self.open(_oracle(), groups=groups)
    for section in ('h-affinity', 'h-tree', 'h-maps'):
      legend = self.js(
        'return [...document.querySelectorAll('
        '`section[aria-labelledby=${arguments[0]}] .groups span`)].map('
        '(e) => [e.textContent, getComputedStyle(e).color])',
        section,
      )
      said, colors = zip(*legend, strict=True)
      self.assertEqual(
        said, ('3D', '2D', 'semantic', 'my group', 'no group'), section
      )
      self.assertLen(set(colors), 5)

  def test_every_curve_can_be_told_from_the_others(self):
    oracle = _oracle()
    evaluation = _evaluation(oracle)
    scores = dict(evaluation.scores)
    scores['saliency'] = scores['elrp']
    self.open(evaluation=dataclasses.replace(evaluation, scores=scores))
    for place in ('#curves polyline', '#curve-legend line'):
      looks = self.js(
        'return [...document.querySelectorAll(arguments[0])].map((line) => '
        "['stroke', 'stroke-dasharray', 'stroke-dashoffset'].map("
        '(name) => line.getAttribute(name)).join())',
        place,
      )
      self.assertLen(looks, len(scores))
      self.assertLen(set(looks), len(scores), place)
      by_method = dict(zip(scores, looks, strict=True))
      self.assertNotIn(',,', by_method['elrp'])  # It is striped.
    self.assertIn('coincide: Saliency, ε-LRP', self.text('#curves-note'))

  def test_ticks_of_the_tree_are_round(self):
    self.open()
    ticks = self.js(
      "return [...document.querySelectorAll('#tree .tick')].map("
      '(text) => text.textContent)'
    )
    steps = np.diff([float(tick.replace('−', '-')) for tick in ticks])
    self.assertGreaterEqual(len(ticks), 3)
    np.testing.assert_allclose(steps, steps[0])
    self.assertIn(f'{abs(steps[0]):.0e}'[0], '125')
    self.assertLessEqual(max(map(len, ticks)), 5)

  def test_the_choice_of_the_method_stays_in_sight(self):
    self.open(_oracle())
    self.js("document.documentElement.style.scrollBehavior = 'auto'")
    for share in (0.5, 1):
      self.js('scrollTo(0, arguments[0] * document.body.scrollHeight)', share)
      top = "return document.getElementById('methods').getBoundingClientRect()"
      self.assertEqual(self.js(f'{top}.top'), 0)

  def test_many_measures_leave_a_phone_its_screen_and_headings_in_sight(self):
    found = _evaluation(_oracle())
    names = [f'measure_{i}_of_many' for i in range(9)]
    more = {
      part: dict.fromkeys(names, getattr(found, part)['elrp'])
      for part in ('affinities', 'rankings', 'trees')
    }
    self.show_as(390, 'light')
    evaluation = dataclasses.replace(found, **more)
    self.open(_oracle(), evaluation=evaluation, told=names[-1])
    self.js("document.documentElement.style.scrollBehavior = 'auto'")
    self.js("document.getElementById('h-tree').scrollIntoView()")
    of = 'return document.querySelector(arguments[0]).getBoundingClientRect()'
    bar = self.js(f'{of}.bottom', '#methods')
    self.assertLess(bar, 80)
    self.assertLessEqual(bar, self.js(f'{of}.top', '#h-tree'))
    chosen = self.js(f'{of}.left', '[name=method]:checked')
    self.assertBetween(chosen, 0, 380)
    # The line of measures begins below its heading, and does not cover it.
    heading = self.js(f'{of}.bottom', '#methods legend')
    self.assertLessEqual(heading, self.js(f'{of}.top', '#method-list') + 1)

  def test_no_ring_around_what_is_focused_is_cut_off(self):
    for width in (390, 1400):
      self.show_as(width, 'light')
      self.open(_oracle())
      self.assertEmpty(self.js(_CLIPPED_RINGS))

  def test_tables_fit_a_wide_screen(self):
    self.show_as(1400, 'light')
    self.open(_oracle())
    wide = self.js(
      "return [...document.querySelectorAll('.scroll')].filter("
      '(e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)'
    )
    self.assertEmpty(wide)

  def test_settings_are_written_in_words(self):
    self.open()
    self.assertEqual(
      self.text('#settings tbody'), 'probe</table>methodsa, bresumeno'
    )

  def test_files_of_the_run_are_linked(self):
    folder = self.path.parent
    names = ['summary.csv', 'affinity/elrp.csv', 'tree/a b.newick']
    for name in names:
      (folder / name).parent.mkdir(exist_ok=True)
      (folder / name).write_text('a')
    (folder / 'secret.txt').write_text('a')
    self.open()
    links = self.js(
      "return [...document.querySelectorAll('#files a')].map((a) => a.href)"
    )
    self.assertEqual(links, [(folder / name).as_uri() for name in names])

  def test_a_map_opens_large_and_over_its_image(self):
    self.open()
    self.js("document.querySelectorAll('#maps .panel')[1].click()")
    self.assertEqual(
      self.text('#large-title'), f'{_LABELS[0]}, ε-LRP: image 1 of 3'
    )
    size = "return document.getElementById('large-picture').clientWidth"
    self.assertGreater(self.js(size), 500)
    layers = "return [...document.querySelectorAll('#large-picture .layer')]"
    layers += '.map((e) => [e.className, e.style.backgroundPosition])'
    self.assertEqual(self.js(layers), [['layer ', '16.6667% 0px']])
    self.js("document.querySelector('[name=view][value=overlay]').click()")
    self.assertEqual(
      self.js(layers),
      [['layer grey', '0% 0px'], ['layer multiply', '16.6667% 0px']],
    )
    self.js("document.getElementById('large-next').click()")
    self.assertIn(_LABELS[1], self.text('#large-title'))
    self.js("document.getElementById('large-close').click()")
    self.assertFalse(self.js("return document.getElementById('large').open"))

  def test_small_affinities_are_numbers_and_no_p_values(self):
    texts = self.open_and_format([0.00012346, -0.0000321, 0.71849, 0.0])
    self.assertEqual(texts, ['0.00012', '−0.000032', '0.7185', '0.0000'])

  def open_and_format(self, values):
    self.open()
    return self.js('return arguments[0].map(affinityText)', values)

  def test_a_large_pair_leaves_differences_between_the_others(self):
    self.open()
    colors = self.js(
      'return [-0.05, 0, 0.02, 0.05, 0.9].map((v) => signedColor(v, 0.9))'
    )
    self.assertLen(set(colors), 5)
    self.assertEqual(colors[1], 'rgb(247,247,247)')
    shades = [int(re.findall(r'\d+', color)[1]) for color in colors]
    self.assertGreater(shades[2] - shades[3], 8)

  def test_it_fits_a_phone_and_text_stands_out_in_light_and_dark(self):
    for scheme in ('light', 'dark'):
      self.show_as(390, scheme)
      self.open(_oracle())
      with self.subTest(scheme):
        width = self.js('return document.documentElement.scrollWidth')
        self.assertEqual(width, 390)
        self.assertGreaterEqual(self.js(_CONTRAST), 4.5)

  def test_every_control_and_picture_has_a_name(self):
    self.open(_oracle())
    nameless = self.js(
      """
      return [...document.querySelectorAll(
        'input, button, select, [role=img], [role=application]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.labels?.length
                         || e.textContent.trim()))
        .map((e) => e.outerHTML);
      """
    )
    self.assertEmpty(nameless)


# The controls whose ring, when they are focused, leaves a part that scrolls.
_CLIPPED_RINGS = """
const controls = 'a, button, input, select, [tabindex]';
return [...document.querySelectorAll(controls)].filter((e) => {
  if (!e.offsetParent && !(e instanceof SVGElement)) return false;
  e.focus({focusVisible: true, preventScroll: true});
  if (document.activeElement !== e) return false;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const out = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
  for (let up = e.parentElement; up; up = up.parentElement) {
    if (getComputedStyle(up).overflowX === 'visible') continue;
    const room = up.getBoundingClientRect();
    const left = room.left - up.scrollLeft, top = room.top - up.scrollTop;
    if (box.left - out < left - 0.5 || box.top - out < top - 0.5) return true;
    if (box.right + out > left + up.scrollWidth + 0.5) return true;
    if (box.bottom + out > top + up.scrollHeight + 0.5) return true;
  }
  return false;
}).map((e) => e.outerHTML.slice(0, 80));
"""
# The lowest contrast of the page's texts, as WCAG defines it.
_CONTRAST = """
const canvas = document.createElement('canvas').getContext(
  '2d', {willReadFrequently: true});
const rgb = (color) => {
  canvas.fillStyle = '#000'; canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const light = (color) => {
  const [r, g, b] = rgb(color).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = light(getComputedStyle(document.body).backgroundColor);
const contrasts = [...document.querySelectorAll(
  'p, th, td, label, legend, li, figcaption, h1, h2, svg text')]
  .filter((e) => e.textContent.trim())
  .map((e) => {
    const style = getComputedStyle(e);
    const ink = light(e instanceof SVGElement ? style.fill : style.color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  });
return Math.min(...contrasts);
"""


if __name__ == '__main__':
  absltest.main()
