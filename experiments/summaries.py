"""Results for TensorBoard: maps, affinities, curves, models as points.

The folder has the runs `<method>` (map grids, affinity, projector),
`precision_recall/<name>` (a run per curve, so that they are overlaid) and
`settings`.
"""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from experiments import figures
from experiments.report import Shown
from transferability.clustering import task_similarity_tree

_CURVES = {'precision': 'P@K', 'recall': 'R@K'}
_PROJECTOR_CONFIG = """\
embeddings {
  tensor_name: "models"
  tensor_path: "points.tsv"
  metadata_path: "metadata.tsv"
}
"""


def write(folder: str | os.PathLike[str], shown: Shown) -> None:
  """Writes a folder for TensorBoard; one that is there is replaced.

  Args:
    folder: Result folder, which holds nothing else.
    shown: The image's number, or K of a curve, is the step.
  """
  folder = pathlib.Path(folder)
  affinities = shown.evaluation.affinities
  labels = [_one_line(label) for label in shown.labels]
  groups = [_one_line(group or '') for group in shown.groups]
  temporary, replaced = (
    folder.with_name(f'.{folder.name}.{suffix}') for suffix in ('new', 'old')
  )
  for left_by_a_killed_run in (temporary, replaced):
    shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
  try:
    for method, maps in shown.maps.items():
      run = temporary / method
      with _writer(run):
        description = f'From left to right: the image, {", ".join(labels)}.'
        for step, panels in enumerate(figures.map_panels(shown.images, maps)):
          tf.summary.image(
            'attribution_maps', panels[None], step, description=description
          )
        _write_affinity(method, labels, groups, affinities[method])
      _write_points(run, labels, groups, affinities[method])
    for name, score in shown.evaluation.scores.items():
      curve = score.curve
      with _writer(temporary / 'precision_recall' / name):
        for field, tag in _CURVES.items():
          for k, value in zip(curve.k, getattr(curve, field), strict=True):
            tf.summary.scalar(tag, value, int(k))
    with _writer(temporary / 'settings'):
      rows = [('Setting', 'Value'), ('---', '---'), *shown.settings.items()]
      lines = [f'| {_cell(name)} | {_cell(value)} |' for name, value in rows]
      tf.summary.text('settings', '\n'.join(lines), 0)
    if folder.exists():
      folder.rename(replaced)
    temporary.rename(folder)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def points(affinity: np.ndarray) -> np.ndarray:
  """Returns a point per model whose inner products are the affinity.

  Directions of negative eigenvalues have no place in a Euclidean space and are
  left out, as in classical multidimensional scaling.

  Args:
    affinity: Symmetric [num_models, num_models].

  Returns:
    float64 [num_models, dimensions], the largest dimension first; at least
    three, the last ones zero if need be, as the projector shows three.
  """
  values, vectors = np.linalg.eigh(np.asarray(affinity, np.float64))
  values, vectors = values[::-1], vectors[:, ::-1]
  kept = values > 1e-9 * values[0]
  result = vectors[:, kept] * np.sqrt(values[kept])
  return np.pad(result, [(0, 0), (0, max(0, 3 - result.shape[1]))])


@contextlib.contextmanager
def _writer(run: pathlib.Path) -> Iterator[None]:
  """Sends the summaries of the block to one run, and closes its file."""
  writer = tf.summary.create_file_writer(str(run))
  try:
    with tf.device('CPU'), writer.as_default():
      yield
  finally:
    writer.close()


def _write_affinity(
  method: str,
  labels: Sequence[str],
  groups: Sequence[str],
  affinity: np.ndarray,
) -> None:
  """Writes the affinity as an image, in the order of the tree's leaves."""
  order = task_similarity_tree(affinity, labels).leaf_order
  title = f'Affinity: {figures.method_label(method)}'
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, 'affinity.png')
    figures.affinity_heat_map(path, affinity, labels, order, title, groups)
    picture = tf.io.decode_png(path.read_bytes(), channels=3)
  tf.summary.image('affinity', picture[None], 0)


def _write_points(
  run: pathlib.Path,
  labels: Sequence[str],
  groups: Sequence[str],
  affinity: np.ndarray,
) -> None:
  """Writes the models for the projector, and its configuration."""
  rows = [[f'{x:.9g}' for x in point] for point in points(affinity)]
  _write_tsv(run / 'points.tsv', rows)
  named = zip(labels, (group or '-' for group in groups), strict=True)
  _write_tsv(run / 'metadata.tsv', [['label', 'group'], *named])
  (run / 'projector_config.pbtxt').write_text(_PROJECTOR_CONFIG)


def _cell(value: object) -> str:
  """Returns a value as one cell of a Markdown table."""
  return _one_line(value).replace('|', r'\|')


def _one_line(value: object) -> str:
  return ' '.join(str(value).split())


def _write_tsv(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
  text = ''.join('\t'.join(row) + '\n' for row in rows)
  path.write_text(text, encoding='utf-8')
