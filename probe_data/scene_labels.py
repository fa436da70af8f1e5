"""Perfect labels of the 20 Taskonomy tasks for procedural scenes.

The definitions follow Taskonomy (Zamir et al., CVPR 2018, supplement) where
a small picture allows it. Five tasks are redefined, because at this size or
in these rooms the original would be badly posed:

* segment2d, segment25d: Taskonomy learns an embedding of normalised-cut
  segments. Here the target is the affinity those cuts start from: the
  intervening contour (Leung and Malik, 1998) between a pixel and its
  neighbours 2 and 5 steps to the right and below.
* curvature: principal curvatures from finite differences over two samples,
  squashed by tanh and blurred, since one-pixel creases cannot be learned.
* room_layout: the empty room seen from the camera as the log depth of the
  walls in seven directions along the horizon, and the log heights over the
  floor and under the ceiling; nine numbers, continuous in the yaw.
* vanishing_point: cos and sin of four times the yaw, which is defined modulo
  90 degrees only, and the pitch in radians.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from probe_data import furniture, raycast, rooms, scenes

_LAYOUT_DIRECTIONS = np.deg2rad(np.linspace(-30, 30, 7))
_CONTOUR_STEPS = (2, 5)
_OCCLUSION_JUMP = 0.06  # Of the nearer depth.

NO_OBJECT = len(furniture.CLASSES)


def grey(image: np.ndarray) -> np.ndarray:
  """Luma of RGB in [0, 1], [S, S, 3] to [S, S]."""
  return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
  return cv2.GaussianBlur(values, (0, 0), sigma)


def _gradients(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Sobel derivatives per sample, channels kept."""
  return tuple(
    cv2.Sobel(values, cv2.CV_32F, *order, ksize=3, scale=1 / 8)
    for order in ((1, 0), (0, 1))
  )


def texture_edges(image: np.ndarray) -> np.ndarray:
  """Root of the Sobel magnitude of the grey picture, [S, S] in [0, 1)."""
  dx, dy = _gradients(_smooth(grey(image), 1))
  return np.sqrt(np.hypot(dx, dy))


def _corner_strength(values: np.ndarray) -> np.ndarray:
  """Smaller eigenvalue of the structure tensor, to the power 1/4."""
  dx, dy = _gradients(values)
  products = [dx * dx, dy * dy, dx * dy]
  if values.ndim == 3:
    products = [product.sum(axis=-1) for product in products]
  xx, yy, xy = (_smooth(product, 2) for product in products)
  root = np.sqrt(np.maximum((xx - yy) ** 2 / 4 + xy**2, 0))
  return np.maximum((xx + yy) / 2 - root, 0) ** 0.25


def _geometry(rendering: scenes.Rendering) -> np.ndarray:
  """Normals and log depth, [S, S, 4]."""
  depth = np.log(rendering.depth)[..., None]
  return np.concatenate([rendering.normal, depth], axis=-1)


def occlusion_edges(rendering: scenes.Rendering) -> np.ndarray:
  """Where an object's depth jumps by more than 6 %, bool [S, S].

  The nearer side of a jump is marked, and only if it or what it hides belongs
  to another object.
  """
  depth, instance = rendering.depth, rendering.instance
  edges = np.zeros(depth.shape, bool)
  steps = (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])
  for here, there in steps:
    jump = depth[there] - depth[here]
    nearer = np.minimum(depth[there], depth[here])
    occludes = (np.abs(jump) > _OCCLUSION_JUMP * nearer) & (
      instance[there] != instance[here]
    )
    edges[here] |= occludes & (jump > 0)
    edges[there] |= occludes & (jump < 0)
  return edges


def principal_curvatures(rendering: scenes.Rendering) -> np.ndarray:
  """Larger and smaller principal curvature, 1 / m, [S, S, 2].

  From the fundamental forms of finite differences over two samples; positive
  where the surface bends away from the viewer; 0 at depth jumps.
  """
  point, normal = rendering.point, rendering.normal
  point_u, normal_u = np.gradient(point, axis=1), np.gradient(normal, axis=1)
  point_v, normal_v = np.gradient(point, axis=0), np.gradient(normal, axis=0)

  def dot(a, b):
    return (a * b).sum(axis=-1)

  e, f, g = dot(point_u, point_u), dot(point_u, point_v), dot(point_v, point_v)
  second_e, second_g = dot(normal_u, point_u), dot(normal_v, point_v)
  second_f = (dot(normal_u, point_v) + dot(normal_v, point_u)) / 2
  area = np.maximum(e * g - f * f, 1e-12)
  mean = (second_e * g - 2 * second_f * f + second_g * e) / (2 * area)
  gauss = (second_e * second_g - second_f**2) / area
  root = np.sqrt(np.maximum(mean**2 - gauss, 0))
  curvatures = np.stack([mean + root, mean - root], axis=-1)
  jump = np.abs(np.stack(np.gradient(rendering.depth))).max(axis=0)
  curvatures[jump > _OCCLUSION_JUMP * rendering.depth / 2] = 0
  return curvatures


def _contour_affinity(contour: np.ndarray) -> np.ndarray:
  """exp(-strongest contour between a sample and its neighbours), [S, S, 4].

  Neighbours are `2 * _CONTOUR_STEPS` samples to the right, then below; the
  picture's border is repeated.
  """
  affinities = []
  for axis in (1, 0):
    for step in _CONTOUR_STEPS:
      reach = 2 * step + 1
      kernel = np.ones((reach, 1) if axis == 0 else (1, reach), np.uint8)
      anchor = (0, 0)  # The window starts here and lies right or below.
      strongest = cv2.dilate(
        contour, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE
      )
      affinities.append(np.exp(-strongest))
  return np.stack(affinities, axis=-1)


def _magnitude(values: np.ndarray) -> np.ndarray:
  dx, dy = _gradients(values)
  if values.ndim == 2:
    return np.hypot(dx, dy)
  return np.sqrt((dx**2 + dy**2).sum(axis=-1))


def _room_layout(scene: rooms.Scene) -> np.ndarray:
  """Log metres: walls in seven directions, floor below, ceiling above, [9]."""
  position = np.array(scene.camera.position)
  angles = scene.camera.yaw - _LAYOUT_DIRECTIONS
  headings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
  level = np.concatenate([headings, np.zeros((len(headings), 1))], axis=1)
  walls, _ = raycast.room_exit(position[None], level, scene.room)
  heights = [position[2], scene.room[2] - position[2]]
  return np.log(np.concatenate([walls, heights])).astype(np.float32)


def _largest_object(scene: rooms.Scene, rendering: scenes.Rendering) -> int:
  """Class of the object that covers most samples, at least 1 %."""
  seen = rendering.instance[rendering.instance >= 0]
  if not seen.size:
    return NO_OBJECT
  counts = np.bincount(seen)
  if counts.max() < 0.01 * rendering.instance.size:
    return NO_OBJECT
  return furniture.CLASSES.index(scene.objects[counts.argmax()])


def _shrink(values: np.ndarray, size: int) -> np.ndarray:
  """Area average to [size, size, channels]."""
  small = cv2.resize(
    values.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA
  )
  return small.reshape(size, size, -1)


def dense_labels(
  rendering: scenes.Rendering, size: int
) -> dict[str, np.ndarray]:
  """Returns the image-like labels of a scene by task.

  They are float32 [size, size, channels], of a rendering of at least 2 x `size`
  samples a side, except segmentsemantic: uint8 [size, size], index into
  `rooms.CLASSES`. Depths are log metres, pictures RGB in [0, 1], colours
  (a, b) / 100.
  """
  image, normal = rendering.image, rendering.normal
  distance = np.linalg.norm(rendering.point, axis=-1)
  ray = rendering.point / distance[..., None]
  geometry = _geometry(rendering)
  blurred = _smooth(image, 1)
  contour = _magnitude(blurred) * 20
  contour_3d = _magnitude(_smooth(geometry, 0.7)) * 6
  picture = _shrink(image, size)
  curvature = np.tanh(principal_curvatures(rendering) * 0.3)
  step = rendering.label.shape[0] // size
  dense = {
    'autoencoder': picture,
    'curvature': _shrink(_smooth(curvature.astype(np.float32), 2), size),
    'edge2d': _shrink(texture_edges(image), size),
    'edge3d': _shrink(
      _smooth(occlusion_edges(rendering).astype(np.float32), 1.5), size
    ),
    'keypoint2d': _shrink(_corner_strength(grey(image)), size),
    'keypoint3d': _shrink(_corner_strength(geometry), size),
    # CIE Lab, with a and b in about [-100, 100].
    'colorization': cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 1:] / 100,
    'reshade': _shrink(-(normal * ray).sum(axis=-1), size),
    'rgb2depth': _shrink(np.log(rendering.depth), size),
    'rgb2mist': _shrink(np.log(distance), size),
    'rgb2sfnorm': _shrink(normal, size),
    'segment25d': _shrink(_contour_affinity(0.3 * contour + contour_3d), size),
    'segment2d': _shrink(_contour_affinity(contour), size),
    'segmentsemantic': rendering.label[step // 2 :: step, step // 2 :: step],
  }
  dense['segmentsemantic'] = dense['segmentsemantic'].astype(np.uint8)
  dense['denoise'] = dense['inpainting_whole'] = picture
  return dense


def labels(
  scene: rooms.Scene, rendering: scenes.Rendering, size: int
) -> dict[str, np.ndarray]:
  """Returns the labels of all 20 tasks.

  Dense tasks as `dense_labels` gives them; room_layout float32 [9] (log
  metres), vanishing_point float32 [3], class_1000 (class of the largest
  object, `NO_OBJECT` for none) and class_places (room type) as int64 scalars.
  """
  yaw, pitch = scene.camera.yaw, scene.camera.pitch
  direction = [np.cos(4 * yaw), np.sin(4 * yaw), pitch]
  vectors = {
    'room_layout': _room_layout(scene),
    'vanishing_point': np.array(direction, np.float32),
    'class_1000': np.int64(_largest_object(scene, rendering)),
    'class_places': np.int64(rooms.ROOM_TYPES.index(scene.room_type)),
  }
  return dense_labels(rendering, size) | vectors


def labelled_images(
  seeds: Sequence[int], size: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Renders scenes with the labels of all tasks.

  Args:
    seeds: N scene seeds.
    size: Side of the pictures; dense labels have half of it.

  Returns:
    uint8 RGB [N, size, size, 3], and by task the N labels stacked. Dense
    labels are float16 to halve the memory of a training set.
  """
  pictures, rows = [], []
  for seed in seeds:
    scene = rooms.sample(seed)
    rendering = scenes.render(scene, 2 * size)
    pictures.append(scenes.picture(rendering, size))
    row = labels(scene, rendering, size // 2)
    rows.append(
      {
        task: value.astype(np.float16) if value.dtype == np.float32 else value
        for task, value in row.items()
      }
    )
  stacked = {task: np.stack([row[task] for row in rows]) for task in rows[0]}
  return np.stack(pictures), stacked
