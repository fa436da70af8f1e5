"""What frameworks say of a network's preprocessing, where they say anything.

A frozen graph does not know which values it was trained on. Its surroundings
sometimes do: a network of tf.keras.applications by its name, a Keras model that
begins with its own scaling by these layers, a module of timm by its
`pretrained_cfg`, and a file from Hugging Face or timm by the JSON beside it.
"""

from collections.abc import Mapping, Sequence
import importlib
import os
import pathlib
import pkgutil
import re
from typing import Any

import numpy as np
import tensorflow as tf

from taskonomy_models import keras_networks
from toolkit_basics import files

_SCALING_LAYERS = ('Rescaling', 'Normalization')
_FIRST_LAYERS = 4  # Among which a model's own scaling is looked for.
# What Keras adds to the name of a function, such as 1.00224 of a MobileNet.
_VARIANT = re.compile(r'[\d.]*')
_JSONS = ('preprocessor_config.json', 'config.json')


def of(source: object) -> str | None:
  """Returns T of a network, None if nothing says what it is.

  Args:
    source: A Keras model, a module of PyTorch, or the path of a file.
  """
  if isinstance(source, str | os.PathLike):
    return _of_file(pathlib.Path(source))
  if isinstance(config := getattr(source, 'pretrained_cfg', None), Mapping):
    return of_json(config)
  return _of_keras(source)


def _of_keras(model: Any) -> str | None:
  """Returns T of a model that scales by itself, or has a known name."""
  shape = getattr(model, 'input_shape', None)
  if not isinstance(shape, tuple) or len(shape) != 4:
    return None
  sides = [n for n in shape[1:3] if n] or [224]
  size = ', '.join(map(str, dict.fromkeys(sides)))
  layers = [type(layer).__name__ for layer in model.layers[:_FIRST_LAYERS]]
  if set(layers) & set(_SCALING_LAYERS):
    return f'resize({size}) | {keras_networks.MODES["none"]}'
  name = _plain(getattr(model, 'name', ''))
  modes = {_plain(function): mode for function, mode in applications().items()}
  known = [
    function
    for function in modes
    if name.startswith(function)
    and _VARIANT.fullmatch(name.removeprefix(function))
  ]
  if not known:
    return None
  mode = modes[max(known, key=len)]
  return f'resize({size}) | {keras_networks.MODES[mode]}'


def _plain(name: str) -> str:
  return name.lower().replace('_', '').replace('-', '')


def applications() -> dict[str, str]:
  """Returns the functions of tf.keras.applications, and each one's mode.

  The mode is read off what `preprocess_input` beside the function does.
  """
  package = tf.keras.applications
  found = {}
  for info in pkgutil.iter_modules(package.__path__):
    module = importlib.import_module(f'{package.__name__}.{info.name}')
    preprocess = getattr(module, 'preprocess_input', None)
    mode = preprocess and mode_of(preprocess)
    for name, member in vars(module).items():
      if mode and name[0].isupper() and callable(member):
        found[name] = mode
  return found


def mode_of(preprocess: Any) -> str | None:
  """Returns which of `keras_networks.MODES` a function is, None if none."""
  values = np.array([[[[255.0, 0.0, 102.0]]]], np.float32)
  expected = {
    'none': [255.0, 0.0, 102.0],
    'tf': [1.0, -1.0, -0.2],
    'caffe': [102 - 103.939, -116.779, 255 - 123.68],
    'torch': [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.4 - 0.406) / 0.225],
  }
  result = np.asarray(preprocess(values.copy()), np.float32).reshape(3)
  for mode, wanted in expected.items():
    if np.allclose(result, wanted, atol=1e-3):
      return mode
  return None


def _of_file(path: pathlib.Path) -> str | None:
  folder = path if path.is_dir() else path.parent
  for name in _JSONS:
    found = folder / name
    if found.is_file():
      try:
        content = files.read_json(found)
      except ValueError:
        continue
      if isinstance(content, dict) and (t := of_json(content)):
        return t
  return None


def of_json(content: Mapping[str, Any], side: int | None = None) -> str | None:
  """Returns T of a description by Hugging Face or timm, None if of neither.

  Args:
    content: As it is stored.
    side: Of images, where the description leaves it open.
  """
  content = content.get('pretrained_cfg') or content
  mean = content.get('image_mean', content.get('mean'))
  std = content.get('image_std', content.get('std'))
  if 'do_normalize' in content and not content['do_normalize']:
    mean = std = None
  size = _size(content) or (side and str(side))
  if size is None or (mean is None) != (std is None):
    return None
  steps = [f'resize({size})']
  if content.get('do_flip_channel_order'):
    steps.append('bgr')
  low, high = _range(content)
  if mean is None:
    steps.append(f'range({low:g}, {high:g})')
  else:
    # T normalises values of 0 to 1, an image processor those it has rescaled.
    mean = [(float(number) - low) / (high - low) for number in mean]
    # Those of EfficientNet are divided by it twice.
    power = 2 if content.get('include_top') else 1
    std = [float(number) ** power / (high - low) for number in std]
    steps.append(f'mean_std({_numbers(mean)}, {_numbers(std)})')
  return ' | '.join(steps)


def _range(content: Mapping[str, Any]) -> tuple[float, float]:
  """Returns what black and white become before they are normalised."""
  if not content.get('do_rescale', True):
    return 0.0, 255.0
  low = -1.0 if content.get('rescale_offset') else 0.0
  return low, low + 255 * float(content.get('rescale_factor') or 1 / 255)


def _numbers(values: Sequence[float]) -> str:
  return '({})'.format(', '.join(f'{value:g}' for value in values))


def _size(content: Mapping[str, Any]) -> str | None:
  """Returns the sides of the input, as `resize` takes them."""
  for key in ('crop_size', 'size'):
    found = content.get(key)
    if isinstance(found, Mapping):
      if 'height' in found and 'width' in found:
        found = [found['height'], found['width']]
      else:
        found = found.get('shortest_edge')
    if isinstance(found, int) and found > 0:
      return str(found)
    if isinstance(found, Sequence) and len(found) == 2:
      return ', '.join(map(str, dict.fromkeys(found)))
  found = content.get('input_size')
  if isinstance(found, Sequence) and len(found) == 3:
    return ', '.join(map(str, dict.fromkeys(found[1:])))
  return None
