"""The networks of transformers: 'hf:facebook/dinov2-small', or a folder."""

from collections.abc import Callable, Mapping
from typing import Any

from frozen_graphs.errors import GraphError
from taskonomy_models import metadata
from taskonomy_models.sources import registry, torch_networks
from taskonomy_models.sources.registry import Asked, Description, register

_T = 'resize({}) | mean_std((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))'


@register('hf')
def _network(request: Asked) -> Description:
  """Returns a network of the hub, its cache, or a folder.

  Code that lies beside the weights is never run.
  """
  transformers = registry.require('transformers')
  if request.weights and not request.is_random:
    raise GraphError(
      f'{request.name} has one set of weights; {request.weights!r} is none.'
    )
  name = request.name
  try:
    config = transformers.AutoConfig.from_pretrained(name)
    if request.is_random:
      module = torch_networks.made(
        lambda: transformers.AutoModel.from_config(config)
      )
    else:
      module = transformers.AutoModel.from_pretrained(name)
  except Exception as error:  # Of the package that fetches them.
    what = f'The network {name}, with its configuration,'
    raise registry.unreachable(what, error) from error
  # Of a network of images and texts, the half that sees.
  module = getattr(module, 'vision_model', module)
  config = module.config
  return torch_networks.describe(
    request,
    module,
    preprocessing_of(_processor(transformers, name), size_of(config)),
    features=_features(module),
    grid=grid_of(config),
  )


def _features(module: Any) -> Callable[[Any], Any]:
  def function(images: Any) -> Any:
    return module(pixel_values=images).last_hidden_state

  return function


def _processor(transformers: Any, name: str) -> Mapping[str, Any]:
  try:
    return transformers.AutoImageProcessor.from_pretrained(name).to_dict()
  except Exception:  # There need be none.
    return {}


def preprocessing_of(processor: Mapping[str, Any], size: int) -> str:
  """Returns T of the configuration of an image processor.

  Args:
    processor: Empty if there is none.
    size: Of images, for such networks.
  """
  return metadata.of_json(processor) or _T.format(size)


def size_of(config: Any) -> int:
  """Returns the side of the images of a configuration."""
  size = getattr(config, 'image_size', None) or 224
  return size if isinstance(size, int) else size[0]


def grid_of(config: Any) -> tuple[int, int] | None:
  """Returns rows and columns of the patches, None if there are no patches."""
  patch = getattr(config, 'patch_size', None)
  if not isinstance(patch, int) or not getattr(config, 'image_size', None):
    return None
  side = size_of(config) // patch
  return side, side
