"""Published weights: what files hold, and which layer each belongs to."""

from collections.abc import Mapping
import pathlib

import numpy as np
from scipy import io
import tensorflow as tf

# How a release names the parts of a layer. Of a batch normalization: factor,
# shift, mean and variance; MatConvNet keeps the last two in one table.
_PARTS = {
  'layers': ('/kernel', '/bias', ()),
  'slim': (
    *('/weights', '/biases'),
    ('/gamma', '/beta', '/moving_mean', '/moving_variance'),
  ),
  'caffe': (
    *('/weights', '/biases'),
    ('/scale', '/offset', '/mean', '/variance'),
  ),
  'matconvnet': ('_filter', '_bias', ('_mult', '_bias', '_moments')),
}
STYLES = tuple(_PARTS)
_AVERAGE = 'averageImage'


def read(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the arrays of the one checkpoint, or .mat file, of a folder.

  A .mat file also says `averageImage`, [3], if it has one.

  Raises:
    ValueError: If there is none, or more than one, or it cannot be read.
  """
  found = sorted([*folder.rglob('*.index'), *folder.rglob('*.mat')])
  if len(found) != 1:
    names = ', '.join(path.name for path in found) or 'none'
    raise ValueError(
      f'{folder} must hold one checkpoint (.index, with its data) or one .mat '
      f'file; there are: {names}.'
    )
  (path,) = found
  try:
    return _matconvnet(path) if path.suffix == '.mat' else _checkpoint(path)
  except Exception as error:
    raise ValueError(
      f'{path} cannot be read: {type(error).__name__}: {str(error):.200}'
    ) from error


def _checkpoint(path: pathlib.Path) -> dict[str, np.ndarray]:
  reader = tf.train.load_checkpoint(str(path.with_suffix('')))
  names = reader.get_variable_to_shape_map()
  return {name: reader.get_tensor(name) for name in names}


def _matconvnet(path: pathlib.Path) -> dict[str, np.ndarray]:
  content = io.loadmat(path, struct_as_record=False, squeeze_me=True)
  net = content.get('net')
  parameters = content['params'] if net is None else net.params
  found = {str(each.name): np.asarray(each.value) for each in parameters}
  meta = content.get('meta') if net is None else net.meta
  average = getattr(getattr(meta, 'normalization', None), _AVERAGE, None)
  if average is not None:
    average = np.asarray(average, np.float64)
    found[_AVERAGE] = average.reshape(-1, 3).mean(axis=0)
  return found


def average(found: Mapping[str, np.ndarray]) -> tuple[float, ...] | None:
  """Returns the mean colour that a file states, None if it does not."""
  values = found.get(_AVERAGE)
  return None if values is None else tuple(float(v) for v in values)


def assign(
  model: tf.keras.Model,
  found: Mapping[str, np.ndarray],
  style: str,
  prefix: str = '',
) -> None:
  """Gives the layers of a model their published weights; none may be missing.

  Args:
    model: Its layers have the names of the weights, with `.` for `/`.
    found: The weights by name.
    style: One of STYLES: how the release names the parts of a layer.
    prefix: Of the names.

  Raises:
    ValueError: If weights are missing, or have another shape.
  """
  missing, wrong = [], []
  for layer in model.layers:
    name = prefix + layer.name.replace('.', '/')
    values = []
    for part, variable in _wanted(layer, style):
      value = _value(layer, name, part, found)
      if value is None:
        missing.append(name + part)
        continue
      shape = tuple(variable.shape)
      if _sides(value.shape) != _sides(shape):
        wrong.append(f'{name}{part} {value.shape}, not {shape}')
        continue
      values.append(np.asarray(value, np.float32).reshape(shape))
    if values and not missing and not wrong:
      layer.set_weights(values)
  if missing or wrong:
    raise ValueError(
      f'The weights are not those of {model.name}. Missing: '
      f'{", ".join(missing[:5]) or "none"}; of another shape: '
      f'{", ".join(wrong[:5]) or "none"}. There are {len(found)}, such as '
      f'{", ".join(sorted(found)[:5])}.'
    )


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
  """Returns a shape without its sides of 1, which MATLAB drops or adds."""
  return tuple(side for side in shape if side != 1)


def _wanted(layer: tf.keras.layers.Layer, style: str):
  """Yields the parts of a layer, in the order that Keras has them in."""
  kernel, bias, norm = _PARTS[style]
  if isinstance(layer, tf.keras.layers.Conv2D):
    yield kernel, layer.kernel
    if layer.use_bias:
      yield bias, layer.bias
  elif isinstance(layer, tf.keras.layers.BatchNormalization):
    parts = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    if len(norm) == 3:
      norm = (*norm[:2], '_moments:mean', '_moments:variance')
    yield from zip(norm, parts, strict=True)


def _value(layer, name: str, part: str, found: Mapping) -> np.ndarray | None:
  key, _, moment = part.partition(':')
  value = found.get(name + key)
  if value is None or not moment:
    return value
  if moment == 'mean':
    return value[:, 0]
  return value[:, 1] ** 2 - layer.epsilon  # Deviations, of variance + epsilon.
