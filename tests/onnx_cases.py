"""One case at least for every ONNX operation that can be imported."""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import itertools
from typing import Any

import numpy as np
import onnx
import onnx.reference

from tests import onnx_testing


@dataclasses.dataclass(frozen=True)
class Case:
  """A node of one operation.

  Attributes:
    op: Its type.
    operands: Arrays by what they are: 'x' are fed, the others are constants;
      None is left out.
    attributes: Of the node.
    since: The first opset in which it has this form.
    until: The last one.
    results: Number of results.
    oracle: A function of the operands, in place of the reference
      evaluator, which lacks this form or computes something else.
  """

  op: str
  operands: tuple[tuple[str, np.ndarray | None], ...]
  attributes: dict[str, Any]
  since: int
  until: int
  results: int
  oracle: Callable | None

  def opsets(self) -> list[int]:
    """Returns the first and the last opset that it has this form in.

    There is none, if the installed package `onnx` is older than this form.
    """
    first = max(self.since, _first_opsets().get(self.op, self.since))
    last = min(self.until, onnx_testing.NEWEST_OPSET)
    return sorted({first, last}) if first <= last else []


@functools.cache
def _first_opsets() -> dict[str, int]:
  """Returns the opset in which each operation was introduced."""
  result = {}
  for schema in onnx.defs.get_all_schemas_with_history():
    if not schema.domain:
      first = result.get(schema.name, schema.since_version)
      result[schema.name] = min(first, schema.since_version)
  return result


_RNG = np.random.default_rng(0)
CASES: list[Case] = []


def _add(
  op, *operands, since=7, until=99, results=1, oracle=None, **attributes
) -> None:
  CASES.append(Case(op, operands, attributes, since, until, results, oracle))


def _x(*shape: int, low: float = -2.0, high: float = 2.0):
  return 'x', _RNG.uniform(low, high, shape).astype(np.float32)


def _c(*shape: int, low: float = -1.0, high: float = 1.0):
  return 'c', _RNG.uniform(low, high, shape).astype(np.float32)


def _ints(*values):
  return 'c', np.array(values, np.int64)


def _scalar(value, dtype=np.int64):
  return 'c', np.array(value, dtype)


_NOTHING = ('', None)
_IMAGE = (2, 4, 6, 5)


def _lrn(x):
  """Returns x / (bias + alpha / size * sum of squares of neighbours)^beta."""
  padded = np.pad(np.square(x), [(0, 0), (1, 1), (0, 0), (0, 0)])
  sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
  return x / (1.5 + 0.1 / 3 * sums) ** 0.6


def _max_of_four(x):
  """Returns the maxima of 2 x 2 elements, padded before the first."""
  padded = np.pad(x, [(0, 0), (0, 0), (1, 0), (1, 0)], constant_values=-np.inf)
  return np.max(
    [padded[:, :, i : i + 6, j : j + 5] for i in (0, 1) for j in (0, 1)], axis=0
  )


def _pooled_to_ceiling(x, kernel, stride, pads, average):
  """Returns maxima or averages of windows, the last of which may stick out.

  The reference evaluator moves the images if it sticks out by 2 or more.
  """
  before, behind = pads
  fill = 0.0 if average else -np.inf
  x = np.pad(x, [(0, 0), (0, 0)] + [pads] * 2, constant_values=fill)
  starts = [
    [i for i in range(0, size, stride)
     if i < size - behind and i < size - kernel + stride]
    for size in x.shape[2:]
  ]  # fmt: skip
  function = np.mean if average else np.max
  return np.array(
    [
      [
        function(x[:, :, i : i + kernel, j : j + kernel], axis=(2, 3))
        for j in starts[1]
      ]
      for i in starts[0]
    ]
  ).transpose(2, 3, 0, 1)


def _transposed_to_9_by_8(x, w, upper):
  """Returns a transposed convolution of stride 2, cropped to 9 x 8."""
  full = np.zeros((*x.shape[:1], w.shape[1], 14, 12), np.float32)
  for i, j in itertools.product(range(4), range(4)):
    full[:, :, i : i + 11 : 2, j : j + 9 : 2] += np.einsum(
      'nchw,ck->nkhw', x, w[:, :, i, j]
    )
  top = 2 if upper else 3
  return full[:, :, top : top + 9, 2:10]


def _grouped_transposed(x, w):
  """Returns every element times its kernel: the kernels do not overlap."""
  result = np.zeros((2, 6, 12, 10), np.float32)
  for group, i, j in itertools.product((0, 1), (0, 1), (0, 1)):
    channels = slice(2 * group, 2 * group + 2)
    result[:, 3 * group : 3 * group + 3, i::2, j::2] = np.einsum(
      'nchw,ck->nkhw', x[:, channels], w[channels, :, i, j]
    )
  return result


def _batch_norm(x, scale, offset, mean, variance):
  turned = np.moveaxis(x, 1, -1)
  result = (turned - mean) / np.sqrt(variance + 1e-3) * scale + offset
  return np.moveaxis(result, -1, 1)


def _over_norm(x, p):
  norm = np.linalg.norm(x, p, axis=-1, keepdims=True)
  return x / np.where(norm > 0, norm, 1)


_normed = {p: functools.partial(_over_norm, p=p) for p in (1, 2)}


def _over_l1(x):
  return x / np.abs(x).sum(axis=-1, keepdims=True)


def _upsampled_nearest(x, *scales):
  return x.repeat(2, axis=2).repeat(3, axis=3)


def _upsampled_linear(x, *scales):
  """Interpolates between x[i] and x[i + 1], and repeats the last one."""
  for axis, factor in ((2, 2), (3, 3)):
    place = np.arange(x.shape[axis] * factor) / factor
    known = np.arange(x.shape[axis])
    x = np.apply_along_axis(
      lambda row, place=place, known=known: np.interp(place, known, row),
      axis,
      x,
    )
  return x.astype(np.float32)


_upsampled = {'nearest': _upsampled_nearest, 'linear': _upsampled_linear}


def _cropped_and_padded(x, pads):
  """Returns x for the pads 0, 0, -1, 1 before and 0, 0, 2, -2 behind."""
  return np.pad(x[:, :, 1:, :-2], [(0, 0), (0, 0), (0, 2), (1, 0)])


def _softmax_from(axis, log=False):
  def oracle(x):
    flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
    weights = np.exp(flat - flat.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return (np.log(weights) if log else weights).reshape(x.shape)

  return oracle


_flat_softmax = {
  'Softmax': _softmax_from,
  'LogSoftmax': functools.partial(_softmax_from, log=True),
}


def _elementwise() -> None:
  for op in ('Add', 'Sub', 'Mul'):
    _add(op, _x(*_IMAGE), _x(*_IMAGE))
    _add(op, _x(*_IMAGE), _c(4, 1, 1))
    _add(op, _x(5), _x(*_IMAGE))
  _add('Div', _x(*_IMAGE), _x(*_IMAGE, low=0.5))
  _add('Div', _x(*_IMAGE), _c(6, 5, low=0.5))
  _add('Div', _ints(-7, 7, -8), _ints(2, -2, 4))
  _add('Pow', _x(*_IMAGE), _scalar(2, np.float32))
  _add('Pow', _x(*_IMAGE, low=0.1), _c(4, 1, 1))
  _add('Mod', ('x', np.array([-7, 7, 5], np.int32)), ('x', np.array(
    [3, -3, 3], np.int32)), since=10)  # fmt: skip
  _add('Mod', _x(6), _c(6, low=0.5), since=10, fmod=1)
  for op in ('Max', 'Min', 'Sum', 'Mean'):
    since = 8
    _add(op, _x(*_IMAGE), _x(*_IMAGE), _c(1, 4, 1, 1), since=since)
  for op in ('Abs', 'Neg', 'Exp', 'Floor', 'Ceil', 'Relu', 'Sigmoid', 'Tanh',
             'Softplus', 'Softsign', 'Sin', 'Cos', 'Atan',
             'Identity'):  # fmt: skip
    _add(op, _x(*_IMAGE))
  for op in ('Tan', 'Asin', 'Acos'):
    _add(op, _x(*_IMAGE, low=-0.9, high=0.9))
  for op in ('Sinh', 'Cosh', 'Asinh'):
    _add(op, _x(*_IMAGE), since=9)
  for op in ('Sqrt', 'Log', 'Reciprocal'):
    _add(op, _x(*_IMAGE, low=0.3))
  for op in ('Erf', 'Sign'):
    _add(op, _x(*_IMAGE), since=9)
  _add('Round', ('x', np.array([-1.5, -0.5, 0.5, 1.4, 2.5], np.float32)),
       since=11)  # fmt: skip
  for op in ('Equal', 'Greater', 'Less'):
    _add(op, ('x', np.array([[1, 2], [3, 4]], np.float32)),
         ('x', np.array([1, 3], np.float32)), since=11)  # fmt: skip
  for op in ('GreaterOrEqual', 'LessOrEqual'):
    _add(op, ('x', np.array([[1, 2], [3, 4]], np.float32)),
         ('x', np.array([1, 3], np.float32)), since=12)  # fmt: skip
  for op in ('And', 'Or'):
    _add(op, ('x', np.array([[True, False], [True, True]])),
         ('x', np.array([False, True])))  # fmt: skip
  _add('Not', ('x', np.array([True, False])))
  _add('Where', ('x', _RNG.uniform(size=_IMAGE) > 0.5), _x(*_IMAGE), _x(5),
       since=9)  # fmt: skip
  _add('Cast', _x(*_IMAGE), to=onnx.TensorProto.INT32, since=9)
  _add('Cast', _x(*_IMAGE), to=onnx.TensorProto.BOOL, since=9)
  _add('CastLike', ('x', np.arange(4)), _c(1), since=15)


def _activations() -> None:
  _add('LeakyRelu', _x(*_IMAGE))
  _add('LeakyRelu', _x(*_IMAGE), alpha=0.3)
  for alpha in (1.0, 0.5):
    _add('Elu', _x(*_IMAGE), alpha=alpha)
    _add('Celu', _x(*_IMAGE), alpha=alpha, since=12)
  _add('Selu', _x(*_IMAGE))
  _add('Selu', _x(*_IMAGE), alpha=1.5, gamma=2.0)
  _add('ThresholdedRelu', _x(*_IMAGE), since=10)
  _add('HardSigmoid', _x(*_IMAGE, low=-4, high=4))
  _add('HardSigmoid', _x(*_IMAGE, low=-4, high=4), alpha=1 / 6, beta=0.5)
  _add('HardSwish', _x(*_IMAGE, low=-4, high=4), since=14)
  _add('Swish', _x(*_IMAGE), since=24)
  _add('Swish', _x(*_IMAGE), since=24, alpha=1.7)
  _add('Gelu', _x(*_IMAGE), since=20)
  _add('Gelu', _x(*_IMAGE), since=20, approximate='tanh')
  _add('Mish', _x(*_IMAGE), since=18)
  _add('PRelu', _x(*_IMAGE), _c(4, 1, 1), since=9)
  _add('PRelu', _x(*_IMAGE), _c(1), since=9)
  for low, high in ((0.0, 6.0), (-0.5, 0.5), (0.0, 3e38)):
    _add('Clip', _x(*_IMAGE), until=10, min=low, max=high)
    _add('Clip', _x(*_IMAGE), _scalar(low, np.float32),
         _scalar(high, np.float32), since=11)  # fmt: skip
  _add('Clip', _x(*_IMAGE), _NOTHING, _scalar(0.5, np.float32), since=11)
  _add('Clip', _x(*_IMAGE), _scalar(0, np.float32), since=11)
  _add('Clip', _x(*_IMAGE), ('x', np.array(-0.5, np.float32)),
       ('x', np.array(0.7, np.float32)), since=11)  # fmt: skip
  _add('PRelu', _x(2, 4), _c(4), since=9)
  _add('PRelu', _x(*_IMAGE), _c(4, 6, 5), since=9)
  _add('Dropout', _x(*_IMAGE), until=11, ratio=0.4)
  _add('Dropout', _x(*_IMAGE), _scalar(0.4, np.float32), since=12)


def _convolutions() -> None:
  w = _c(6, 4, 3, 3)
  _add('Conv', _x(*_IMAGE), w)
  _add('Conv', _x(*_IMAGE), w, _c(6), pads=[1, 0, 2, 1], strides=[2, 1])
  _add('Conv', _x(2, 4, 9, 8), w, dilations=[2, 3], pads=[2, 3, 2, 3])
  for auto in ('SAME_UPPER', 'SAME_LOWER', 'VALID'):
    _add('Conv', _x(*_IMAGE), _c(6, 4, 2, 3), auto_pad=auto, strides=[2, 2])
  _add('Conv', _x(*_IMAGE), _c(6, 2, 3, 3), _c(6), group=2)
  _add('Conv', _x(*_IMAGE), _c(4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])
  _add('Conv', _x(*_IMAGE), _c(8, 1, 3, 3), group=4, strides=[2, 2])
  _add('Conv', _x(*_IMAGE), _c(4, 1, 3, 3), group=4, strides=[2, 1])
  _add('Conv', _x(2, 4, 9, 9), _c(4, 1, 3, 3), group=4, dilations=[2, 2])
  _add('Conv', _x(2, 4, 9, 9), _c(4, 1, 3, 3), group=4, dilations=[2, 2],
       strides=[2, 2])  # fmt: skip
  _add('Conv', _x(2, 4, 9), _c(6, 4, 3), _c(6), strides=[2], pads=[1, 1])
  w = _c(4, 6, 3, 3)
  _add('ConvTranspose', _x(*_IMAGE), w)
  _add('ConvTranspose', _x(*_IMAGE), w, _c(6), strides=[2, 3])
  _add('ConvTranspose', _x(*_IMAGE), w, strides=[2, 2], pads=[1, 0, 1, 1],
       output_padding=[1, 1])  # fmt: skip
  _add('ConvTranspose', _x(*_IMAGE), w, dilations=[2, 2])
  _add('ConvTranspose', _x(*_IMAGE), _c(4, 3, 2, 2), group=2, strides=[2, 2],
       oracle=_grouped_transposed)  # fmt: skip
  _add('ConvTranspose', _x(*_IMAGE), w, auto_pad='SAME_UPPER', strides=[2, 2])
  _add('ConvTranspose', _x(*_IMAGE), w, auto_pad='SAME_LOWER', strides=[2, 2],
       output_padding=[1, 1])  # fmt: skip
  _add('ConvTranspose', _x(*_IMAGE), w, _c(6), auto_pad='VALID', strides=[2, 2])
  for auto in ('NOTSET', 'SAME_UPPER', 'SAME_LOWER'):
    _add('ConvTranspose', _x(*_IMAGE), _c(4, 3, 4, 4), auto_pad=auto,
         strides=[2, 2], output_shape=[9, 8], oracle=functools.partial(
           _transposed_to_9_by_8, upper=auto == 'SAME_UPPER'))  # fmt: skip
  _add('ConvTranspose', _x(2, 4, 6), _c(4, 6, 3), strides=[2])


def _pools() -> None:
  window = {'kernel_shape': [3, 2], 'strides': [2, 2]}
  for op in ('MaxPool', 'AveragePool'):
    _add(op, _x(*_IMAGE), **window)
    _add(op, _x(*_IMAGE), pads=[1, 0, 1, 1], **window)
    _add(op, _x(*_IMAGE), auto_pad='SAME_UPPER', **window)
    _add(op, _x(2, 4, 8, 7), ceil_mode=1, since=10, **window)
    _add(op, _x(2, 4, 8), kernel_shape=[3], strides=[2])
  _add('MaxPool', _x(*_IMAGE), auto_pad='SAME_LOWER', kernel_shape=[2, 2],
       oracle=_max_of_four)  # fmt: skip
  _add('AveragePool', _x(2, 4, 6, 4), auto_pad='SAME_LOWER', **window)
  _add('AveragePool', _x(*_IMAGE), pads=[1, 1, 1, 1], count_include_pad=1,
       kernel_shape=[3, 3], strides=[1, 1])  # fmt: skip
  _add('AveragePool', _x(*_IMAGE), pads=[1, 1, 1, 1], ceil_mode=1, since=10,
       **window)  # fmt: skip
  _add('AveragePool', _x(*_IMAGE), pads=[1, 1, 1, 0], ceil_mode=1, since=10,
       count_include_pad=1, kernel_shape=[3, 2], strides=[2, 2])  # fmt: skip
  for op in ('MaxPool', 'AveragePool'):
    for size, pads in ((7, (0, 0)), (9, (1, 1)), (8, (1, 2))):
      average = op == 'AveragePool'
      options = {'count_include_pad': 1} if average and any(pads) else {}
      if size == 9 and average:
        continue  # Padding counts, but not what sticks out: see above.
      _add(op, _x(1, 2, size, size), kernel_shape=[3, 3], strides=[3, 3],
           pads=[pads[0]] * 2 + [pads[1]] * 2, ceil_mode=1, since=10,
           oracle=functools.partial(_pooled_to_ceiling, kernel=3, stride=3,
                                    pads=pads, average=average),
           **options)  # fmt: skip
  _add('GlobalAveragePool', _x(*_IMAGE))
  # The reference evaluator takes the maximum over the channels, too.
  _add('GlobalMaxPool', _x(2, 4, 6), oracle=functools.partial(
    np.max, axis=2, keepdims=True))  # fmt: skip
  _add('GlobalMaxPool', _x(*_IMAGE))
  _add('LRN', _x(*_IMAGE), size=3, alpha=0.1, beta=0.6, bias=1.5,
       oracle=_lrn)  # fmt: skip
  _add('SpaceToDepth', _x(2, 3, 6, 4), blocksize=2)
  _add('DepthToSpace', _x(2, 12, 3, 4), blocksize=2)
  for mode in ('DCR', 'CRD'):
    _add('DepthToSpace', _x(2, 12, 3, 4), blocksize=2, mode=mode, since=11)


def _resizes() -> None:
  scales = 'c', np.array([1, 1, 2, 3], np.float32)
  for mode in ('nearest', 'linear'):
    options = {'mode': mode, 'oracle': _upsampled[mode]}
    _add('Upsample', _x(*_IMAGE), until=8, scales=[1.0, 1.0, 2.0, 3.0],
         **options)  # fmt: skip
    _add('Upsample', _x(*_IMAGE), scales, since=9, until=9, **options)
    _add('Resize', _x(*_IMAGE), scales, since=10, until=10, **options)
  coordinates = ('half_pixel', 'pytorch_half_pixel', 'align_corners',
                 'asymmetric')  # fmt: skip
  sizes = ((12, 10), (9, 11), (3, 4))
  for mode, coordinate, size in itertools.product(
    ('linear', 'cubic'), coordinates, sizes
  ):
    _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(2, 4, *size),
         since=11, mode=mode, coordinate_transformation_mode=coordinate
         )  # fmt: skip
  roundings = ('floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil')
  for rounding, coordinate, size in itertools.product(
    roundings, coordinates, sizes
  ):
    _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(2, 4, *size),
         since=13, coordinate_transformation_mode=coordinate,
         nearest_mode=rounding)  # fmt: skip
  _add('Resize', _x(*_IMAGE), _NOTHING,
       ('c', np.array([1, 1, 1.7, 0.6], np.float32)), since=13, mode='linear'
       )  # fmt: skip
  _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(2, 4, 3, 4), since=13,
       mode='cubic', exclude_outside=1, cubic_coeff_a=-0.5)  # fmt: skip
  _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(9, 7), since=18,
       mode='linear', axes=[2, 3])  # fmt: skip
  # By sizes as by scales, any two axes: those of NHWC, channels and a side.
  for sizes in ((2, 8, 9, 5), (2, 7, 6, 5), (2, 7, 6, 9)):
    for mode in ('nearest', 'linear'):
      _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(*sizes), since=13,
           mode=mode)  # fmt: skip
  _add('Resize', _x(*_IMAGE), _NOTHING, _NOTHING, _ints(9, 8), since=18,
       mode='linear', axes=[2, 1])  # fmt: skip
  # The standard's own example, of opset 10: what shrinks is rounded up.
  rows = 'x', np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)
  _add('Resize', rows, ('c', np.array([1, 1, 0.6, 0.6], np.float32)), since=10,
       until=10, oracle=lambda *_: np.array([[[[1.0, 3.0]]]], np.float32)
       )  # fmt: skip
  # 2 * 7 / 4 and 1 * 7 / 2 are ties, though not in single precision.
  square = 'x', np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
  for rounding, rows, columns in (
    ('round_prefer_ceil', (0, 2, 4, 5), (0, 4)),
    ('round_prefer_floor', (0, 2, 3, 5), (0, 3)),
  ):
    picked = square[1][:, :, rows][..., columns]
    _add('Resize', square, _NOTHING, _NOTHING, _ints(1, 1, 4, 2), since=13,
         coordinate_transformation_mode='asymmetric', nearest_mode=rounding,
         oracle=lambda *_, picked=picked: picked)  # fmt: skip
  _add('Resize', _x(*_IMAGE), _NOTHING,
       ('c', np.array([1, 1, 1.7, 0.6], np.float32)), since=19, mode='linear',
       coordinate_transformation_mode='half_pixel_symmetric')  # fmt: skip


def _shapes() -> None:
  _add('Concat', _x(*_IMAGE), _x(2, 3, 6, 5), _c(2, 1, 6, 5), axis=1)
  _add('Concat', _x(*_IMAGE), _x(*_IMAGE), axis=-1)
  _add('Split', _x(*_IMAGE), until=12, axis=1, split=[1, 3], results=2)
  _add('Split', _x(*_IMAGE), axis=1, until=17, results=2)
  _add('Split', _x(*_IMAGE), _ints(4, 2), since=13, axis=-2, results=2)
  _add('Split', _x(*_IMAGE), since=18, axis=3, num_outputs=2, results=2)
  _add('Slice', _x(*_IMAGE), until=9, axes=[1, 3], starts=[1, -3],
       ends=[3, 2**31 - 1])  # fmt: skip
  _add('Slice', _x(*_IMAGE), _ints(1, -3), _ints(3, 2**62), _ints(1, -1),
       _ints(1, 2), since=10)  # fmt: skip
  _add('Slice', _x(*_IMAGE), _ints(-1), _ints(-(2**62)), _ints(1), _ints(-1),
       since=10)  # fmt: skip
  _add('Slice', _x(*_IMAGE), _ints(0, 1), _ints(1, 3), since=10)
  _add('Slice', _x(*_IMAGE), _ints(-100), _ints(100), _ints(2), _ints(3),
       since=10)  # fmt: skip
  _add('Slice', _x(*_IMAGE), _ints(2**62), _ints(-5), _ints(-2), _ints(-2),
       since=10)  # fmt: skip
  _add('Gather', _x(*_IMAGE), _scalar(2), axis=1)
  _add('Gather', _x(*_IMAGE), _ints(2, 0, -1), axis=1, since=11)
  _add('Gather', _x(*_IMAGE), ('c', np.array([[1, 0], [2, 2]])), axis=2)
  _add('Gather', _x(*_IMAGE), ('c', np.array([[1, -1], [2, -6]])), axis=2,
       since=11)  # fmt: skip
  _add('Gather', _x(*_IMAGE), _scalar(-1), axis=3, since=11)
  _add('Gather', _c(5, 3), ('x', np.array([[1, 0], [4, 2]])))
  places = ('c', np.array([[0, 1], [1, -1]]))
  _add('GatherND', _x(*_IMAGE), places)
  _add('GatherND', _x(*_IMAGE), places, batch_dims=1, since=12)
  _add(
    'GatherElements',
    _x(2, 4),
    ('c', np.array([[1, -1, 0], [3, 0, 2]])),
    axis=1,
    since=13,
  )
  _add('GatherElements', _x(3, 2), ('c', np.array([[2, 0], [1, 2]])), since=13)
  _add('ScatterND', _x(4, 3), ('c', np.array([[1], [-1]])), _c(2, 3))
  _add(
    'ScatterND',
    _x(4, 3),
    ('c', np.array([[1], [1]])),
    _c(2, 3),
    since=16,
    reduction='add',
  )
  for upper in (0, 1):
    _add('Trilu', _x(2, 3, 4), ('c', np.array(1)), upper=upper)
  _add('Trilu', _x(4, 3))
  for axis in (1, -1):
    _add('TopK', _x(*_IMAGE), until=9, results=2, axis=axis, k=2)
    _add('TopK', _x(*_IMAGE), _ints(2), since=10, results=2, axis=axis)
  _add('TopK', _x(*_IMAGE), _ints(3), since=11, results=2, largest=0)
  _add('CumSum', _x(*_IMAGE), ('c', np.array(2)))
  _add('CumSum', _x(3, 4), ('c', np.array(-1)), exclusive=1, reverse=1)
  _add(
    'OneHot',
    ('x', np.array([1, -1, 0])),
    _scalar(4),
    ('c', np.array([-1, 2], np.float32)),
  )
  _add(
    'OneHot',
    ('x', np.array([[1, 3]])),
    _scalar(4),
    ('c', np.array([0, 1], np.float32)),
    axis=0,
  )
  _add('EyeLike', _c(3, 4), k=1)
  _add('IsNaN', ('x', np.array([1, np.nan, 3], np.float32)))
  for signs in ({}, {'detect_negative': 0}, {'detect_positive': 0},
                {'detect_negative': 0, 'detect_positive': 0}):  # fmt: skip
    _add('IsInf', ('x', np.array([1, -np.inf, np.nan, np.inf], np.float32)),
         since=10, **signs)  # fmt: skip
  _add('Reshape', _x(*_IMAGE), _ints(0, -1, 15))
  _add('Reshape', _x(1, 4, 6, 5), _ints(1, 2, 2, 30))
  _add('Flatten', _x(*_IMAGE))
  _add('Flatten', _x(*_IMAGE), axis=3)
  _add('Flatten', _x(*_IMAGE), axis=0)
  _add('Flatten', _x(*_IMAGE), axis=-2, since=11)
  _add('Squeeze', _x(2, 1, 6, 1), until=12, axes=[1, 3])
  _add('Squeeze', _x(2, 1, 6, 1), _ints(1, -1), since=13)
  _add('Squeeze', _x(2, 4, 1, 1))
  _add('Unsqueeze', _x(2, 4, 6, 5), until=12, axes=[2, 5])
  _add('Unsqueeze', _x(2, 4, 6, 5), _ints(2, -1), since=13)
  _add('Unsqueeze', _x(3), _ints(0), since=13)
  _add('Transpose', _x(*_IMAGE))
  _add('Transpose', _x(*_IMAGE), perm=[0, 2, 3, 1])
  _add('Transpose', _x(*_IMAGE), perm=[1, 0, 3, 2])
  _add('Expand', _x(2, 4, 1, 1), _ints(2, 1, 6, 5), since=8)
  _add('Expand', _x(4, 1), _ints(2, 4, 5), since=8)
  _add('Tile', _x(*_IMAGE), _ints(1, 2, 1, 3))
  _add('Shape', _x(*_IMAGE))
  _add('Shape', _x(*_IMAGE), since=15, start=1, end=-1)
  _add('Size', _x(*_IMAGE))
  _add('Range', _scalar(1), _scalar(8), _scalar(3), since=11)
  _add('Constant', value=onnx.numpy_helper.from_array(
    np.arange(6, dtype=np.float32).reshape(2, 3)))  # fmt: skip
  _add('Constant', value_floats=[1.0, 2.5], since=12)
  _add('Constant', value_int=3, since=12)
  _add('ConstantOfShape', _ints(2, 3), since=9)
  _add('ConstantOfShape', _ints(2, 3), since=9,
       value=onnx.numpy_helper.from_array(np.array([7], np.int32))
       )  # fmt: skip
  pads = [0, 1, 2, 0, 1, 0, 1, 3]
  for mode in ('constant', 'reflect', 'edge'):
    _add('Pad', _x(*_IMAGE), until=10, pads=pads if mode != 'reflect' else
         [0, 1, 2, 0, 0, 0, 1, 3], mode=mode)  # fmt: skip
    _add('Pad', _x(*_IMAGE), _ints(*(pads if mode != 'reflect' else
         [0, 1, 2, 0, 0, 0, 1, 3])), since=11, mode=mode)  # fmt: skip
  _add('Pad', _x(*_IMAGE), _ints(*pads), _scalar(1.5, np.float32), since=11)
  _add('Pad', _x(*_IMAGE), _ints(1, 2, 0, 1), _NOTHING, _ints(3, 1), since=18)
  _add('Pad', _x(*_IMAGE), _ints(0, 0, 4, 7, 0, 0, 9, 0), since=11, mode='edge')
  _add('Pad', _x(*_IMAGE), _ints(0, 0, 4, 7, 0, 0, 9, 0), since=19, mode='wrap')
  _add('Pad', _x(2, 3), _ints(1, 1, 0, 2), _scalar(-1, np.float32), since=11)
  _add('Pad', _x(*_IMAGE), _ints(0, 0, -1, 1, 0, 0, 2, -2), since=11,
       oracle=_cropped_and_padded)  # fmt: skip


def _quantised() -> None:
  numbers = 'c', np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
  single = 'c', np.array(0.5, np.float32)
  several = 'c', np.array([0.5, 2.0, 3.0], np.float32)
  zeros = 'c', np.array([1, 0, -1], np.int8)
  one = {'until': 18, 'oracle': lambda x, scale: x * scale}
  _add('DequantizeLinear', numbers, single, since=10, **one)
  _add('DequantizeLinear', numbers, several, zeros, since=21, axis=0)
  bytes_ = 'c', np.arange(12, dtype=np.uint8).reshape(4, 3)
  _add('DequantizeLinear', bytes_, several, since=21)


def _reductions() -> None:
  for op in ('ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin',
             'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare',
             'ReduceLogSum', 'ReduceLogSumExp'):  # fmt: skip
    x = _x(*_IMAGE, low=0.5)
    operand = 13 if op == 'ReduceSum' else 18
    _add(op, x, until=operand - 1, axes=[2, 3])
    _add(op, x, until=operand - 1, axes=[1], keepdims=0)
    _add(op, x, _ints(1, 3), since=operand, keepdims=0)
    _add(op, x, _ints(-1), since=operand)
    _add(op, x)
  _add('ReduceSum', _x(*_IMAGE), since=13, noop_with_empty_axes=1)
  _add('ReduceMean', _x(*_IMAGE), _ints(), since=18, noop_with_empty_axes=1)
  _add('ReduceMean', _x(*_IMAGE), _ints(), since=18)
  for flag in (0, 1):  # Written out, as exporters do.
    _add('ReduceMean', _x(*_IMAGE), _ints(2, 3), since=18,
         noop_with_empty_axes=flag)  # fmt: skip
  for op in ('ArgMax', 'ArgMin'):
    _add(op, _x(*_IMAGE), axis=1)
    _add(op, _x(*_IMAGE), axis=2, keepdims=0)
  for op in ('Softmax', 'LogSoftmax'):
    oracle = _flat_softmax[op]
    _add(op, _x(*_IMAGE), until=12, oracle=oracle(1))
    _add(op, _x(2, 7), until=12)
    _add(op, _x(2, 7, 1, 1), until=12, oracle=oracle(1))
    _add(op, _x(*_IMAGE), until=12, axis=2, oracle=oracle(2))
    _add(op, _x(*_IMAGE), since=13)
    _add(op, _x(*_IMAGE), since=13, axis=1)
    for axis in (-1, 2):
      _add(op, _x(1, 2, 3, 1, 2, 4), since=13, axis=axis)
  for shape in (_IMAGE, (3, 4), (2, 4, 7)):
    _add('BatchNormalization', _x(*shape), _c(4), _c(4), _c(4),
         _c(4, low=0.2), epsilon=1e-3, oracle=_batch_norm)  # fmt: skip
  _add('InstanceNormalization', _x(*_IMAGE), _c(4), _c(4), epsilon=1e-3)
  _add('InstanceNormalization', _x(2, 4, 7), _c(4), _c(4))
  _add('LayerNormalization', _x(*_IMAGE), _c(5), _c(5), since=17)
  _add('LayerNormalization', _x(*_IMAGE), _c(4, 6, 5), since=17, axis=1)
  _add('GroupNormalization', _x(*_IMAGE), _c(4), _c(4), since=21,
       num_groups=2)  # fmt: skip
  _add('GroupNormalization', _x(*_IMAGE), _c(2), _c(2), since=18, until=20,
       num_groups=2)  # fmt: skip
  _add('LpNormalization', _x(*_IMAGE), axis=1, p=2)
  _add('LpNormalization', _x(*_IMAGE), p=1, oracle=_over_l1)
  for p in (1, 2):  # What is all zero stays so.
    zeros = 'x', np.array([[5.0, 12.0], [0, 0], [-3, 4]], np.float32)
    _add('LpNormalization', zeros, p=p, oracle=_normed[p])
  _add('MatMul', _x(*_IMAGE), _c(5, 3))
  _add('MatMul', _x(*_IMAGE), _x(4, 5, 3))
  _add('MatMul', _c(6), _x(*_IMAGE))
  _add('MatMul', _x(*_IMAGE), _c(5))
  _add('Gemm', _x(3, 4), _c(4, 5), _c(5))
  _add('Gemm', _x(4, 3), _c(5, 4), _c(3, 1), alpha=0.5, beta=2.0, transA=1,
       transB=1)  # fmt: skip
  _add('Gemm', _x(3, 4), _x(5, 4), _x(5), alpha=0.5, beta=2.0, transB=1)
  _add('Gemm', _x(3, 4), _c(4, 5), since=11)
  _add('MatMul', _x(5, 3), _x(3, 4))
  _add('Einsum', _x(2, 3, 4), _c(4, 5), since=12, equation='...i,ij->...j')
  _add('Einsum', _x(*_IMAGE), _x(2, 4, 5, 3), since=12,
       equation='nchw, ncwk -> nhk')  # fmt: skip


def _blocks() -> None:
  image, block = np.array([7, 6]), np.array([3, 2])
  for options in (
    {'strides': [2, 2]},
    {'pads': [1, 0, 1, 2], 'strides': [2, 1]},
    {'dilations': [2, 1], 'pads': [1, 1, 1, 1]},
  ):
    pads, strides = options.get('pads', [0] * 4), options.get('strides', [1, 1])
    extent = (block - 1) * options.get('dilations', [1, 1]) + 1
    counts = (image + pads[:2] + pads[2:] - extent) // strides + 1
    _add('Col2Im', _x(2, 3 * 6, int(np.prod(counts))), _ints(*image),
         _ints(*block), since=18, **options)  # fmt: skip


def _sampled(x, places, **attributes):
  """Returns what the reference evaluator does, which lacks older names."""
  node = onnx.helper.make_node('GridSample', ['x', 'g'], ['y'], **attributes)
  evaluator = onnx.reference.ReferenceEvaluator(node)
  return evaluator.run(None, {'x': x, 'g': places})[0]


def _samples() -> None:
  places = _RNG.uniform(-1.4, 1.4, (2, 3, 4, 2)).astype(np.float32)
  operands = _x(2, 3, 5, 6), ('x', places)
  for mode, padding, corners in itertools.product(
    ('linear', 'nearest'), ('zeros', 'border'), (0, 1)
  ):
    options = {'padding_mode': padding, 'align_corners': corners}
    _add('GridSample', *operands, since=20, mode=mode, **options)
    oracle = functools.partial(_sampled, mode=mode, **options)
    name = {'linear': 'bilinear'}.get(mode, mode)
    _add('GridSample', *operands, since=16, until=19, oracle=oracle,
         mode=name, **options)  # fmt: skip


for _function in (
  _elementwise, _activations, _convolutions, _pools, _resizes, _shapes,
  _quantised, _reductions, _blocks, _samples,
):  # fmt: skip
  _function()


def parameters() -> Iterator[tuple[str, Case, int, str]]:
  """Yields names, cases, opsets and layouts; all of each have cases."""
  for number, case in enumerate(CASES):
    opsets = case.opsets()
    layouts = ('channels_first', 'channels_last')
    if case.op == 'Resize' and opsets:  # There are many; they take turns.
      opsets = [opsets[number % len(opsets)]]
      layouts = layouts[number // 2 % 2 :]
    elif len(opsets) == 1:
      opsets *= 2
    for opset, layout in zip(opsets, layouts, strict=False):
      yield f'{number}_{case.op}_opset_{opset}_{layout}', case, opset, layout
