"""Attribution maps of single classes of a classifier.

All but occlusion are maps of the one engine, `attribution.explainer`; occlusion
needs no gradient, only forward passes.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution.explainer import Explainer
import frozen_graphs

GRAD_CAM = 'grad_cam'
OCCLUSION = 'occlusion'
METHODS = (
  GRAD_CAM,
  'saliency',
  'gradient_times_input',
  'integrated_gradients',
  'elrp',
  OCCLUSION,
)
_BATCH = 64
_STEPS = 10  # Of integrated gradients.
_PATCH = 4


class ClassMaps:
  """A classifier whose classes are explained one by one.

  Attributes:
    network: The classifier, frozen.
  """

  def __init__(
    self,
    model: tf.keras.Model,
    preprocessing: str,
    methods: Sequence[str] = METHODS,
    fill: float | np.ndarray = 0.0,
    is_centred: bool = False,
    patch: int = _PATCH,
  ):
    """Freezes a model and builds its explainer.

    Args:
      model: From images to logits [B, K].
      preprocessing: T, from uint8 images.
      methods: Some of METHODS.
      fill: What occluded pixels become, after T; a number or [channels].
      is_centred: Whether what is explained is the logit minus the mean logit.
      patch: Side of what occlusion hides, in pixels.
    """
    self.network = frozen_graphs.load(
      model, representation=model.layers[-1].name, name=model.name
    )
    self._fill, self._patch, self._is_centred = fill, patch, is_centred
    self._occludes = OCCLUSION in methods
    chosen = [name for name in methods if name != OCCLUSION]
    self._explainer = Explainer(
      self.network,
      preprocessing=preprocessing,
      methods=methods_lib.create_all(chosen or [GRAD_CAM], steps=_STEPS)
      if 'integrated_gradients' in chosen
      else chosen or [GRAD_CAM],
      is_directed=True,
      batch_size=_BATCH,
    )
    self._chosen = chosen

  def logits(self, images: np.ndarray) -> np.ndarray:
    """Returns the logits of uint8 images, [n, K]."""
    return self.network.run(self._explainer.preprocessing(images), _BATCH)

  def maps(
    self, images: np.ndarray, classes: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Returns a map of each sample by each method, float32 [n, H, W, C].

    Args:
      images: uint8 [n, H, W, C].
      classes: The class that is explained, int [n].
    """
    number = self.network.representation_shape[-1]
    directions = np.eye(number, dtype=np.float32)[classes]
    if self._is_centred:
      directions = directions - np.float32(1 / number)
    found = {}
    if self._chosen:
      maps = self._explainer.explain(images, directions=directions).maps
      found = {name: maps[name] for name in self._chosen}
    if self._occludes:
      found[OCCLUSION] = self.occlusion(images, classes)
    return found

  def occlusion(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns how much a class logit falls without each patch, [n, H, W, 1].

    Zeiler and Fergus (2014), with patches side by side.

    Args:
      images: uint8 [n, H, W, C].
      classes: int [n].
    """
    inputs, patch = self._explainer.preprocessing(images), self._patch
    rows = np.arange(len(images))
    whole = self.network.run(inputs, _BATCH)[rows, classes]
    height, width = inputs.shape[1:3]
    found = np.zeros((*inputs.shape[:3], 1), np.float32)
    for top in range(0, height, patch):
      for left in range(0, width, patch):
        area = np.s_[:, top : top + patch, left : left + patch]
        without = inputs.copy()
        without[area] = self._fill
        logits = self.network.run(without, _BATCH)[rows, classes]
        found[area] = (whole - logits)[:, None, None, None]
    return found

  def close(self) -> None:
    """Frees the sessions."""
    self._explainer.close()
    self.network.close()

  def __enter__(self) -> 'ClassMaps':
    return self

  def __exit__(self, *exception) -> None:
    self.close()


def heat(name: str, maps: np.ndarray) -> np.ndarray:
  """Returns maps as what spoke for the class, one number a pixel: [n, H, W].

  A sum over channels: of magnitudes for saliency, which has no sign, and of the
  signed values for all others.
  """
  return maps.sum(axis=-1) if name != 'saliency' else np.abs(maps).sum(axis=-1)
