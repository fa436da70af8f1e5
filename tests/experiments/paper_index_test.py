"""Tests of the page that links the results of all studies."""

import pathlib
import re
import unittest

from absl.testing import absltest

from experiments import paper_index
from experiments.study import Finding
from tests import browser_testing, study_testing


class PaperIndexTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = pathlib.Path(self.create_tempdir().full_path)
    self.study = study_testing.make(folder)
    output = self.study.folder('symmetry')
    (output / 'table.csv').write_text('name,value\na<b,0.123456789\n')
    (output / 'picture.png').write_bytes(
      (pathlib.Path(__file__).parents[2] / 'docs/images/tree.png').read_bytes()
    )
    finding = Finding(
      'Loses 1 < 2.', ('Note & so.',), ('picture.png', 'table.csv')
    )
    self.path = paper_index.write(self.study, {'symmetry': finding})
    self.text = self.path.read_text()

  def test_findings_and_commands_are_on_the_page(self):
    self.assertIn('Loses 1 &lt; 2.', self.text)
    self.assertIn('Note &amp; so.', self.text)
    self.assertIn('python -m experiments.run_study symmetry', self.text)
    self.assertIn('<td>a&lt;b</td><td>0.1235</td>', self.text)

  def test_all_links_lead_to_files_of_the_folder(self):
    links = re.findall(r'(?:href|src)="([^"#]+)"', self.text)
    self.assertNotEmpty(links)
    for link in links:
      self.assertTrue((self.path.parent / link).is_file(), link)

  @unittest.skipIf(browser_testing.missing(), browser_testing.missing())
  def test_a_browser_opens_it_without_errors(self):
    with browser_testing.browser(390) as driver:
      browser_testing.open_page(driver, self.path)
      self.assertEmpty(browser_testing.console_errors(driver))
      width = driver.execute_script(
        "return document.querySelector('img').naturalWidth"
      )
    self.assertGreater(width, 0)


if __name__ == '__main__':
  absltest.main()
