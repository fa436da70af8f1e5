"""Tests of the choice of an architecture for each task of a mixed bank."""

import collections

from absl.testing import absltest

from taskonomy_models import tasks
from taskonomy_models.mini.architectures import registry


class RotationTest(absltest.TestCase):
  def test_each_architecture_gets_five_tasks_and_its_share_of_each_group(self):
    counts = collections.Counter()
    for task in tasks.TASKS:
      counts[registry.assigned(registry.MIXED, task.name), task.group] += 1
    sizes = collections.Counter(task.group for task in tasks.TASKS)
    used = {name for name, _ in counts}
    self.assertLen(used, 4)
    self.assertContainsSubset(used, registry.names())
    for name in used:
      found = {group: counts[name, group] for group in tasks.GROUPS}
      self.assertEqual(sum(found.values()), 5)
      for group, number in found.items():
        self.assertLess(abs(number - sizes[group] / 4), 1)

  def test_a_bank_of_one_architecture_has_no_other(self):
    found = {registry.assigned('plain', task.name) for task in tasks.TASKS}
    self.assertEqual(found, {'plain'})

  def test_an_unknown_architecture_is_refused_by_name(self):
    with self.assertRaisesRegex(ValueError, "'plane'.*plain"):
      registry.check('plane')
    registry.check(registry.MIXED)


if __name__ == '__main__':
  absltest.main()
