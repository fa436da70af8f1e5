"""Affinity: the mean cosine similarity of attribution maps, and Eq. 1."""

from collections.abc import Iterable, Sequence

import numpy as np

from toolkit_basics import files
from transferability.ranking_files import duplicates


def mean_cosine(image_cosines: Iterable[np.ndarray]) -> np.ndarray:
  """Returns the affinity of what each image says.

  Args:
    image_cosines: Of each image float64 [rows, columns], as
      `ModelSpace.image_cosines` returns.

  Returns:
    float64 [rows, columns], to the bit what `ModelSpace.affinity` is.
  """
  total = np.zeros(())
  count = 0
  for cosines in image_cosines:  # One after the other: sums depend on order.
    total = total + cosines
    count += 1
  return total / count


def unit_rows(rows: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
  """Scales each row to unit Euclidean norm.

  Every row is computed alone, so its bits do not depend on its neighbours.

  Args:
    rows: Real [n, d].

  Returns:
    float64 [n, d], and what is wrong with each row that has no direction, for
    example `{3: 'is all zero'}`; such a row of the result is zero.
  """
  unit = np.zeros(rows.shape)
  bad = {}
  for i, row in enumerate(rows):
    row = row.astype(np.float64)
    # The largest entry is scaled to 1 first: squares neither overflow nor
    # vanish, however small the gradients of a deep network are.
    largest = np.max(np.abs(row))
    if not np.isfinite(largest):
      bad[i] = 'is not finite'
    elif largest == 0:
      bad[i] = 'is all zero'
    else:
      row /= largest
      unit[i] = row / np.sqrt(np.sum(np.square(row)))
  return unit, bad


def centred(affinity: np.ndarray) -> np.ndarray:
  """Returns affinities less what either model has with everybody.

  What is left of a_ij by a_ij = m + row_i + column_j, fitted to all but the
  diagonal by least squares; in closed form in Warner, Kenny and Stoto, "A new
  round robin analysis of variance" (JPSP 1979). Not in the paper: a model that
  is near to all others, a hub (Radovanovic, Nanopoulos and Ivanovic, JMLR
  2010), is no longer so. A symmetric matrix stays symmetric.

  Args:
    affinity: [num_models, num_models], num_models >= 3.

  Returns:
    float64 [num_models, num_models]; the diagonal is 1, others may be negative.
  """
  values = np.array(affinity, np.float64)
  np.fill_diagonal(values, np.nan)
  n, mean = len(values), np.nanmean(values)
  rows, columns = (np.nanmean(values, axis) - mean for axis in (1, 0))
  scale = (n - 1) / (n * (n - 2))
  row_effects = scale * ((n - 1) * rows + columns)
  column_effects = scale * ((n - 1) * columns + rows)
  values -= mean + row_effects[:, None] + column_effects
  np.fill_diagonal(values, 1)
  return values


def without_hubs(affinity: np.ndarray) -> np.ndarray:
  """Returns affinities less each column's mean over the other models.

  Not in the paper: a model with smooth gradients is near all others, which
  says nothing of its use to one target. The result is not symmetric; its rows
  rank sources, and its diagonal is NaN.

  Args:
    affinity: [num_models, num_models].
  """
  others = np.array(affinity, np.float64)
  np.fill_diagonal(others, np.nan)
  return others - np.nanmean(others, axis=0, keepdims=True)


def distance(affinity: np.ndarray) -> np.ndarray:
  """Returns Eq. 1's distance N / sum_j cos_j, which is 1 / affinity.

  The formula means nothing where the mean cosine is zero or negative: it would
  make the least similar models the closest. The distance is infinite there.

  Args:
    affinity: Mean cosines, of any shape.

  Returns:
    float64 of the same shape, in [1, inf] for affinities in [-1, 1].

  Raises:
    ValueError: If an affinity is NaN.
  """
  affinity = np.asarray(affinity, np.float64)
  if np.isnan(affinity).any():
    raise ValueError('The affinity holds NaN, which has no distance.')
  result = np.full(affinity.shape, np.inf)
  with np.errstate(over='ignore'):
    np.divide(1.0, affinity, out=result, where=affinity > 0)
  return result


def save_matrix(
  path: files.Path,
  matrix: np.ndarray,
  names: Sequence[str],
  row_names: Sequence[str] | None = None,
  corner: str = 'model',
) -> None:
  """Writes a matrix as CSV: a header row and a first column of names.

  Args:
    path: The CSV file.
    matrix: Real [rows, columns].
    names: Names of the columns, and of the rows unless they have their own.
    row_names: Names of the rows.
    corner: The header's first cell: what a row is.
  """
  row_names = names if row_names is None else row_names
  matrix = np.asarray(matrix, np.float64)
  if matrix.shape != (len(row_names), len(names)):
    raise ValueError(
      f'{path}: a matrix of shape {matrix.shape} does not fit '
      f'{len(row_names)} row and {len(names)} column names.'
    )
  rows = [[name, *row] for name, row in zip(row_names, matrix, strict=True)]
  files.write_csv(path, [[corner, *names], *rows])


def load_matrix(path: files.Path) -> tuple[np.ndarray, tuple[str, ...]]:
  """Reads a square matrix whose rows and columns have the same names.

  Returns:
    float64 [n, n], and the n names.
  """
  matrix, row_names, names = load_table(path)
  if row_names != names:
    raise ValueError(
      f'{path}: the first column names {list(row_names)}, but the header '
      f'{list(names)}; both must be the same models in the same order.'
    )
  return matrix, names


def load_table(
  path: files.Path,
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
  """Reads a matrix written by `save_matrix`.

  Returns:
    float64 [rows, columns], names of the rows, names of the columns.
  """
  header, *rows = files.read_csv(path)
  names, row_names = tuple(header[1:]), tuple(row[0] for row in rows)
  for kind in (names, row_names):
    if repeated := duplicates(kind):
      raise ValueError(f'{path}: {repeated} are named more than once.')
  matrix = np.empty((len(rows), len(names)))
  for i, row in enumerate(rows):
    if len(row) != len(header):
      raise ValueError(
        f'{path}: the row of {row[0]!r} has {len(row)} cells, the header '
        f'{len(header)}.'
      )
    for j, cell in enumerate(row[1:]):
      try:
        matrix[i, j] = float(cell)
      except ValueError:
        raise ValueError(
          f'{path}: {cell!r} in row {row[0]!r}, column {names[j]!r} is not a '
          'number.'
        ) from None
  return matrix, row_names, names
