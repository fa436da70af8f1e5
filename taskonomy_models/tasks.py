"""The 20 Taskonomy tasks of the paper, in their canonical order.

Names are those of the released checkpoints, labels those of the paper's
figures, groups those of its tree (Song et al., 2019, section 4.2). Titles are
what people call the tasks; figures show them unless asked for the paper's.
"""

from collections.abc import Iterable
import dataclasses

GROUPS = ('2d', '3d', 'geometric', 'semantic')

# Which groups serve a target of each group, best first, as Taskonomy found:
# 2D tasks help each other, 3D tasks help everything else. For the baseline
# that knows the groups alone; what is not listed comes last.
GROUP_PREFERENCE = {
  '2d': ('2d',),
  '3d': ('3d', 'geometric', 'semantic'),
  'geometric': ('geometric', '3d', 'semantic'),
  'semantic': ('semantic', '3d', 'geometric'),
}


@dataclasses.dataclass(frozen=True)
class Task:
  """A task of the dictionary.

  Attributes:
    name: Canonical name, for example 'rgb2depth'.
    label: As printed in the paper's figures.
    title: What the task is called by people.
    group: One of GROUPS; colour of its leaf in the similarity tree.
    is_target: Whether the paper transfers to it; all tasks are sources.
  """

  name: str
  label: str
  title: str
  group: str
  is_target: bool = True


TASKS = (
  Task('autoencoder', 'Autoencoder', 'Autoencoding', '2d'),
  Task('curvature', 'Curvature', 'Curvature', '3d'),
  Task('denoise', 'Denoise', 'Denoising', '2d'),
  Task('edge2d', 'Edge 2D', '2D edges', '2d'),
  Task('edge3d', 'Edge 3D', '3D edges', '3d'),
  Task('keypoint2d', 'Keypoint 2D', '2D keypoints', '2d'),
  Task('keypoint3d', 'Keypoint 3D', '3D keypoints', '3d'),
  Task('colorization', 'Colorization', 'Colorization', '2d', is_target=False),
  Task('reshade', 'Reshade', 'Reshading', '3d'),
  Task('rgb2depth', 'Rgb2depth', 'Depth', '3d'),
  Task('rgb2mist', 'Rgb2mist', 'Depth as mist', '3d'),
  Task('rgb2sfnorm', 'Rgb2sfnorm', 'Surface normals', '3d'),
  Task('room_layout', 'Room Layout', 'Room layout', 'geometric'),
  Task('segment25d', 'Segment 25D', '2.5D segmentation', '3d'),
  Task('segment2d', 'Segment 2D', '2D segmentation', '2d'),
  Task('vanishing_point', 'Vanishing Point', 'Vanishing points', 'geometric'),
  Task(
    'segmentsemantic', 'Segment Semantic', 'Semantic segmentation', 'semantic'
  ),
  Task('class_1000', 'Class 1000', 'Object classes', 'semantic'),
  Task('class_places', 'Class Places', 'Scene classes', 'semantic'),
  Task(
    'inpainting_whole', 'Inpainting Whole', 'Inpainting', '2d', is_target=False
  ),
)

SOURCES = TASKS
TARGETS = tuple(task for task in TASKS if task.is_target)

# How figures call the tasks.
NAMINGS = ('plain', 'paper')
_TITLES = {task.label: task.title for task in TASKS}


def shown(labels: Iterable[str], naming: str = 'plain') -> list[str]:
  """Returns the labels of networks as figures show them.

  Args:
    labels: Those of tasks become titles; others stay as they are.
    naming: Of NAMINGS; 'paper' keeps all labels.
  """
  if naming not in NAMINGS:
    raise ValueError(f'Naming {naming!r} is none of {NAMINGS}.')
  titles = _TITLES if naming == 'plain' else {}
  return [titles.get(label, label) for label in labels]
