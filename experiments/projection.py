"""How models are projected, and who is told about it."""

import dataclasses

from attribution.methods import AttributionMethod
from taskonomy_models.encoder import Encoder
from transferability import map_transforms

PROTOCOLS = ('paper', 'released_code')
ON_BAD_MAP = ('error', 'drop_image')


@dataclasses.dataclass(frozen=True)
class Projection:
  """How models are projected.

  Attributes:
    methods: Attribution methods; all share a model's forward pass.
    protocol: `paper`: maps keep W x H x C and T is inverted. `released_code`:
      maps are averaged over channels, with their sign, in the coordinates of
      the encoders' inputs, which must have one size.
    batch_size: Images that are processed at once.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    on_bad_map: `error`, or `drop_image`: an image on which any map of any
      model has no direction is left out for all models and methods.
    dtype: Storage type of the model space, float16 or float32.
    save_maps: Whether to keep the maps themselves too.
    keep_representations: Whether to keep the representations, which come from
      the same forward pass.
    map_transforms: What is done to maps before they enter a space, see
      `transferability.map_transforms`; each makes a space for each method.
  """

  methods: tuple[AttributionMethod, ...]
  protocol: str = 'paper'
  batch_size: int = 50
  device: str | None = None
  on_bad_map: str = 'error'
  dtype: str = 'float16'
  save_maps: bool = False
  keep_representations: bool = False
  map_transforms: tuple[str, ...] = (map_transforms.NONE,)

  def __post_init__(self):
    for name, value, known in (
      ('protocol', self.protocol, PROTOCOLS),
      ('on_bad_map', self.on_bad_map, ON_BAD_MAP),
    ):
      if value not in known:
        raise ValueError(f'Unknown {name} {value!r}; choose from {known}.')
    names = [method.name for method in self.methods]
    if not names or len(set(names)) < len(names):
      raise ValueError(f'Methods must be one or more, each once, not {names}.')
    chosen = self.map_transforms
    for transform in chosen:
      map_transforms.check(transform)
    if not chosen or len(set(chosen)) < len(chosen):
      raise ValueError(
        f'Map transforms must be one or more, each once, not {chosen}.'
      )

  @property
  def inverse(self) -> bool:
    """Whether maps are brought back to the coordinates of the images."""
    return self.protocol == 'paper'

  def spaces(self) -> list[tuple[str, AttributionMethod, str]]:
    """Returns name, method and map transform of each model space."""
    return [
      (space_name(method.name, transform), method, transform)
      for method in self.methods
      for transform in self.map_transforms
    ]


def space_name(method: str, transform: str = map_transforms.NONE) -> str:
  """Returns what the space of a method and a map transform is called."""
  return method if transform == map_transforms.NONE else f'{method}@{transform}'


class Observer:
  """Is told how each model of a projection ended."""

  def finished(
    self, encoder: Encoder, images: int, seconds: float, ruled: int
  ) -> None:
    """Called when images of a model were explained.

    Args:
      encoder: The model.
      images: How many were explained now.
      seconds: What that took, without building the graph.
      ruled: Number of activations whose gradient a method overrides.
    """

  def failed(self, encoder: Encoder, error: ValueError) -> None:
    """Called when a model cannot be projected; on return it is left out.

    The default is to stop.
    """
    raise error
