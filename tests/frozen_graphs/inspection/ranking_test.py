"""Tests of what is found in a graph without any rule or map."""

import subprocess
import sys

from absl.testing import absltest, parameterized

from frozen_graphs import functions
from frozen_graphs.inspection import inputs, ranking
from tests import inspection_testing


class RankingTest(parameterized.TestCase):
  @parameterized.parameters('classifier', 'u_net', 'byte_images')
  def test_first_is_the_representation_that_is_known(self, network):
    build = getattr(inspection_testing, network)
    graph_def = inspection_testing.graph_def_of(build)
    nodes = {node.name: node for node in functions.inline_functions(graph_def)}
    flow = inputs.trace(nodes, inputs.candidates(nodes)[0])
    self.assertEqual(ranking.rank(flow)[0].tensor, 'features:0')

  def test_nothing_above_the_graphs_is_needed(self):
    code = (
      'import sys\nfrom frozen_graphs.inspection import ranges, ranking\n'
      "assert not {'attribution', 'taskonomy_models'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


if __name__ == '__main__':
  absltest.main()
