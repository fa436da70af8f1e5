"""Compares a converted graph with the module of PyTorch that it was made of."""

import types
from typing import Any

import numpy as np

from frozen_graphs import session
from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import surgery
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.network import Network

# By how much a graph may differ: its representation, of the largest value, and
# its gradient in the Euclidean norm. Deep networks of ReLU have units at their
# kinks on every image: of a ResNet-50 with random weights, 3.5e-3 was met.
TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-2
# A mean over units whose gradient is smaller than this, beside the gradient of
# a sum with random signs, is a constant up to rounding.
_CONSTANT = 1e-2
_TRIES = 3


def check(
  torch: types.ModuleType, module: Any, frozen: FrozenNetwork, images: Any
) -> str:
  """Returns by how much a graph differs from its module, in words.

  Where an activation has a kink, as ReLU at 0, rounding decides on which side
  of it a unit is, and the gradient jumps. So the gradient need not agree on
  all images, but on one of two; or on one of others that are like them.

  Args:
    torch: The package.
    module: Of images, in inference mode.
    frozen: What was made of it.
    images: float32 [2, C, H, W].

  Raises:
    GraphError: If it differs by more than rounding.
  """
  network = Network(frozen, None, frozen.outputs[0], 'the graph')
  generator = torch.Generator().manual_seed(0)
  for _ in range(_TRIES):
    forwards, backwards = differences(torch, module, network, images)
    if not forwards <= TOLERANCE or min(backwards) <= GRADIENT_TOLERANCE:
      break
    noise = torch.randn(images.shape, generator=generator)
    images = images + 0.01 * images.std() * noise
  text = (
    f'differs from PyTorch by {forwards:.1e}, its gradient by '
    f'{min(backwards):.1e}'
  )
  if not (forwards <= TOLERANCE and min(backwards) <= GRADIENT_TOLERANCE):
    raise GraphError(
      f'the graph {text}; allowed are {TOLERANCE} of the largest value and '
      f'{GRADIENT_TOLERANCE}. Nothing is written. Another representation '
      '(`representation`) may do.'
    )
  return text


def differences(
  torch: types.ModuleType, module: Any, network: Network, images: Any
) -> tuple[float, list[float]]:
  """Returns relative differences between a graph and a module.

  Args:
    torch: The package.
    module: Of images, in inference mode.
    network: The graph.
    images: float32 [N, C, H, W].

  Returns:
    max |r - r'| / max |r| of the representations of all images; and for each
    image |g - g'| / |g| of the gradients of the mean over units.

  Raises:
    GraphError: If the representations have different shapes.
  """
  expected, gradients, scale = _computed(torch, module, images)
  fed = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))
  with session.for_few_runs():
    found_gradients, found = network.gradients(fed, batch_size=len(fed))
  if found.shape != expected.shape:
    raise GraphError(
      f'the graph gives a representation of shape {found.shape}, but PyTorch '
      f'{expected.shape}.'
    )
  largest = max(float(np.abs(expected).max()), 1e-30)
  forwards = float(np.abs(found - expected).max()) / largest
  backwards = [
    float(np.linalg.norm(difference)) / size
    for difference, size in zip(found_gradients - gradients, scale, strict=True)
  ]
  return forwards, backwards


def _computed(
  torch: types.ModuleType, module: Any, images: Any
) -> tuple[np.ndarray, np.ndarray, list[float]]:
  """Returns what PyTorch makes of images.

  Returns:
    The representations; the gradients of their means over units, [N, H, W, C];
    and for each image by what differences of gradients are divided.
  """
  images = images.clone().requires_grad_(True)
  result = surgery.first_tensor(module(images))
  if not result.is_floating_point() or not result.requires_grad:
    raise GraphError('its representation does not depend on the image.')
  signs = 2 * torch.randint(
    2, result.shape, generator=torch.Generator().manual_seed(0)
  )
  gradient, mixed = (
    len(images)
    * torch.autograd.grad(value.mean(), images, retain_graph=True)[0]
    for value in (result, result * (signs - 1))
  )
  norms = (each.flatten(1).norm(dim=1) for each in (gradient, mixed))
  scale = [
    max(float(own), _CONSTANT * float(other), 1e-30)
    for own, other in zip(*norms, strict=True)
  ]
  gradient = gradient.numpy().transpose(0, 2, 3, 1)
  return result.detach().numpy(), gradient, scale
