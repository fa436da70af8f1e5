"""Tests of which filters and weights are kept."""

from absl.testing import absltest, parameterized
import numpy as np

from attribution_preservation import pruning
from tests.attribution_preservation import references


class PruningTest(parameterized.TestCase):
  def _kernels(self, case):
    found = references.load(case)
    kernels = [
      found[f'in/conv{i}_weight_oihw'].transpose(2, 3, 1, 0) for i in range(3)
    ]
    return found, kernels

  @parameterized.parameters(*references.CASES)
  def test_kept_filters_are_those_of_the_released_code(self, case):
    found, kernels = self._kernels(case)
    for i, (kernel, rate) in enumerate(
      zip(kernels, found['in/l1_prune_rates'], strict=True)
    ):
      kept = pruning.filters_to_keep(kernel, rate)
      expected = found[f'ref/l1_filter_keep_mask_conv{i}']
      np.testing.assert_array_equal(kept, np.flatnonzero(expected))

  @parameterized.parameters(*references.CASES)
  def test_kept_weights_are_those_of_the_released_code(self, case):
    found, kernels = self._kernels(case)
    for rounds in (1, 4, 16):
      sparsity = pruning.sparsity(rounds, 0.2)
      kept = pruning.weights_to_keep(kernels, sparsity)
      for i, mask in enumerate(kept):
        name = f'ref/global_magnitude_keep_p{sparsity:.6f}_conv{i}'
        np.testing.assert_array_equal(mask.transpose(3, 2, 0, 1), found[name])

  def test_zeros_of_a_round_are_zeros_of_the_next(self):
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(3, 3, 2, 5)), rng.normal(size=(1, 1, 5, 4))]
    before = [np.ones(kernel.shape, bool) for kernel in kernels]
    for rounds in range(1, 5):
      share = pruning.sparsity(rounds, 0.4)
      after = pruning.weights_to_keep(kernels, share)
      for old, new in zip(before, after, strict=True):
        self.assertFalse((new & ~old).any())
      kernels = [k * new for k, new in zip(kernels, after, strict=True)]
      zeros = sum((k == 0).sum() for k in kernels) / 110
      self.assertAlmostEqual(zeros, share, delta=0.02)
      before = after

  def test_a_filter_is_left_and_nothing_goes_at_zero(self):
    kernel = np.arange(8.0).reshape(1, 1, 2, 4)
    self.assertEqual(pruning.filters_to_keep(kernel, 0.99).tolist(), [3])
    self.assertLen(pruning.filters_to_keep(kernel, 0), 4)
    self.assertTrue(pruning.weights_to_keep([kernel], 0)[0].all())

  def test_a_share_of_all_is_refused(self):
    for rate in (1.0, -0.1):
      with self.assertRaisesRegex(ValueError, '`ratio`'):
        pruning.filters_to_keep(np.ones((1, 1, 1, 2)), rate)


if __name__ == '__main__':
  absltest.main()
