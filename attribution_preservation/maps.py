"""Attribution maps of single classes of a classifier.

All but occlusion are maps of the one engine, `attribution.explainer`; occlusion
needs no gradient, only forward passes.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution.explainer import Explainer
from attribution.preprocessing import Preprocessing
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
    patch: int = _PATCH,
  ):
    """Freezes a model.

    Args:
      model: From images to logits [B, K].
      preprocessing: T, from uint8 images.
      methods: Some of METHODS.
      fill: What occluded pixels become, after T; a number or [channels].
      patch: Side of what occlusion hides, in pixels.
    """
    self.network = frozen_graphs.load(
      model, representation=model.layers[-1].name, name=model.name
    )
    self._preprocessing = Preprocessing.parse(preprocessing)
    self._methods = tuple(methods)
    self._fill, self._patch = fill, patch
    self._explainers: dict[tuple[str, ...], Explainer] = {}

  def _explainer(self, names: tuple[str, ...]) -> Explainer:
    """Returns what explains by some methods; it is built once."""
    if names not in self._explainers:
      options = {'steps': _STEPS} if 'integrated_gradients' in names else {}
      self._explainers[names] = Explainer(
        self.network,
        preprocessing=self._preprocessing,
        methods=methods_lib.create_all(names, **options),
        is_directed=True,
        batch_size=_BATCH,
      )
    return self._explainers[names]

  def logits(self, images: np.ndarray) -> np.ndarray:
    """Returns the logits of uint8 images, [n, K]."""
    return self.network.run(self._preprocessing(images), _BATCH)

  def maps(
    self,
    images: np.ndarray,
    classes: np.ndarray,
    methods: Sequence[str] | None = None,
    is_centred: bool = False,
  ) -> dict[str, np.ndarray]:
    """Returns a map of each sample by each method, float32 [n, H, W, C].

    Args:
      images: uint8 [n, H, W, C].
      classes: The class that is explained, int [n].
      methods: Default: all that were asked for.
      is_centred: Whether what is explained is the logit minus the mean logit.
    """
    chosen = self._methods if methods is None else methods
    directions = np.eye(
      self.network.representation_shape[-1], dtype=np.float32
    )[classes]
    if is_centred:
      directions = directions - directions.mean(axis=1, keepdims=True)
    found = {}
    if names := tuple(name for name in chosen if name != OCCLUSION):
      explained = self._explainer(names).explain(images, directions=directions)
      found = dict(explained.maps)
    if OCCLUSION in chosen:
      found[OCCLUSION] = self.occlusion(images, classes, is_centred)
    return found

  def occlusion(
    self, images: np.ndarray, classes: np.ndarray, is_centred: bool = False
  ) -> np.ndarray:
    """Returns how much a class logit falls without each patch, [n, H, W, C].

    Zeiler and Fergus (2014), with patches side by side, after T. Each channel
    gets an equal part.

    Args:
      images: uint8 [n, H, W, C].
      classes: int [n].
      is_centred: As for `maps`.
    """
    inputs, patch = self._preprocessing(images), self._patch

    def explained(inputs: np.ndarray) -> np.ndarray:
      logits = self.network.run(inputs, _BATCH)
      own = logits[np.arange(len(images)), classes]
      return own - logits.mean(axis=1) if is_centred else own

    whole = explained(inputs)
    height, width, channels = inputs.shape[1:]
    found = np.zeros(inputs.shape, np.float32)
    for top in range(0, height, patch):
      for left in range(0, width, patch):
        area = np.s_[:, top : top + patch, left : left + patch]
        without = inputs.copy()
        without[area] = self._fill
        lost = (whole - explained(without)) / channels
        found[area] = lost[:, None, None, None]
    return self._preprocessing.inverse(found, images.shape[1:])

  def close(self) -> None:
    """Frees the sessions."""
    for explainer in self._explainers.values():
      explainer.close()
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
