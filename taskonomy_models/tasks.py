"""The 20 Taskonomy tasks of the paper, in their canonical order.

Names are those of the released checkpoints, labels those of the paper's
figures, groups those of its tree (Song et al., 2019, section 4.2).
"""

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
    group: One of GROUPS; colour of its leaf in the similarity tree.
    is_target: Whether the paper transfers to it; all tasks are sources.
  """

  name: str
  label: str
  group: str
  is_target: bool = True


TASKS = (
  Task('autoencoder', 'Autoencoder', '2d'),
  Task('curvature', 'Curvature', '3d'),
  Task('denoise', 'Denoise', '2d'),
  Task('edge2d', 'Edge 2D', '2d'),
  Task('edge3d', 'Edge 3D', '3d'),
  Task('keypoint2d', 'Keypoint 2D', '2d'),
  Task('keypoint3d', 'Keypoint 3D', '3d'),
  Task('colorization', 'Colorization', '2d', is_target=False),
  Task('reshade', 'Reshade', '3d'),
  Task('rgb2depth', 'Rgb2depth', '3d'),
  Task('rgb2mist', 'Rgb2mist', '3d'),
  Task('rgb2sfnorm', 'Rgb2sfnorm', '3d'),
  Task('room_layout', 'Room Layout', 'geometric'),
  Task('segment25d', 'Segment 25D', '3d'),
  Task('segment2d', 'Segment 2D', '2d'),
  Task('vanishing_point', 'Vanishing Point', 'geometric'),
  Task('segmentsemantic', 'Segment Semantic', 'semantic'),
  Task('class_1000', 'Class 1000', 'semantic'),
  Task('class_places', 'Class Places', 'semantic'),
  Task('inpainting_whole', 'Inpainting Whole', '2d', is_target=False),
)

SOURCES = TASKS
TARGETS = tuple(task for task in TASKS if task.is_target)
