"""The networks of transformers: 'hf:facebook/dinov2-small', or a folder."""

from collections.abc import Callable, Collection, Iterator
import contextlib
import os
from typing import Any

from frozen_graphs.errors import GraphError, brief
from frozen_graphs.formats.torch import surgery
from taskonomy_models import metadata
from taskonomy_models.sources import registry, torch_networks
from taskonomy_models.sources.registry import Asked, Description, register

_SEEING = ('vision_model', 'vision_tower', 'vision_encoder')
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
  with _explained(name):
    config = transformers.AutoConfig.from_pretrained(name)
  size = size_of(getattr(config, 'vision_config', config))
  preprocessing = _preprocessing(transformers, request, size)
  missing: Collection[str] = ()
  with _explained(name):
    if request.is_random:
      module = torch_networks.made(
        lambda: transformers.AutoModel.from_config(config)
      )
    else:
      module, found = transformers.AutoModel.from_pretrained(
        name, output_loading_info=True
      )
      missing = found['missing_keys']
  # Of a network of images and texts, the part that sees.
  seeing = next((part for part in _SEEING if hasattr(module, part)), '')
  module = getattr(module, seeing, module)
  check_all_there(name, missing, seeing)
  config = module.config
  return torch_networks.describe(
    request,
    module,
    preprocessing,
    features=_features(module),
    grid=grid_of(config, preprocessing),
  )


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
  """Turns the errors of the package into one that says what is missing."""
  try:
    yield
  except Exception as error:
    if not os.path.isdir(name):
      what = f'The network {name}, with its configuration,'
      folder = 'a folder that save_pretrained has written (hf:FOLDER)'
      raise registry.unreachable(what, error, folder) from error
    reason = f'{type(error).__name__}: {brief(error, 200)}'.rstrip('. ')
    raise GraphError(
      f'The network in the folder {name} cannot be loaded ({reason}). It takes '
      'config.json and the weights, as save_pretrained writes them, of a '
      'network that `AutoModel` of transformers knows; others can be loaded in '
      'Python, and given as a module (`attribution_transfer.network`).'
    ) from error


def check_all_there(name: str, missing: Collection[str], part: str) -> None:
  """Raises GraphError if weights of a network were not in its files.

  Those that answer need not be there, as they are not used.

  Args:
    name: Of the network.
    missing: Paths of the weights.
    part: Of the module that sees, '' for the whole.
  """
  within = f'{part}.' if part else ''
  paths = [p.removeprefix(within) for p in missing if p.startswith(within)]
  used = sorted(
    path
    for path in paths
    if not surgery.is_of_head(path) and not path.startswith('pooler.')
  )
  if used:
    raise GraphError(
      f'{name} lacks {len(used)} of its weights, as {", ".join(used[:3])}; '
      'they would be drawn at random. Are the weights those of its config.json?'
    )


def _features(module: Any) -> Callable[[Any], Any]:
  # Tokens of objects are behind those of patches, as in YOLOS.
  behind = getattr(module.config, 'num_detection_tokens', 0)

  def function(images: Any) -> Any:
    found = module(pixel_values=images).last_hidden_state
    return found[:, : found.shape[1] - behind] if behind else found

  return function


def _preprocessing(transformers: Any, request: Asked, size: int) -> str:
  """Returns T as the user or the image processor says.

  Raises:
    GraphError: If there is none, and the weights were trained.
  """
  default = _T.format(size)
  if request.preprocessing:
    return request.preprocessing
  try:
    processor = transformers.AutoImageProcessor.from_pretrained(request.name)
    found = metadata.of_json(processor.to_dict(), size)
    reason = 'it says no mean and deviation'
  except Exception as error:  # Of the package that fetches it.
    found, reason = None, brief(error, 200).rstrip('. ')
  if found is None and request.weights != registry.RANDOM:
    raise GraphError(
      f'{request.name} has no image processor that says which values it was '
      f'trained on ({reason}). Say it (`preprocessing`), for example '
      f'"{default}"; a wrong range fails silently.'
    )
  return found or default


def size_of(config: Any) -> int:
  """Returns the side of the images of a configuration."""
  size = getattr(config, 'image_size', None) or 224
  return size if isinstance(size, int) else size[0]


def grid_of(config: Any, preprocessing: str) -> tuple[int, int] | None:
  """Returns rows and columns of the patches, None if there are no patches.

  Args:
    config: Of the network. Its images may have another size than it says.
    preprocessing: T, which says how large they are.
  """
  patch = getattr(config, 'patch_size', None)
  if not isinstance(patch, int):
    return None
  height, width = torch_networks.sides_of(preprocessing)
  return height // patch, width // patch
