"""Which pixels of a procedural scene matter for which task.

Read off the geometry and the labels, not off any network: edges of the picture
for 2D tasks, occlusions and creases for 3D tasks, the corners of the room for
its layout, objects and their outlines for semantic tasks.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from probe_data import rooms, scene_labels, scenes

_FRINGE = 1  # Cells about a picture's border without a derivative.


def _change(label: np.ndarray) -> np.ndarray:
  """How fast a label changes, [S, S, channels] to [S, S], 0 at the border."""
  label = np.asarray(label, np.float32)
  steps = [
    cv2.Sobel(label, cv2.CV_32F, *order, ksize=3).reshape(*label.shape[:2], -1)
    for order in ((1, 0), (0, 1))
  ]
  magnitude = np.sqrt(sum((step**2).sum(axis=-1) for step in steps))
  inner = np.zeros_like(magnitude)
  kept = np.s_[_FRINGE:-_FRINGE, _FRINGE:-_FRINGE]
  inner[kept] = magnitude[kept]
  return inner


def _outlines(classes: np.ndarray) -> np.ndarray:
  """1 where a neighbour to the right or below is of another class, [S, S]."""
  found = np.zeros(classes.shape, np.float32)
  found[:, :-1] += classes[:, 1:] != classes[:, :-1]
  found[:-1] += classes[1:] != classes[:-1]
  return np.minimum(found, 1)


def room_corners(rendering: scenes.Rendering) -> np.ndarray:
  """Where the bare room's walls, floor and ceiling meet in sight, [S, S].

  1 / depth is affine in the pixels of a plane, so that its second differences
  are 0 but at the corners, where they are divided by it.
  """
  inverse = 1 / rendering.wall_depth
  bend = np.zeros_like(inverse)
  bend[:, 1:-1] += np.abs(
    inverse[:, 2:] - 2 * inverse[:, 1:-1] + inverse[:, :-2]
  )
  bend[1:-1] += np.abs(inverse[2:] - 2 * inverse[1:-1] + inverse[:-2])
  bend = bend / inverse
  bend[bend < 1e-4] = 0  # Of rounding.
  return bend * (rendering.instance < 0)


def _largest(instance: np.ndarray) -> np.ndarray:
  """1 on the object that covers most samples, [S, S]."""
  seen = instance[instance >= 0]
  if not seen.size:
    return np.zeros(instance.shape, np.float32)
  return (instance == np.bincount(seen).argmax()).astype(np.float32)


def of_rendering(
  rendering: scenes.Rendering, size: int
) -> dict[str, np.ndarray]:
  """Returns by task how much each pixel matters, float32 [size, size], >= 0.

  Labels that are edges or corners are taken as they are; of the contour
  affinities of segment2d and segment25d what they lack to 1; of other dense
  labels how fast they change; for segmentsemantic outlines of classes, for
  class_1000 the largest object, for class_places all objects, for
  vanishing_point and room_layout the corners of the room.

  Args:
    rendering: Of at least 2 x `size` samples a side.
    size: Side of the result.
  """
  labels = scene_labels.dense_labels(rendering, size)

  def shrink(values):
    shape = size, size
    values = np.asarray(values, np.float32)
    return cv2.resize(values, shape, interpolation=cv2.INTER_AREA)

  direct = 'edge2d', 'edge3d', 'keypoint2d', 'keypoint3d'
  found = {task: labels[task][..., 0] for task in direct}
  found |= {
    task: 1 - labels[task].mean(axis=-1) for task in ('segment2d', 'segment25d')
  }
  found['curvature'] = np.abs(labels['curvature']).sum(axis=-1)
  found['segmentsemantic'] = _outlines(labels['segmentsemantic'])
  found['class_1000'] = shrink(_largest(rendering.instance))
  found['class_places'] = shrink(rendering.instance >= 0)
  corners = shrink(room_corners(rendering))
  found['vanishing_point'] = found['room_layout'] = corners
  rest = labels.keys() - found.keys()
  found |= {task: _change(labels[task]) for task in rest}
  return {task: found[task].astype(np.float32) for task in sorted(found)}


def of_scenes(
  seeds: Sequence[int], size: int
) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
  """Renders scenes and says which of their pixels matter for which task.

  Args:
    seeds: N scene seeds.
    size: Side of the pictures, even.

  Returns:
    uint8 RGB [N, size, size, 3] as `scenes.images` has them, and by task
    float32 [N, size / 2, size / 2], see `of_rendering`.
  """
  pictures, rows = [], []
  for seed in seeds:
    rendering = scenes.render(rooms.sample(seed), 2 * size)
    pictures.append(scenes.picture(rendering, size))
    rows.append(of_rendering(rendering, size // 2))
  return np.stack(pictures), {
    task: np.stack([row[task] for row in rows]) for task in rows[0]
  }
