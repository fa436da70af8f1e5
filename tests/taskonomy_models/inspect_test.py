"""Tests of the command that inspects a graph."""

import json
import os

from absl.testing import absltest

from tests import command_testing, inspection_testing


class InspectTest(absltest.TestCase):
  def run_command(self, *arguments):
    return command_testing.run('taskonomy_models.inspect', arguments)[0]

  def test_json_goes_to_standard_output_alone(self):
    path = os.path.join(self.create_tempdir().full_path, 'net.pb')
    graph_def = inspection_testing.graph_def_of(inspection_testing.classifier)
    with open(path, 'wb') as file:
      file.write(graph_def.SerializeToString())
    code, out, err = self.run_command(path, '--json', '--name=my_net')
    self.assertEqual(code, 0, err)
    content = json.loads(out)
    self.assertEqual(
      content['bank']['encoders'],
      [
        {
          'name': 'my_net',
          'graph': 'net.pb',
          'input': 'input:0',
          'representation': 'features:0',
          'preprocessing': 'resize(32) | range(0, 1)',
        }
      ],
    )

  def test_a_link_that_leads_to_itself_ends_in_one_line(self):
    path = os.path.join(self.create_tempdir().full_path, 'net.keras')
    os.symlink(path, path)
    code, _, err = self.run_command(path)
    self.assertEqual(code, 1)
    self.assertRegex(err, r'^Error: .*is a link that leads to itself.*\n$')

  def test_a_file_that_is_no_graph_ends_in_one_line(self):
    path = self.create_tempfile('net.pb', 'no graph').full_path
    code, out, err = self.run_command(path)
    self.assertEqual(code, 1)
    self.assertEqual(out, '')
    self.assertRegex(err, r'^Error: .*is not a frozen graph.*\n$')


if __name__ == '__main__':
  absltest.main()
