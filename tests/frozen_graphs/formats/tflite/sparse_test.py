"""Tests of sparse weights against their definition, written out."""

from types import SimpleNamespace

from absl.testing import absltest, parameterized
import numpy as np

from frozen_graphs.formats.tflite import sparse


def _level(size=0, ends=None, positions=None):
  """Returns an axis of which all positions are there, or those listed."""
  return SimpleNamespace(size=size, ends=ends, positions=positions)


class _Description:
  """As the package `tflite` reads one."""

  def __init__(self, order, blocks, levels):
    for name, values in (
      ('TraversalOrder', order),
      ('BlockMap', blocks),
      ('DimMetadata', [_Axis(level) for level in levels]),
    ):
      setattr(self, name, list(values).__getitem__)
      setattr(self, f'{name}Length', list(values).__len__)


class _Axis:
  def __init__(self, level):
    self.level = level

  def Format(self):
    return 0 if self.level.ends is None else 1

  def DenseSize(self):
    return self.level.size

  def ArraySegmentsType(self):
    return 0 if self.level.ends is None else 1

  ArrayIndicesType = ArraySegmentsType

  def ArraySegments(self):
    return _table(self.level.ends)

  def ArrayIndices(self):
    return _table(self.level.positions)


def _table(numbers):
  """Returns where a list of numbers is in a file, which is the list itself."""
  return SimpleNamespace(Bytes=numbers, Pos=0)


class _Vector:
  """As the package reads a list of numbers."""

  def Init(self, numbers, _):
    self.numbers = np.array(numbers)

  def ValuesLength(self):
    return len(self.numbers)

  def ValuesAsNumpy(self):
    return self.numbers


_TFLITE = SimpleNamespace(Int32Vector=_Vector)


def _by_definition(order, blocks, levels, shape, values):
  """Returns the tensor, one value after the other, as the format says."""
  result, values = np.zeros(shape, np.float32), iter(values)
  sizes = {axis: level.size for axis, level in zip(order, levels, strict=True)}

  def go(number, parent, place):
    if number == len(levels):
      index = [place[axis] for axis in range(len(shape))]
      for block, axis in enumerate(blocks, start=len(shape)):
        index[axis] = index[axis] * sizes[block] + place[block]
      result[tuple(index)] = next(values)
      return
    level, axis = levels[number], order[number]
    if level.ends is None:
      for i in range(level.size):
        go(number + 1, parent * level.size + i, {**place, axis: i})
    else:
      for i in range(level.ends[parent], level.ends[parent + 1]):
        go(number + 1, i, {**place, axis: level.positions[i]})

  go(0, 0, {})
  return result


_CASES = {
  'rows': ([0, 1], [], [_level(3), _level(0, [0, 2, 2, 3], [0, 3, 1])], (3, 4)),
  'columns': ([1, 0], [], [_level(4), _level(0, [0, 1, 1, 3, 3], [2, 0, 1])],
              (3, 4)),
  'blocks of 2 x 2': (
    [0, 1, 2, 3],
    [0, 1],
    [_level(2), _level(0, [0, 1, 3], [1, 0, 1]), _level(2), _level(2)],
    (4, 4),
  ),
  'a list below a list': (
    [0, 1, 2],
    [],
    [_level(0, [0, 2], [0, 2]), _level(0, [0, 1, 3], [1, 0, 1]), _level(2)],
    (3, 2, 2),
  ),
}  # fmt: skip


class SparseTest(parameterized.TestCase):
  @parameterized.parameters(*_CASES)
  def test_values_come_to_their_places(self, name):
    order, blocks, levels, shape = _CASES[name]
    described = _Description(order, blocks, levels)
    values = np.arange(1, 13, dtype=np.float32)
    for count in range(1, 13):
      try:
        found = sparse.dense(_TFLITE, described, shape, values[:count])
        break
      except ValueError:
        continue
    expected = _by_definition(order, blocks, levels, shape, values)
    np.testing.assert_array_equal(found, expected)
    self.assertEqual(np.count_nonzero(found), count)

  @parameterized.parameters(
    ([0, 0], [_level(3), _level(4)], 'order'),
    ([0, 1], [_level(3)], 'order'),
    ([0, 1], [_level(3), _level(0, [0, 2], [0, 3])], 'too short'),
    ([0, 1], [_level(3), _level(0, [0, 1, 2, 9], [0, 3])], 'too short'),
    ([0, 1], [_level(3), _level(0, [0, 2, 1, 3], [0, 3, 1])], 'more places'),
    ([0, 1], [_level(3), _level(0, [0, 1, 2, 3], [0, 4, 1])], 'beyond'),
    ([0, 1], [_level(3), _level(10**9)], 'more places'),
    ([0, 1], [_level(3), _level(0, [0, 1, 2, 2], [0, 1])], '3 values for 2'),
  )
  def test_contradictions_are_refused(self, order, levels, message):
    described = _Description(order, [], levels)
    with self.assertRaisesRegex(ValueError, message):
      sparse.dense(_TFLITE, described, (3, 4), np.ones(3, np.float32))


if __name__ == '__main__':
  absltest.main()
