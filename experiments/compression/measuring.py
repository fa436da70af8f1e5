"""What is measured of a network: predictions, maps, and what moves them."""

from collections.abc import Mapping
import dataclasses

import numpy as np
import tensorflow as tf

from attribution import perturbation
from attribution_preservation import maps as class_maps
from attribution_preservation import scores
from attribution_preservation.maps import GRAD_CAM, ClassMaps
from experiments.compression.plan import Source
from probe_data.shapes import MaskedImages

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # Of pixels that are removed.
ORDERS = ('least', 'most', 'random')
PERTURBED = (GRAD_CAM, 'gradient_times_input')
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Samples:
  """Which maps are made, and what they are compared with.

  Attributes:
    data: The pictures.
    images: The image of each sample, int64 [samples].
    classes: Its class.
    explained: Which samples are explained by all methods.
    fill: Colour of removed pixels, uint8 [3].
  """

  data: MaskedImages
  images: np.ndarray
  classes: np.ndarray
  explained: np.ndarray
  fill: np.ndarray

  @classmethod
  def of(
    cls, data: MaskedImages, fill: np.ndarray, num_explained: int
  ) -> 'Samples':
    """Returns all samples; those explained are spread evenly."""
    images, classes = data.samples()
    number = min(num_explained, len(images))
    explained = np.arange(number) * len(images) // max(1, number)
    return cls(data, images, classes, explained, fill)

  def masks(self, rows: np.ndarray) -> np.ndarray:
    """Returns the masks of samples, bool [n, H, W]; void is background."""
    wanted = self.classes[rows] + 1
    return self.data.masks[self.images[rows]] == wanted[:, None, None]


def measure(
  model: tf.keras.Model,
  source: Source,
  samples: Samples,
  selection: MaskedImages,
  teacher: Mapping[str, np.ndarray] | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns what is measured of a network, and its maps.

  Args:
    model: From images to logits.
    source: Of the pictures.
    samples: Of the test split.
    selection: The selection split.
    teacher: The teacher's maps, as this returned them; None for itself.

  Returns:
    `logits`, `selection_logits`, `selection_auc`; of every sample `auc/NAME`,
    `point/NAME` and `cosine/NAME` by Grad-CAM, of the explained ones by the
    other methods; `perturbed/NAME/ORDER` [explained, SHARES]. And the maps by
    method, which for Grad-CAM are of one channel.
  """
  everything = np.arange(len(samples.images))
  few = samples.explained
  others = [name for name in class_maps.METHODS if name != GRAD_CAM]
  found = {}
  pictures = samples.data.images[samples.images]
  with ClassMaps(model, source.preprocessing) as explain:
    found['logits'] = explain.logits(samples.data.images)
    found['selection_logits'] = explain.logits(selection.images)
    made = explain.maps(pictures[few], samples.classes[few], others)

    def grad_cam(images, classes, is_centred=False):
      own = explain.maps(images, classes, [GRAD_CAM], is_centred)
      return own[GRAD_CAM].sum(axis=-1, keepdims=True)

    made[GRAD_CAM] = grad_cam(pictures, samples.classes)
    centred = grad_cam(pictures, samples.classes, True)[..., 0]
    images, classes = selection.samples()
    own = grad_cam(selection.images[images], classes)[..., 0]
    masks = selection.masks[images] == classes[:, None, None] + 1
    found['selection_auc'] = _aucs(own, masks)
    for name in PERTURBED:
      heat = class_maps.heat(name, made[name])
      heat = heat[few] if name == GRAD_CAM else heat
      found |= _perturbation(explain, samples, name, heat, found['logits'])
  found['auc/centred'] = _aucs(centred, samples.masks(everything))
  found['point/centred'] = _points(centred, samples.masks(everything))
  for name in (GRAD_CAM, *others):
    rows = everything if name == GRAD_CAM else few
    heat, masks = class_maps.heat(name, made[name]), samples.masks(rows)
    found[f'auc/{name}'] = _aucs(heat, masks)
    found[f'point/{name}'] = _points(heat, masks)
    if teacher is not None:
      found[f'cosine/{name}'] = scores.cosines(made[name], teacher[name])
  return found, made


def _aucs(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
  pairs = zip(heat, masks, strict=True)
  return np.array([scores.localisation_auc(*each) for each in pairs])


def _points(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
  pairs = zip(heat, masks, strict=True)
  return np.array([scores.points_inside(*each) for each in pairs], np.float64)


def _perturbation(
  explain: ClassMaps,
  samples: Samples,
  name: str,
  heat: np.ndarray,
  logits: np.ndarray,
) -> dict[str, np.ndarray]:
  """Returns the relative change of class logits without some pixels."""
  few = samples.explained
  images, classes = samples.images[few], samples.classes[few]
  before = logits[images, classes]
  found = {
    order: np.zeros((len(few), len(SHARES)), np.float64) for order in ORDERS
  }
  orders = [
    perturbation.orders(own, np.random.default_rng(i))
    for i, own in enumerate(heat)
  ]
  for order in ORDERS:
    for column, share in enumerate(SHARES):
      changed = np.stack(
        [
          perturbation.perturbed(
            samples.data.images[image], own[order], share, samples.fill
          )
          for image, own in zip(images, orders, strict=True)
        ]
      )
      after = explain.logits(changed)[np.arange(len(few)), classes]
      found[order][:, column] = scores.relative_change(before, after)
  return {f'perturbed/{name}/{o}': values for o, values in found.items()}


def quick(
  model: tf.keras.Model, source: Source, data: MaskedImages
) -> dict[str, np.ndarray]:
  """Returns logits and Grad-CAM's maps of a split: `logits`, `heat`, `auc`."""
  images, classes = data.samples()
  with ClassMaps(model, source.preprocessing, [GRAD_CAM]) as explain:
    heat = explain.maps(data.images[images], classes)[GRAD_CAM].sum(axis=-1)
    masks = data.masks[images] == classes[:, None, None] + 1
    logits = explain.logits(data.images)
  return {'logits': logits, 'heat': heat, 'auc': _aucs(heat, masks)}


def predicted(logits: np.ndarray, samples: Samples) -> np.ndarray:
  """Returns of which samples the class is predicted, bool [samples]."""
  return logits[samples.images, samples.classes] > 0


def features(body: tf.keras.Model, images: np.ndarray) -> np.ndarray:
  """Returns feature maps of preprocessed images, flattened: [n, units]."""
  parts = [
    body(tf.constant(images[start : start + _BATCH]), training=False)
    for start in range(0, len(images), _BATCH)
  ]
  return np.concatenate([np.reshape(part, (len(part), -1)) for part in parts])
