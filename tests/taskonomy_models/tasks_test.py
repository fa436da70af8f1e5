"""Tests of the task dictionary."""

import collections

from absl.testing import absltest
import numpy as np

from taskonomy_models import tasks
from tests import taskonomy_testing
from transferability import baselines
from transferability.oracle import Oracle

# The paper's figures and the authors' drawing script print these.
_LABELS = (
  'Autoencoder, Curvature, Denoise, Edge 2D, Edge 3D, Keypoint 2D, '
  'Keypoint 3D, Colorization, Reshade, Rgb2depth, Rgb2mist, Rgb2sfnorm, '
  'Room Layout, Segment 25D, Segment 2D, Vanishing Point, Segment Semantic, '
  'Class 1000, Class Places, Inpainting Whole'
)


class TasksTest(absltest.TestCase):
  def test_tasks_stand_in_the_canonical_order(self):
    names = [task.name for task in tasks.TASKS]
    self.assertEqual(names, list(taskonomy_testing.GROUPS))
    self.assertEqual(names, list(Oracle.taskonomy().sources))

  def test_labels_are_those_of_the_paper(self):
    labels = [task.label for task in tasks.TASKS]
    self.assertEqual(labels, _LABELS.split(', '))

  def test_figures_say_what_a_task_is_or_what_the_paper_calls_it(self):
    labels = ['Rgb2sfnorm', 'Segment 25D', 'Class 1000', 'My network']
    self.assertEqual(
      tasks.shown(labels),
      ['Surface normals', '2.5D segmentation', 'Object classes', 'My network'],
    )
    self.assertEqual(tasks.shown(labels, 'paper'), labels)
    titles = {task.title for task in tasks.TASKS}
    self.assertLen(titles, 20)
    with self.assertRaisesRegex(ValueError, "'german' is none of"):
      tasks.shown(labels, 'german')

  def test_groups_are_those_of_the_paper(self):
    groups = {task.name: task.group for task in tasks.TASKS}
    self.assertEqual(groups, taskonomy_testing.GROUPS)
    counts = collections.Counter(groups.values())
    self.assertEqual(counts, {'2d': 7, '3d': 8, 'geometric': 2, 'semantic': 3})
    self.assertSameElements(counts, tasks.GROUPS)

  def test_all_but_two_tasks_are_targets(self):
    targets = [task.name for task in tasks.TARGETS]
    self.assertEqual(targets, list(Oracle.taskonomy().targets))
    self.assertEqual(
      {task.name for task in tasks.SOURCES} - set(targets),
      {'colorization', 'inpainting_whole'},
    )

  def test_group_preference_gives_the_known_baseline(self):
    groups = {task.name: task.group for task in tasks.TASKS}
    curve = baselines.group_baseline(
      groups, Oracle.taskonomy(), tasks.GROUP_PREFERENCE
    )
    # K = 1 ... 6 and 10; whole numbers of Taskonomy's oracle and its groups.
    np.testing.assert_allclose(
      curve.precision[[0, 1, 2, 3, 4, 5, 9]],
      [0.7989, 0.7712, 0.7388, 0.7226, 0.7128, 0.7063, 0.5],
      atol=5e-5,
    )


if __name__ == '__main__':
  absltest.main()
