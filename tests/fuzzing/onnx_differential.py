"""Compares random small ONNX networks with what a runtime of ONNX computes.

  python -m tests.fuzzing.onnx_differential --networks=20000

Each network has two to six operations with random attributes. One that the
runtime refuses is not counted; one that this project refuses is no fault, for
it says so; another result is.
"""

from collections import Counter
from collections.abc import Callable
import contextlib
import dataclasses
import importlib
import pathlib
from typing import Any

import numpy as np
import onnx
from onnx import helper

import toolkit_basics.cli as cli
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.onnx import model as onnx_model
from tests import onnx_testing
from tests.fuzzing import differential
from tests.fuzzing.mutations import one_of

FLAGS = cli.Flags()
_ASKED = differential.Asked(FLAGS)
_OPSETS = (11, 13, 17, 18, 20, 21)
_MAX_TRIES = 30  # Of operations that may follow.

# Without those that make large differences of small ones.
_PLAIN = (
  'Relu', 'Sigmoid', 'Tanh', 'Softplus', 'Softsign', 'Abs', 'Neg', 'Exp',
  'Sin', 'Cos', 'Erf', 'Identity',
)  # fmt: skip


@dataclasses.dataclass
class _Network(differential.Drawn):
  """A network in the making; `shape` is of its last tensor, `last`."""

  opset: int
  last: str = 'x'
  nodes: list[onnx.NodeProto] = dataclasses.field(default_factory=list)
  weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

  def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
    return self.given(self.rng.uniform(low, high, shape).astype(np.float32))

  def given(self, value: Any, kind: Any = None) -> str:
    name = f'w{len(self.weights)}'
    self.weights[name] = np.asarray(value, kind)
    return name

  def add(
    self, op: str, *operands: str, results: int = 1, **attributes
  ) -> None:
    """Adds a node that takes the last tensor first."""
    made = [f't{len(self.nodes)}_{i}' for i in range(results)]
    attributes = {k: v for k, v in attributes.items() if v is not None}
    inputs = [self.last, *operands]
    self.nodes.append(helper.make_node(op, inputs, made, **attributes))
    self.last = made[int(self.rng.integers(results))]

  def model(self) -> onnx.ModelProto:
    return onnx_testing.model(
      self.nodes, {'x': self.first}, [self.last], self.weights, self.opset
    )

  first: tuple[int, ...] = ()


def _activation(n: _Network) -> None:
  alpha = float(n.rng.uniform(0.1, 2.0))
  op = n.one_of(*_PLAIN, 'LeakyRelu', 'Elu', 'Celu', 'ThresholdedRelu',
                'HardSigmoid', 'Selu', 'PRelu', 'Clip', 'HardSwish', 'Gelu',
                'Mish', 'Swish')  # fmt: skip
  if op == 'PRelu':
    return n.add(op, n.weight(*([n.shape[1]] + [1] * (n.rank - 2))))
  if op == 'Clip':
    limits = [n.given(v, np.float32) for v in (-0.5, n.one_of(0.5, 6.0))]
    return n.add(op, *n.one_of(limits, ['', limits[1]], limits[:1]))
  if op == 'Gelu':
    return n.add(op, approximate=n.one_of(None, 'none', 'tanh'))
  if op in ('LeakyRelu', 'Elu', 'Celu', 'ThresholdedRelu', 'HardSigmoid'):
    return n.add(op, alpha=n.one_of(None, alpha))
  return n.add(op)


def _arithmetic(n: _Network) -> None:
  op = n.one_of('Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Mean', 'Sum', 'Pow')
  shape = [n.one_of(1, size) for size in n.shape]
  shape = shape[n.number(0, n.rank) :]
  if op == 'Pow':
    return n.add(op, n.given(n.one_of(2.0, 3.0), np.float32))
  return n.add(op, n.weight(*shape, low=0.2, high=2.0))


def _window(n: _Network, sides: int) -> dict[str, Any]:
  """Returns attributes of a window."""
  options: dict[str, Any] = {
    'strides': [n.number(1, 3) for _ in range(sides)],
    'dilations': [n.one_of(1, 1, 2) for _ in range(sides)],
  }
  auto = n.one_of(None, 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID')
  if auto in (None, 'NOTSET'):
    options['pads'] = [n.number(0, 2) for _ in range(2 * sides)]
  elif auto.startswith('SAME'):
    options['dilations'] = None
  return {key: n.one_of(value, None) for key, value in options.items()} | {
    'auto_pad': auto
  }


def _convolution(n: _Network) -> None:
  sides, channels = n.rank - 2, n.shape[1]
  group = n.one_of(1, 1, *(g for g in (2, 3, channels) if channels % g == 0))
  kernel = [n.number(1, 3) for _ in range(sides)]
  options = _window(n, sides) | {'group': n.one_of(group, group)}
  if n.rng.random() < 0.7:
    width = group * n.number(1, 3)
    w = n.weight(width, channels // group, *kernel)
    op = 'Conv'
  else:
    width = group * n.number(1, 3)
    w = n.weight(channels, width // group, *kernel)
    op = 'ConvTranspose'
    if options['auto_pad'] in (None, 'NOTSET') and options['strides']:
      padding = [n.number(0, s - 1) for s in options['strides']]
      options['output_padding'] = n.one_of(None, padding)
  bias = [n.weight(width)] if n.rng.random() < 0.5 else []
  n.add(op, w, *bias, kernel_shape=n.one_of(None, kernel), **options)


def _pooling(n: _Network) -> None:
  op = n.one_of('MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool')
  if op.startswith('Global'):
    return n.add(op)
  sides = n.rank - 2
  options = _window(n, sides) | {'dilations': None}
  options['ceil_mode'] = n.one_of(None, 0, 1)
  if op == 'AveragePool':
    options['count_include_pad'] = n.one_of(None, 0, 1)
  return n.add(
    op, kernel_shape=[n.number(1, 3) for _ in range(sides)], **options
  )


def _norm(n: _Network) -> None:
  op = n.one_of('BatchNormalization', 'InstanceNormalization', 'LRN',
                'LpNormalization', 'LayerNormalization', 'Softmax',
                'LogSoftmax', 'GroupNormalization')  # fmt: skip
  c = n.shape[1]
  epsilon = n.one_of(None, 1e-3)
  if op == 'BatchNormalization':
    numbers = [n.weight(c), n.weight(c), n.weight(c), n.weight(c, low=0.1)]
    return n.add(op, *numbers, epsilon=epsilon)
  if op == 'InstanceNormalization' and np.prod(n.shape[2:]) == 1:
    return n.add('Identity')  # The runtime's zeros are 1e-3 and more.
  if op == 'InstanceNormalization':
    return n.add(op, n.weight(c), n.weight(c), epsilon=epsilon)
  if op == 'GroupNormalization':
    groups = n.one_of(*(g for g in (1, 2, 3, c) if c % g == 0))
    size = c if n.opset >= 21 else groups
    return n.add(op, n.weight(size), n.weight(size), num_groups=groups)
  if op == 'LayerNormalization':
    axis = n.axis()
    shape = n.shape[axis % n.rank :]
    return n.add(op, n.weight(*shape), axis=axis, epsilon=epsilon)
  if op == 'LRN':
    return n.add(op, size=n.one_of(1, 3, 5), alpha=n.one_of(None, 0.1))
  if op == 'LpNormalization':
    return n.add(op, axis=n.one_of(None, n.axis()), p=n.one_of(None, 1, 2))
  return n.add(op, axis=n.one_of(None, n.axis()))


def _reduction(n: _Network) -> None:
  op = n.one_of(
    'ReduceMean',
    'ReduceSum',
    'ReduceMax',
    'ReduceMin',
    'ReduceL1',
    'ReduceL2',
    'ReduceSumSquare',
    'ReduceLogSumExp',
  )
  count = n.number(0, n.rank - 1)
  axes = [int(a) for a in n.rng.permutation(n.rank)[:count]]
  axes = [a - n.one_of(0, n.rank) for a in axes]
  keep = n.one_of(None, 0, 1)
  if n.opset >= (13 if op == 'ReduceSum' else 18):
    operands = [n.given(axes, np.int64)] if axes or n.one_of(0, 1) else []
    noop = n.one_of(None, 0, 1)
    return n.add(op, *operands, keepdims=keep, noop_with_empty_axes=noop)
  return n.add(op, axes=axes or None, keepdims=keep)


def _resize(n: _Network) -> None:
  axes = sorted(int(a) for a in n.rng.permutation(4)[: n.number(1, 2)])
  factors = [n.one_of(0.5, 0.6, 1.0, 1.5, 2.0, 3.0) for _ in axes]
  options = {
    'mode': n.one_of(None, 'nearest', 'linear', 'cubic'),
    'coordinate_transformation_mode': n.one_of(
      None, 'half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'
    ),
    'nearest_mode': n.one_of(
      None, 'round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'
    ),
  }
  if n.opset >= 18 and n.one_of(0, 1):
    options['axes'] = axes
    scales, given = factors, [n.shape[a] for a in axes]
  else:
    scales, given = [1.0] * 4, n.shape
    for axis, factor in zip(axes, factors, strict=True):
      scales[axis] = factor
  if n.one_of(0, 1):
    return n.add('Resize', '', n.given(scales, np.float32), **options)
  pairs = zip(given, scales, strict=True)
  sizes = [max(1, int(size * scale)) for size, scale in pairs]
  return n.add('Resize', '', '', n.given(sizes, np.int64), **options)


def _movement(n: _Network) -> None:
  op = n.one_of(
    'Transpose',
    'Slice',
    'Pad',
    'Concat',
    'Split',
    'Gather',
    'Tile',
    'DepthToSpace',
    'SpaceToDepth',
    'Flatten',
    'Unsqueeze',
  )
  axis = n.axis()
  size = n.shape[axis]
  if op == 'Transpose':
    perm = [int(a) for a in n.rng.permutation(n.rank)]
    return n.add(op, perm=n.one_of(None, perm))
  if op == 'Slice':
    start, end = n.number(-size, size), n.number(-size, size + 2)
    step = n.one_of(1, 2, -1)
    values = [[start], [end], [axis], [step]]
    return n.add(op, *(n.given(v, np.int64) for v in values))
  if op == 'Pad':
    pads = [n.number(-1, 2) for _ in range(2 * n.rank)]
    mode = n.one_of(None, 'constant', 'reflect', 'edge')
    fill = [n.given(0.5, np.float32)] if n.one_of(0, 1) else []
    return n.add(op, n.given(pads, np.int64), *fill, mode=mode)
  if op == 'Concat':
    return n.add(op, n.last, axis=axis)
  if op == 'Split' and size > 1:
    first = n.number(1, size - 1)
    if n.opset < 13:
      return n.add(op, results=2, axis=axis, split=[first, size - first])
    sizes = n.given([first, size - first], np.int64)
    return n.add(op, sizes, results=2, axis=axis)
  if op == 'Gather':
    indices = n.rng.integers(-size, size, n.one_of((), (2,), (2, 2)))
    return n.add(op, n.given(indices, np.int64), axis=axis)
  if op == 'Tile':
    return n.add(op, n.given([n.one_of(1, 2) for _ in n.shape], np.int64))
  if op in ('DepthToSpace', 'SpaceToDepth'):
    mode = n.one_of(None, 'DCR', 'CRD') if op == 'DepthToSpace' else None
    return n.add(op, blocksize=2, mode=mode)
  if op == 'Unsqueeze' and n.opset >= 13:
    return n.add(op, n.given([axis], np.int64))
  return n.add('Flatten', axis=n.one_of(None, axis))


def _product(n: _Network) -> None:
  size = n.shape[-1]
  if n.rank == 2 and n.one_of(0, 1):
    turned = n.one_of(None, 0, 1)
    w = n.weight(3, size) if turned else n.weight(size, 3)
    bias = [n.weight(*n.one_of((3,), (1,), (1, 3)))] if n.one_of(0, 1) else []
    alpha, beta = n.one_of(None, 0.5), n.one_of(None, 2.0)
    return n.add('Gemm', w, *bias, transB=turned, alpha=alpha, beta=beta)
  return n.add('MatMul', n.weight(*n.one_of((size, 3), (size,))))


_OF_IMAGES: tuple[Callable[[_Network], None], ...] = (
  _convolution, _convolution, _pooling, _resize,
)  # fmt: skip
_OF_ANY: tuple[Callable[[_Network], None], ...] = (
  _activation, _arithmetic, _norm, _reduction, _movement, _movement, _product,
)  # fmt: skip


def network(seed: int, number: int) -> _Network:
  """Returns a random network of two to six operations."""
  rng = np.random.default_rng([seed, number])
  first = (1, *(int(size) for size in rng.integers(2, 8, 3)))
  made = _Network(rng, first, one_of(rng, _OPSETS))
  made.first = first
  wanted = int(rng.integers(2, 7))
  for _ in range(_MAX_TRIES):
    if len(made.nodes) == wanted:
      break
    choices = _OF_ANY + (_OF_IMAGES if made.rank == 4 else ())
    kept = made.last, made.shape, len(made.nodes)
    if made.rank < 2:
      choices = (_arithmetic,)
    one_of(rng, choices)(made)
    shape = _shape(made)
    if shape is None:
      made.last, made.shape = kept[:2]
      del made.nodes[kept[2] :]
    else:
      made.shape = shape
  return made


def _shape(made: _Network) -> tuple[int, ...] | None:
  """Returns the shape of the last tensor; None if the standard forbids it."""
  try:
    model = onnx.shape_inference.infer_shapes(
      made.model(), check_type=True, strict_mode=True, data_prop=True
    )
  except Exception:
    return None
  (result,) = model.graph.output
  shape = tuple(d.dim_value for d in result.type.tensor_type.shape.dim)
  is_one = min(shape, default=0) > 0 and np.prod(shape, dtype=float) < 20_000
  return shape if is_one else None


def _runtime(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
  """Returns what a runtime of ONNX computes."""
  # Imported here, for few need it: the evaluator of the package `onnx`, which
  # other tests ask, is wrong about one network in ten.
  runtime = importlib.import_module('onnxruntime')
  options = runtime.SessionOptions()
  options.log_severity_level = 4
  options.intra_op_num_threads = 1
  # Its optimizer joins a Transpose and a MatMul with a vector, wrongly.
  level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
  options.graph_optimization_level = level
  session = runtime.InferenceSession(
    model.SerializeToString(), options, providers=['CPUExecutionProvider']
  )
  return session.run(None, {'x': x})[0]


def compare(seed: int, number: int, folder: pathlib.Path) -> tuple[str, str]:
  """Returns how a network compares, and why.

  Returns:
    'same', 'refused', 'illegal' (by the runtime) or 'OTHER'.
  """
  made = network(seed, number)
  model = made.model()
  model.ir_version = 8
  ops = ' '.join(node.op_type for node in made.nodes)
  details = f' (opset {made.opset})'
  x = made.rng.normal(size=made.first).astype(np.float32)
  try:
    expected = _runtime(model, x)
  except Exception as error:
    return 'illegal', f'{ops}: {str(error)[:150]}'
  path = onnx_testing.save(model, folder)
  try:
    found = onnx_model.load(path, layout='channels_first')
    (actual,) = onnx_testing.run(
      found, {found.inputs[0]: x.transpose(0, 2, 3, 1)}
    )
  except GraphError as error:
    return 'refused', f'{ops}: {error}'
  except Exception as error:
    why = f'{ops}{details}: {type(error).__name__} {error}'
    return differential.OTHER, why
  return differential.verdict(actual, expected, ops, details)


def main() -> None:
  counts: Counter[str] = Counter()
  reasons: Counter[str] = Counter()
  for _, kind, why in _ASKED.compared(compare):
    counts[kind] += 1
    if kind == 'refused':
      with contextlib.suppress(IndexError):
        reasons[why.split('cannot be converted: ')[1][:60]] += 1
  for reason, count in reasons.most_common(20):
    print(f'refused {count} times: {reason}')
  print(', '.join(f'{count} {kind}' for kind, count in sorted(counts.items())))
  differential.check(counts[differential.OTHER])


if __name__ == '__main__':
  cli.run(main, FLAGS)
