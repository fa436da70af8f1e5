"""Tests of options against their annotations."""

import dataclasses

from absl.testing import absltest, parameterized
import numpy as np
from numpy.typing import ArrayLike

from toolkit_basics import options


def _function(
  x: ArrayLike,
  *,
  count: int = 1,
  most: int | None = None,
  share: float = 0.5,
  exact: bool = False,
  form: str = 'plain',
  others: ArrayLike | None = None,
) -> float:
  raise NotImplementedError


@dataclasses.dataclass
class _Class:
  count: int = 1


class OptionsTest(parameterized.TestCase):
  @parameterized.parameters(
    ({'count': 2.5}, 'count is 2.5, but must be a whole number'),
    ({'count': True}, 'count is True'),
    ({'count': None}, 'count is None'),
    ({'most': '3'}, "most is '3', but must be a whole number or None"),
    ({'share': '0.5'}, "share is '0.5', but must be a number"),
    ({'share': float('nan')}, 'share is nan'),
    ({'share': False}, 'share is False'),
    ({'exact': 1}, 'exact is 1, but must be True or False'),
    ({'form': 5}, 'form is 5, but must be a text'),
  )
  def test_what_is_of_another_kind_is_refused(self, given, message):
    with self.assertRaisesRegex(ValueError, message):
      options.check(_function, given)

  @parameterized.parameters(
    {'count': 2, 'most': None, 'share': 0.5, 'exact': True, 'form': 'other'},
    {'count': np.int64(2), 'share': np.float32(1), 'exact': np.bool_(True)},
    {'share': 1, 'most': 3, 'others': [1.0, 2.0]},
    {'share': float('inf'), 'others': np.ones(3)},
  )
  def test_what_fits_passes(self, **given):
    options.check(_function, given)

  def test_fields_of_a_dataclass_are_options(self):
    options.check(_Class, {'count': 3})
    with self.assertRaisesRegex(ValueError, 'count is 0.5'):
      options.check(_Class, {'count': 0.5})


if __name__ == '__main__':
  absltest.main()
