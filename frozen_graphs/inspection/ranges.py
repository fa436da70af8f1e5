"""Guesses the range of values that a graph expects. Only ever a guess."""

import numpy as np
import tensorflow as tf

from frozen_graphs import tensors as tensor_names
from frozen_graphs.inspection.flow import Flow
from frozen_graphs.inspection.inputs import WEIGHTED

_RANGES = ((0, 255), (0, 1), (-1, 1))
_MAX_STEPS = 24
BEGINS = 'the graph begins with'  # A reason that is more than a guess.


def guess(flow: Flow, is_integer: bool) -> tuple[tuple[int, int], str]:
  """Returns (low, high) of the values that an input likely takes, and why.

  Args:
    flow: From the input.
    is_integer: Whether the input stands for one of whole numbers.
  """
  scale, offset, described = _first_affine_map(flow)
  if described:
    for low, high in _RANGES:
      after = np.stack([scale * low + offset, scale * high + offset])
      extent = np.abs(after[1] - after[0]).mean()
      middle = np.abs(after.mean())
      is_unit = 0.9 <= extent <= 6 and middle <= 1
      is_centred = extent > 6 and middle <= 0.2 * extent
      if is_unit or (is_centred and high == 255):
        return (low, high), (
          f'{BEGINS} {described}, which brings {low}..{high} to '
          f'about {after.min():.3g}..{after.max():.3g}'
        )
  if is_integer:
    return (0, 255), 'the input stands for whole numbers'
  return (0, 1), (
    'nothing in the graph tells; (-1, 1) and (0, 255) are common, too'
  )


def _first_affine_map(flow: Flow):
  """Returns scale, offset and a description of what comes before weights."""
  scale, offset = np.ones(1), np.zeros(1)
  steps, tensor = [], flow.source
  for _ in range(_MAX_STEPS):
    # A node stands here once for each of its inputs that is the tensor.
    following = [
      n for n, ins in flow.carriers.items() for t in ins if t == tensor
    ]
    if len(following) != 1:
      break
    node = flow.nodes[following[0]]
    if node.op in WEIGHTED:
      break
    tensor = (node.name, 0)
    value = _constant(flow, node)
    if value is None:
      continue
    operand = next(tensor_names.data_inputs(node))
    first = operand[0] in flow.carriers or operand == flow.source
    if node.op == 'Mul':
      scale, offset = scale * value, offset * value
    elif node.op in ('RealDiv', 'Div') and first:
      scale, offset = scale / value, offset / value
    elif node.op in ('Add', 'AddV2', 'BiasAdd'):
      offset = offset + value
    elif node.op == 'Sub':
      sign = 1 if first else -1
      scale, offset = sign * scale, sign * (offset - value)
    else:
      continue
    steps.append(f'{node.op} {_short(value)}')
  return scale, offset, ', '.join(steps)


def _short(value: np.ndarray) -> str:
  return '/'.join(f'{number:.4g}' for number in value[:4])


def _constant(flow: Flow, node) -> np.ndarray | None:
  """Returns the constant of at most one number per channel a node takes."""
  for tensor in tensor_names.data_inputs(node):
    name, _ = tensor_names.follow(flow.nodes, tensor, ('Identity',))
    other = flow.nodes.get(name)
    if other is None or other.op != 'Const' or name in flow.carriers:
      continue
    value = tf.make_ndarray(other.attr['value'].tensor)
    if value.size <= 4 and np.issubdtype(value.dtype, np.floating):
      value = value.reshape(-1).astype(np.float64)
      is_divided_by_0 = node.op in ('RealDiv', 'Div') and not np.all(value)
      return None if is_divided_by_0 else value
  return None
