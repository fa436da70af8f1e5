"""Compares a converted graph with the module of PyTorch that it was made of."""

from collections.abc import Callable, Sequence
import dataclasses
import types
from typing import Any

import numpy as np

from frozen_graphs import session
from frozen_graphs.errors import GraphError, explaining
from frozen_graphs.formats.torch import surgery
from frozen_graphs.network import Network

# By how much a graph may differ: its representation, of the largest value, and
# its gradient in the Euclidean norm. Deep networks of ReLU have units at their
# kinks on every image: of a ResNet-50 with random weights, 3.5e-3 was met.
TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-2
# A mean over units whose gradient is smaller than this, beside the gradient of
# a sum with random signs, is a constant up to rounding.
_CONSTANT = 1e-2
_TRIES = 3
_OF_ITS_OWN = (
  'Only the gradient differs: the module may have one of its own '
  '(`torch.autograd.Function`), or look away from a part, by detach. '
)
ANOTHER = 'Another representation (`representation`) may do.'


@dataclasses.dataclass(frozen=True)
class Reference:
  """What PyTorch makes of images.

  Attributes:
    images: float32 [N, C, H, W].
    representation: Of all.
    gradients: Of their means over units, [N, H, W, C].
    scale: For each image by what differences of gradients are divided.
  """

  images: Any
  representation: np.ndarray
  gradients: np.ndarray
  scale: Sequence[float]


def check(
  network: Network, first: Reference, again: Callable[[Any], Reference]
) -> str:
  """Returns by how much a graph differs from its module, in words.

  Where an activation has a kink, as ReLU at 0, rounding decides on which side
  of it a unit is, and the gradient jumps. So the gradient need not agree on
  all images, but on one of two; or on one of others that are like them. Those
  lie in memory with their channels last: PyTorch 2.13 gives a gradient of XCiT
  for a single image with channels first that finite differences contradict.

  Args:
    network: What was made of the module; nobody else has it.
    first: What PyTorch makes of two images.
    again: What it makes of others.

  Raises:
    GraphError: If it differs by more than rounding.
  """
  noise = np.random.default_rng(0)
  expected = first
  for number in range(_TRIES):
    if number:
      images = first.images.numpy()
      added = 0.01 * images.std() * noise.normal(size=images.shape)
      expected = _anew(again, (images + added).astype(np.float32))
    try:
      forwards, backwards = differences(network, expected)
    except GraphError as error:
      raise GraphError(f'{error} {ANOTHER}') from error
    if not forwards <= TOLERANCE or min(backwards) <= GRADIENT_TOLERANCE:
      break
  text = (
    f'differs from PyTorch by {forwards:.1e}, its gradient by '
    f'{min(backwards):.1e}'
  )
  if not (forwards <= TOLERANCE and min(backwards) <= GRADIENT_TOLERANCE):
    why = _OF_ITS_OWN if forwards <= TOLERANCE else ''
    raise GraphError(
      f'the graph {text}; allowed are {TOLERANCE} of the largest value and '
      f'{GRADIENT_TOLERANCE}. {why}Nothing is written. {ANOTHER}'
    )
  return text


def _anew(again: Callable[[Any], Reference], images: np.ndarray) -> Reference:
  """Returns what PyTorch makes of images, by channels last if it takes them."""
  last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
  try:
    return again(last.transpose(0, 3, 1, 2))
  except GraphError:  # A module may view its images as if they lay otherwise.
    return again(images)


def differences(
  network: Network, expected: Reference
) -> tuple[float, list[float]]:
  """Returns relative differences between a graph and a module.

  Returns:
    max |r - r'| / max |r| of the representations of all images; and for each
    image |g - g'| / |g| of the gradients of the mean over units.

  Raises:
    GraphError: If the representations have different shapes.
  """
  right = expected.representation
  fed = np.ascontiguousarray(expected.images.numpy().transpose(0, 2, 3, 1))
  with session.for_few_runs():
    # One at a time, as activations take more memory than weights do.
    gradients, found = network.gradients(fed, batch_size=1)
  if found.shape != right.shape:
    raise GraphError(
      f'the graph gives a representation of shape {found.shape}, but PyTorch '
      f'{right.shape}.'
    )
  largest = max(float(np.abs(right).max()), 1e-30)
  forwards = float(np.abs(found - right).max()) / largest
  backwards = [
    float(np.linalg.norm(difference)) / size
    for difference, size in zip(
      gradients - expected.gradients, expected.scale, strict=True
    )
  ]
  return forwards, backwards


def reference(torch: types.ModuleType, module: Any, images: Any) -> Reference:
  """Returns what PyTorch makes of images, one at a time.

  Args:
    torch: The package.
    module: Of images, in inference mode.
    images: float32 [N, C, H, W].

  Raises:
    GraphError: If the representation does not depend on them.
  """
  images = torch.as_tensor(images)
  found = [_computed(torch, module, image) for image in images.split(1)]
  representations, gradients, scale = zip(*found, strict=True)
  return Reference(
    images, np.concatenate(representations), np.concatenate(gradients), scale
  )


def _computed(
  torch: types.ModuleType, module: Any, image: Any
) -> tuple[np.ndarray, np.ndarray, float]:
  """Returns representation, gradient and scale of an image [1, C, H, W]."""
  image = image.clone().requires_grad_(True)
  with explaining('PyTorch cannot compute its gradient', RuntimeError):
    # Of another tensor, as some modules write into theirs.
    result = surgery.first_tensor(module(image.clone()))
  if not result.is_floating_point() or not result.requires_grad:
    raise GraphError(
      'its representation does not depend on the image, as far as PyTorch can '
      'tell: within torch.no_grad, and behind detach or whole numbers, it '
      'does not look.'
    )
  signs = 2 * torch.randint(
    2, result.shape, generator=torch.Generator().manual_seed(0)
  )
  with explaining('PyTorch cannot compute its gradient', RuntimeError):
    gradient, mixed = (
      torch.autograd.grad(value.mean(), image, retain_graph=is_first)[0]
      for is_first, value in ((True, result), (False, result * (signs - 1)))
    )
  scale = max(float(gradient.norm()), _CONSTANT * float(mixed.norm()), 1e-30)
  gradient = gradient.numpy().transpose(0, 2, 3, 1)
  return result.detach().numpy(), gradient, scale
