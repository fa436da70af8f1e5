"""The networks of timm: 'timm:vit_small_patch14_dinov2'."""

from collections.abc import Mapping, Sequence
from typing import Any

from frozen_graphs.errors import GraphError
from taskonomy_models.sources import registry, torch_networks
from taskonomy_models.sources.registry import Asked, Description, register


@register('timm')
def _network(request: Asked) -> Description:
  """Returns a network; WEIGHTS are the tag of timm, as 'lvd142m'."""
  timm = registry.require('timm')
  name = request.name
  if request.tag:
    name = f'{name}.{request.tag}'
  if not timm.is_model(name):
    raise registry.unknown('timm', name, timm.list_models())
  base, _, tag = name.partition('.')
  known = [n.partition('.')[2] for n in timm.list_pretrained(f'{base}.*')]
  if tag and tag not in known:
    raise GraphError(
      f'{base} has no weights {tag!r}, but {", ".join(known) or "none"}.'
    )
  # Its head is not used, and weights may come without.
  module = torch_networks.fetched(
    request,
    f'The weights of {name}',
    lambda: timm.create_model(name, pretrained=not request.is_random),
  )
  return of_module(request, module)


def of_module(request: Asked, module: Any) -> Description:
  """Returns what timm says of a module that it has made."""
  patches = getattr(module, 'patch_embed', None)
  return torch_networks.describe(
    request,
    module,
    preprocessing_of(getattr(module, 'pretrained_cfg', None) or {}, module),
    features=module.forward_features,
    prefix=getattr(module, 'num_prefix_tokens', None),
    grid=getattr(patches, 'grid_size', None),
  )


def preprocessing_of(config: Mapping[str, Any], module: Any = None) -> str:
  """Returns T of a configuration (`pretrained_cfg`).

  Args:
    config: With `input_size`, `mean` and `std`; `fixed_input_size` if the
      network takes no other size.
    module: Of which the size is taken, if it says one.
  """
  size: Sequence[int] = config.get('input_size', (3, 224, 224))[1:]
  patches = getattr(module, 'patch_embed', None)
  own = getattr(patches, 'img_size', None)
  if own is not None:
    size = own
  return torch_networks.normalised(
    size,
    config.get('mean', (0.485, 0.456, 0.406)),
    config.get('std', (0.229, 0.224, 0.225)),
  )
