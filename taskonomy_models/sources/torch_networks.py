"""What the networks of all frameworks of PyTorch have in common."""

from collections import Counter
from collections.abc import (
  Callable,
  Collection,
  Iterator,
  Mapping,
  Sequence,
)
import math
import os
import pathlib
from typing import Any

import numpy as np

from attribution.preprocessing import Preprocessing
from frozen_graphs.errors import GraphError, about, at_the_door, explaining
from frozen_graphs.formats.torch import files as torch_files
from frozen_graphs.formats.torch import surgery
from probe_data import photographs
from probe_data.errors import ProbeSetError
from taskonomy_models import pictures
from taskonomy_models.sources import registry
from taskonomy_models.sources.registry import Asked, Description

# What a representation of a network with tokens can be, besides the path of a
# module: the patches as a map, the first token, all tokens.
FEATURES, CLASS_TOKEN, TOKENS = 'features', 'class_token', 'tokens'
CHOICES = (FEATURES, CLASS_TOKEN, TOKENS)
_SEED = 0
_LEAST_BYTES = 2  # Of a weight.
_PHOTOGRAPH = 448, 448, 3  # Shape of the one that a network is tried on.


def made(make: Callable[[], Any]) -> Any:
  """Returns what a function makes, whose random weights are always the same."""
  torch = surgery.require()
  with surgery.gradients(), torch.random.fork_rng(devices=[]):
    torch.manual_seed(_SEED)
    return make()


def fetched(request: Asked, what: str, make: Callable[[], Any]) -> Any:
  """Returns what a function of a framework makes, which may fetch weights.

  Args:
    request: What is asked for.
    what: May be fetched.
    make: Of the framework.

  Raises:
    GraphError: If the framework cannot make the network.
    OSError: If the weights cannot be had.
  """
  try:
    return made(make)
  except Exception as error:  # Of packages that may raise anything.
    if request.is_random:
      raise registry.unmade(request.name, error) from error
    raise registry.unreachable(what, error) from error


def describe(
  request: Asked,
  module: Any,
  preprocessing: str,
  *,
  features: Callable[[Any], Any] | None = None,
  prefix: int | None = None,
  grid: Sequence[int] | None = None,
) -> Description:
  """Returns a module with its weights, cut at its representation.

  Args:
    request: What is asked for.
    module: With its trained weights, if those are asked for.
    preprocessing: T, if the user says none.
    features: Of images, what is handed to the head; default: what
      `surgery.proposed` finds.
    prefix: Number of tokens before those of the patches; default: as many as
      are left beside a rectangle of patches, shaped like the image.
    grid: (rows, columns) of the patches of images that `preprocessing` makes;
      default: that rectangle.
  """
  module.eval().float()  # Frameworks give weights the type of their file.
  if request.checkpoint:
    load_weights(module, request.checkpoint)
  elif request.is_random:
    surgery.randomise(module, _SEED)
  shape = sides_of(request.preprocessing or preprocessing)
  if shape != sides_of(preprocessing):
    grid = None  # It is that of other images.
    with about(request.name):
      _make_for(module, shape)
  preprocessing = request.preprocessing or preprocessing
  image = example(preprocessing)
  options = {'example_input': image, 'owned': True}
  wanted = request.representation or FEATURES
  if wanted not in CHOICES:
    return Description(module, preprocessing, wanted, options)
  if features is None:
    torch = surgery.require()
    with about(request.name):
      path = surgery.proposed(module, torch.as_tensor(image))
    features = surgery.until(module, path, stops=False)
  function = features

  def represented(images: Any) -> Any:
    found = surgery.first_tensor(function(images))
    return _chosen(found, wanted, shape, prefix, grid)

  network = surgery.named(wanted, represented, module)
  return Description(network, preprocessing, wanted, options)


def _make_for(module: Any, sides: Sequence[int]) -> None:
  """Makes a network for images of another size, if it can be, as many of timm.

  Else it might resample its positions as it runs, which exporters do by other
  coefficients.
  """
  if hasattr(module, 'set_input_size'):
    height, width = sides
    with explaining(
      f'it has no images of {height} x {width} pixels', Exception
    ):
      module.set_input_size(img_size=(height, width))


def sides_of(preprocessing: str) -> Sequence[int]:
  """Returns (height, width) of the images that T makes."""
  return Preprocessing.parse(preprocessing).output_shape(_PHOTOGRAPH)[:2]


def _chosen(
  found: Any,
  wanted: str,
  sides: Sequence[int],
  prefix: int | None,
  grid: Sequence[int] | None,
) -> Any:
  """Returns features [N, h, w, C], or tokens [N, T, C] or [N, C]."""
  if found.dim() == 4 and wanted == FEATURES:
    is_last = is_channels_last(found.shape[1:], sides)
    return found if is_last else found.permute(0, 2, 3, 1)
  if wanted == FEATURES and found.dim() != 3:
    return found
  if found.dim() != 3:
    raise GraphError(
      f'It has no tokens, but features of shape {list(found.shape)}; choose '
      f'{FEATURES!r}, or the path of a module (`representation`).'
    )
  if wanted == TOKENS:
    return found
  rows, columns, before = layout(found.shape[1], prefix, grid, sides)
  if wanted == CLASS_TOKEN:
    if not before:
      raise GraphError(
        f'All of its {found.shape[1]} tokens are patches; choose {FEATURES!r}.'
      )
    return found[:, 0]
  if not rows:
    return found
  return found[:, before:].reshape(-1, rows, columns, found.shape[2])


def is_channels_last(shape: Sequence[int], sides: Sequence[int]) -> bool:
  """Returns whether a map has channels last: what is shaped like the image.

  Args:
    shape: Of the map, its three axes.
    sides: (height, width) of the image.
  """
  first, second = (
    abs(math.log(rows / columns * sides[1] / sides[0]))
    for rows, columns in (shape[:2], shape[1:])
  )
  return first < second


def layout(
  tokens: int,
  prefix: int | None = None,
  grid: Sequence[int] | None = None,
  sides: Sequence[int] = (1, 1),
) -> tuple[int, int, int]:
  """Returns how tokens lie: rows, columns, and how many are before them.

  Args:
    tokens: Number of all.
    prefix: Number of those before the patches, if it is known; default: as few
      as leave a rectangle that is shaped like the image.
    grid: (rows, columns), if they are known.
    sides: (height, width) of the image, else; patches are squares.

  Returns:
    0 rows and columns if the patches are no rectangle.
  """
  if grid is not None:
    rows, columns = grid
    if 0 <= tokens - rows * columns and (
      prefix is None or tokens - rows * columns == prefix
    ):
      return rows, columns, tokens - rows * columns
  ratio = sides[0] / sides[1]
  for before in range(tokens) if prefix is None else [prefix]:
    patches = max(0, tokens - before)
    rows, columns = (
      round(math.sqrt(patches * each)) for each in (ratio, 1 / ratio)
    )
    if rows * columns == patches:
      return rows, columns, before
  return 0, 0, prefix or 0


def example(preprocessing: str) -> np.ndarray:
  """Returns a photograph as a network takes it, float32 [1, C, H, W].

  Where no photograph is installed it is noise with their spectrum.
  """
  t = Preprocessing.parse(preprocessing)
  size = _PHOTOGRAPH[:2]
  try:
    images, _ = photographs.crops(1, size, seed=0)
  except ProbeSetError:
    images = pictures.noise(1, size[0])
  return t(images).transpose(0, 3, 1, 2)


def normalised(
  size: Sequence[int], mean: Sequence[float], std: Sequence[float]
) -> str:
  """Returns T of images of (height, width), with a mean and a deviation."""
  sides = ', '.join(map(str, dict.fromkeys(int(side) for side in size)))
  numbers = (
    ', '.join(f'{float(number):g}' for number in each) for each in (mean, std)
  )
  return 'resize({}) | mean_std(({}), ({}))'.format(sides, *numbers)


def load_weights(module: Any, path: str | os.PathLike) -> None:
  """Gives a module the weights of a file, which is read as data.

  Args:
    module: Whose architecture the weights are of.
    path: A .safetensors file, or one of `torch.save`.

  Raises:
    GraphError: If the weights are of another architecture.
    OSError: If the file cannot be read.
  """
  torch = surgery.require()
  with open(path, 'rb'):
    pass  # Whoever cannot be read is told of as others are.
  if pathlib.Path(path).suffix == '.safetensors':
    safetensors = registry.require('safetensors.torch', 'safetensors')
    with at_the_door(path, 'be read as a safetensors file'):
      weights = safetensors.load_file(path)
  else:
    arrays = torch_files.load_state_dict(path)
    weights = {
      name: torch.from_numpy(np.array(array)) for name, array in arrays.items()
    }
  own = module.state_dict()
  weights = _without_prefix(weights, own)
  _check_types(path, weights, own)
  missing = sorted(own.keys() - weights.keys())
  wrong = sorted(
    name
    for name in own.keys() & weights.keys()
    if own[name].shape != weights[name].shape
  )
  # The head may be another, or none; it is not used.
  heads = [name for name in missing + wrong if surgery.is_of_head(name)]
  if faults := sorted({*missing, *wrong} - {*heads}):
    raise GraphError(
      f'{path} has not the weights of a {type(module).__name__}: of its '
      f'{len(own)} tensors {len(faults)} are missing or of another shape, as '
      f'{", ".join(faults[:3])}. It has {", ".join(sorted(weights)[:3])}. '
      'Name the network that they are of.'
    )
  fitting = {name: weights[name] for name in own if name not in heads}
  module.load_state_dict(fitting, strict=False)


def _check_types(
  path: str | os.PathLike, weights: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
  """Raises GraphError for weights that are numbers of another scale."""
  for name in sorted(own.keys() & weights.keys()):
    kind = weights[name].dtype
    if own[name].is_floating_point() and (
      not kind.is_floating_point or kind.itemsize < _LEAST_BYTES
    ):
      raise GraphError(
        f'{path} has quantised weights: {name!r} is of type {kind}, whose '
        'scale lies elsewhere. Take the file with floating-point weights of '
        '16 or 32 bits.'
      )


def _without_prefix(
  weights: Mapping[str, Any], own: Collection[str]
) -> Mapping[str, Any]:
  """Returns weights by the names of a module, if another one held it.

  Training scripts save it as `module.`, `model.` or `backbone.` of theirs. It
  must be most of what is there: a single layer may be found in any network.
  """
  counts = Counter(
    name.removesuffix(key)
    for name in weights
    for key in _endings(name)
    if key in own
  )
  prefix, count = max(counts.items(), key=lambda i: i[1], default=('', 0))
  if 2 * count < len(weights):
    return weights
  return {
    name.removeprefix(prefix): value
    for name, value in weights.items()
    if name.startswith(prefix)
  }


def _endings(name: str) -> Iterator[str]:
  """Yields a path, and what is left of it without its first parts."""
  parts = name.split('.')
  for start in range(len(parts)):
    yield '.'.join(parts[start:])
