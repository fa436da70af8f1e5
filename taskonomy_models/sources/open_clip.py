"""The image halves of open_clip: 'open_clip:ViT-B-32:laion2b_s34b_b79k'."""

from collections.abc import Callable
from typing import Any

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import surgery
from taskonomy_models.sources import registry, torch_networks
from taskonomy_models.sources.registry import Asked, Description, register


@register('open_clip')
def _network(request: Asked) -> Description:
  """Returns the half that sees; WEIGHTS are a tag, by default the first."""
  open_clip = registry.require('open_clip', 'open_clip_torch')
  name = request.name
  if name not in open_clip.list_models():
    raise registry.unknown('open_clip', name, open_clip.list_models())
  tags = open_clip.list_pretrained_tags_by_model(name)
  if not tags and not request.is_random:
    raise registry.untrained(name)
  tag = request.tag or (tags[0] if tags else None)
  if request.tag and tag not in tags:
    raise GraphError(f'{name} has no weights {tag!r}, but {", ".join(tags)}.')
  pretrained = None if request.is_random else tag
  module = torch_networks.fetched(
    request,
    f'The weights {tag} of {name}',
    lambda: open_clip.create_model(name, pretrained=pretrained).visual,
  )
  size = module.image_size
  config = {**module.preprocess_cfg, **_config(open_clip, name, tag)}
  seeing = getattr(module, 'trunk', module)  # Of timm, if it has one.
  patches = getattr(seeing, 'patch_embed', seeing)
  return torch_networks.describe(
    request,
    module,
    torch_networks.normalised(
      (size, size) if isinstance(size, int) else size,
      config['mean'],
      config['std'],
    ),
    features=_features(module),
    prefix=getattr(seeing, 'num_prefix_tokens', None),
    grid=getattr(patches, 'grid_size', None),
  )


def _config(package: Any, name: str, tag: str | None) -> dict[str, Any]:
  """Returns what is said of weights; a network without them says another T."""
  found = package.get_pretrained_cfg(name, tag) if tag else {}
  return {key: found[key] for key in ('mean', 'std') if found.get(key)}


def _features(module: Any) -> Callable[[Any], Any] | None:
  """Returns what gives all tokens, None if it has no own way to them.

  What the module itself calls tokens is without the first; behind a pooling by
  attention, as in CoCa, it is that of its questions, which have no place.
  """
  if hasattr(module, 'trunk'):  # Of timm.
    return module.trunk.forward_features
  if not hasattr(module, 'class_embedding'):
    return None
  is_normalised = module.attn_pool is None and not module.final_ln_after_pool
  path = 'ln_post' if is_normalised else 'transformer'
  return surgery.until(module, path, stops=False)
