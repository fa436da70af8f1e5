"""The networks of torchvision: 'torchvision:resnet50'."""

import inspect
from typing import Any

from frozen_graphs.errors import GraphError
from taskonomy_models.sources import registry, torch_networks
from taskonomy_models.sources.registry import Asked, Description, register

_IMAGENET = (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@register('torchvision')
def _network(request: Asked) -> Description:
  """Returns a network; WEIGHTS are of its enum, as 'IMAGENET1K_V2'."""
  models = registry.require('torchvision').models
  name = request.name
  if name not in models.list_models():
    raise registry.unknown('torchvision', name, models.list_models())
  known = models.get_model_weights(name)
  chosen = None
  if request.tag:
    if request.tag not in known.__members__:
      raise GraphError(
        f'{name} has no weights {request.tag!r}, but '
        f'{", ".join(known.__members__)}.'
      )
    chosen = known[request.tag]
  else:
    chosen = getattr(known, 'DEFAULT', None)
  if chosen is None and not request.is_random:
    raise registry.untrained(name)
  options = _options(models.get_model_builder(name), request.is_random)
  weights = None if request.is_random else chosen
  module = torch_networks.fetched(
    request,
    f'The weights of {name}',
    lambda: models.get_model(name, weights=weights, **options),
  )
  return torch_networks.describe(
    request, module, preprocessing_of(chosen and chosen.transforms())
  )


def _options(builder: Any, is_random: bool) -> dict[str, Any]:
  """Returns options of a network that is to have no other trained weights."""
  name = builder.__name__
  options: dict[str, Any] = {}
  if 'googlenet' in name or 'inception' in name:
    options['init_weights'] = is_random
  parts = inspect.signature(inspect.unwrap(builder)).parameters
  if is_random and 'weights_backbone' in parts:
    options['weights_backbone'] = None
  return options


def preprocessing_of(transforms: Any) -> str:
  """Returns T of the transforms that come with weights; None has none."""
  size, mean, std = _IMAGENET
  mean = getattr(transforms, 'mean', mean)
  std = getattr(transforms, 'std', std)
  crop = getattr(transforms, 'crop_size', None)
  crop = crop or getattr(transforms, 'resize_size', None) or size
  sides = [int(side) for side in crop]
  return torch_networks.normalised(
    sides * 2 if len(sides) == 1 else sides, mean, std
  )
