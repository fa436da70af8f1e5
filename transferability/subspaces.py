"""Attribution subspaces: networks compared by all directions of a Jacobian.

J [D, P] is the Jacobian of an image's representation with respect to its P
pixel values. A row of probes is v^T J for a random direction v ~ N(0, I_D);
for independent u and v

  E[<J_a^T u, J_b^T v>^2] = ||J_a J_b^T||_F^2,

so that all that follows is read off the products of the probes' rows of one
image, K x K numbers for each pair of networks. A rotation of a representation
changes neither their distribution nor what is estimated.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from toolkit_basics import blas

# Eigenvalues of a network's probes below this share of the largest are noise of
# the rows' storage.
_RANK_TOLERANCE = 1e-5


def products(rows: np.ndarray) -> np.ndarray:
  """Returns the products of the probes' rows of one image.

  An entry is a function of its two networks alone: others do not change it.

  Args:
    rows: float32 [networks, K, P].

  Returns:
    float64 [networks, networks, K, K]: `[a, b, i, j]` is the product of row i
    of network a and row j of network b.
  """
  count, probes, _ = rows.shape
  found = np.empty((count, count, probes, probes))
  with blas.one_thread():
    for a in range(count):
      for b in range(a, count):
        block = rows[a] @ rows[b].T
        found[a, b], found[b, a] = block, block.T
  return found


def kernel(gram: np.ndarray) -> np.ndarray:
  """Returns the kernel affinity of each pair of networks on one image.

    ||J_a J_b^T||_F^2 / (||J_a J_a^T||_F ||J_b J_b^T||_F)

  which is the cosine of the kernels J_a^T J_a and J_b^T J_b over pixels, in
  [0, 1]: 1 where both react to the same directions of the picture in the same
  proportion. Estimated without bias above and below the line: mean squares of
  products, those of a network with itself over pairs of different probes.

  Args:
    gram: See `products`, [networks, networks, K, K], K at least 2.

  Returns:
    Symmetric float64 [networks, networks] with a unit diagonal; the estimate
    may exceed 1 for networks that are nearly the same, and is cut there.
  """
  energy = np.square(gram).mean(axis=(2, 3))
  own = np.einsum('aaij->aij', gram)
  squares = np.square(own)
  probes = gram.shape[-1]
  others = squares.sum(axis=(1, 2)) - np.einsum('aii->a', squares)
  scale = np.sqrt(others / (probes * (probes - 1)))
  energy = (energy + energy.T) / 2  # Sums of a block and its transpose differ.
  result = np.minimum(energy / np.outer(scale, scale), 1)
  np.fill_diagonal(result, 1)
  return result


def span(gram: np.ndarray, softness: float = 0.0) -> np.ndarray:
  """Returns how much of what moves a target lies in the span of a source.

    ||J_t Q_s||_F^2 / ||J_t||_F^2

  in [0, 1], Q_s an orthonormal basis of the span of the source's probes, which
  is a randomised range finder (Halko, Martinsson and Tropp, 2011, section 4).
  The share of the target's probes' energy that falls into it estimates the
  ratio. Directed: a source that sees more serves more targets.

  Args:
    gram: See `products`.
    softness: Each direction of the source counts w / (w + softness * mean w), w
      its eigenvalue; 0 is the projection. With many probes a projection keeps
      everything, this does not.

  Returns:
    float64 [networks, networks], rows targets, columns sources, unit diagonal.
  """
  count, _, probes, _ = gram.shape
  result = np.empty((count, count))
  for source in range(count):
    values, vectors = np.linalg.eigh(gram[source, source])
    largest = values[-1]
    kept = values > max(largest, 0) * _RANK_TOLERANCE
    values, vectors = values[kept], vectors[:, kept]
    share = 1 / (values + softness * values.sum() / probes)
    inside = np.square(gram[:, source] @ vectors) @ share
    own = np.einsum('tii->t', np.einsum('ttij->tij', gram))
    result[:, source] = inside.sum(axis=1) / own
  result = np.clip(result, 0, 1)
  np.fill_diagonal(result, 1)
  return result


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  'attribution_kernel': kernel,
  'attribution_span': span,
}


def of_images(
  rows: Iterable[np.ndarray], measure: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
  """Returns what a measure of `products` says of each image.

  Args:
    rows: Of each image, float32 [networks, K, ...].
    measure: Such as `kernel` or `span`, or several of them stacked.

  Returns:
    float64 [images, networks, networks]; their mean is the affinity, drawing
    the images again gives its spread.
  """
  found = []
  for image in rows:
    flat = image.reshape(*image.shape[:2], -1)
    found.append(measure(products(flat)))
  return np.stack(found)


def pairs(
  networks: Sequence[np.ndarray],
  measure: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
  """Returns `of_images` of whole arrays [n, K, P], one a network.

  Raises:
    ValueError: If their maps differ in shape.
  """
  shapes = [x.shape[1:] for x in networks]
  if len(set(shapes)) > 1:
    raise ValueError(
      f'maps of directions have the shapes {shapes}; all networks need the '
      'same number of directions and pixels a map.'
    )
  return of_images(map(np.stack, zip(*networks, strict=True)), measure)
