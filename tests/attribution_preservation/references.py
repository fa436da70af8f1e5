"""Reference values of losses, gradients, pruning masks and scores.

`tests/data/attribution_preservation_p1.npz` and `_p2.npz`: made of random
activations, small tanh heads, logits, masks and kernels by the functions of the
authors' code (GeondoPark/attribute-preserve at ed5008ac: `VGG.cal_grad`,
`cal_l2loss`, `logit_kd`, `compute_mAP`, `get_auc`, `get_kill_indices`, `prune`)
and of szagoruyko/attention-transfer at 893df548 (`at_loss`); each was confirmed
by a second computation, the gradients by finite differences.
"""

import numpy as np

from tests import module_graph

CASES = ('p1', 'p2')


def load(case: str) -> dict[str, np.ndarray]:
  name = f'attribution_preservation_{case}.npz'
  with np.load(module_graph.ROOT / 'tests' / 'data' / name) as arrays:
    return dict(arrays)


def nhwc(values: np.ndarray) -> np.ndarray:
  """Returns [B, C, h, w] as [B, h, w, C]."""
  return np.moveaxis(values, 1, -1)
