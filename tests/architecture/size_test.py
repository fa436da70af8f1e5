"""Tests that functions can be read at a glance."""

import ast
import collections

from absl.testing import absltest

from tests import module_graph

_MOST_LINES = 60
_REASON = 'Longer than a screen'  # Starts the sentence that gives it.


class SizeTest(absltest.TestCase):
  def test_long_functions_give_the_reason_in_their_docstring(self):
    long = []
    for module in module_graph.modules():
      if module.package != 'tests':
        for node in ast.walk(module.tree()):
          if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            reason = _REASON in (ast.get_docstring(node) or '')
            if lines > _MOST_LINES and not reason:
              long.append(f'{module.name}.{node.name}: {lines} lines')
    self.assertEmpty(long, '\n'.join(long))

  def test_a_class_name_stands_for_one_thing(self):
    homes = collections.defaultdict(list)
    for module in module_graph.modules():
      if module.package not in ('tests', 'benchmarks'):
        for node in ast.walk(module.tree()):
          if isinstance(node, ast.ClassDef):
            homes[node.name].append(module.name)
    self.assertEmpty({k: v for k, v in homes.items() if len(v) > 1})


if __name__ == '__main__':
  absltest.main()
