"""Tests of the command that inspects a graph."""

import json
import os
import subprocess
import sys

from absl.testing import absltest

from tests import inspection_testing


class InspectTest(absltest.TestCase):
  def run_command(self, *arguments):
    return subprocess.run(
      [sys.executable, '-m', 'taskonomy_models.inspect', *arguments],
      capture_output=True,
      text=True,
      check=False,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
    )

  def test_json_goes_to_standard_output_alone(self):
    path = os.path.join(self.create_tempdir().full_path, 'net.pb')
    graph_def = inspection_testing.graph_def_of(inspection_testing.classifier)
    with open(path, 'wb') as file:
      file.write(graph_def.SerializeToString())
    result = self.run_command(path, '--json', '--name=my_net')
    self.assertEqual(result.returncode, 0, result.stderr)
    content = json.loads(result.stdout)
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

  def test_a_file_that_is_no_graph_ends_in_one_line(self):
    path = self.create_tempfile('net.pb', 'no graph').full_path
    result = self.run_command(path)
    self.assertEqual(result.returncode, 1)
    self.assertEqual(result.stdout, '')
    self.assertRegex(result.stderr, r'^Error: .*is not a frozen graph.*\n$')


if __name__ == '__main__':
  absltest.main()
