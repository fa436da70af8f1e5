"""Results for TensorBoard: maps, affinities, trees, curves, models as points.

The folder has a run for each method and baseline, named as they are, with its
P@K and R@K; those of methods also have maps (a page an image), affinity, tree,
and the networks for the projector. The run `summary` has what is about all: the
answer, the curves beside each other, and the settings.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import dataclasses
import io
import os
import pathlib
import shutil
import struct

import cv2
from matplotlib.colors import to_rgb
import numpy as np
import tensorflow as tf

from experiments import figures
from experiments.report import Shown, setting
from experiments.report_answer import markdown_table
from toolkit_basics import files
from transferability.clustering import task_similarity_tree

_CURVES = {'precision': 'P@K', 'recall': 'R@K'}
_NOT_SMOOTH = (
  'The step is K. Set Smoothing to 0: TensorBoard averages over neighbouring '
  'steps, as if K were time. The run `summary` has the curves as pictures.'
)
_COLUMNS = 5  # Of maps on a page.
_SPRITE = 32  # Pixels of a point.
_PROJECTOR_CONFIG = """\
embeddings {
  tensor_name: "models"
  tensor_path: "points.tsv"
  metadata_path: "metadata.tsv"
  sprite {
    image_path: "groups.png"
    single_image_dim: 32
    single_image_dim: 32
  }
}
"""


def write(folder: str | os.PathLike[str], shown: Shown) -> None:
  """Writes a folder for TensorBoard; one that is there is replaced.

  Args:
    folder: Result folder, which holds nothing else.
    shown: The image's number, or K of a curve, is the step.
  """
  folder = pathlib.Path(folder)
  one_line = [_one_line(label) for label in shown.labels]
  shown = dataclasses.replace(shown, labels=one_line)
  temporary, replaced = (
    folder.with_name(f'.{folder.name}.{suffix}') for suffix in ('new', 'old')
  )
  for left_by_a_killed_run in (temporary, replaced):
    shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
  try:
    runs = dict.fromkeys([*shown.maps, *shown.evaluation.scores])
    for name in runs:
      with _writer(temporary / name):
        _write_curve(shown, name)
        if name in shown.maps:
          _write_method(shown, name)
      if name in shown.maps:
        _write_points(temporary / name, shown, name)
    with _writer(temporary / 'summary'):
      _write_summary(shown)
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


def _write_picture(
  tag: str, step: int, function: Callable[..., None], *content, **options
) -> None:
  """Writes what one of `figures` draws, as `tf.summary.image` would.

  That takes pixels, and would encode as PNG what was decoded for it.
  """
  file = io.BytesIO()
  function(file, *content, **options)
  data = file.getvalue()
  width, height = struct.unpack('>II', data[16:24])  # Of the PNG's header.
  parts = [str(width).encode(), str(height).encode(), data]
  is_picture = tf.compat.v1.SummaryMetadata(
    plugin_data={'plugin_name': 'images'}
  )
  tf.summary.write(tag, tf.constant(parts), step, is_picture)


def _write_curve(shown: Shown, name: str) -> None:
  """Writes P@K and R@K of a method or baseline, if there are."""
  if name not in shown.evaluation.scores:
    return
  curve = shown.evaluation.scores[name].curve
  for field, tag in _CURVES.items():
    for k, value in zip(curve.k, getattr(curve, field), strict=True):
      tf.summary.scalar(tag, value, int(k), description=_NOT_SMOOTH)


def _write_method(shown: Shown, method: str) -> None:
  """Writes a page of maps for each image, the affinity and its tree."""
  maps, label = shown.maps[method], figures.method_label(method)
  for step in range(len(shown.images)):
    _write_picture(
      'attribution_maps',
      step,
      figures.map_grid,
      shown.images[step : step + 1],
      maps[:, step : step + 1],
      shown.labels,
      method,
      groups=shown.groups,
      columns=_COLUMNS,
    )
  matrix = shown.evaluation.affinities[method]
  tree = shown.evaluation.trees.get(method)
  tree = tree or task_similarity_tree(matrix, shown.evaluation.names)
  title, groups = f'Affinity: {label}', shown.groups
  content = matrix, shown.labels, tree.leaf_order, title, groups
  _write_picture('affinity', 0, figures.affinity_heat_map, *content)
  title = f'Task similarity tree: {label}'
  content = tree, shown.labels, groups, title, shown.tree_axis
  _write_picture('tree', 0, figures.task_tree, *content)


def _write_summary(shown: Shown) -> None:
  """Writes the answer, the curves of all as pictures, and the settings."""
  scores = shown.evaluation.scores
  if shown.answer:
    tf.summary.text('answer', shown.answer.to_markdown(), 0)
  if scores:
    curves = {name: score.curve for name, score in scores.items()}
    for kind, tag in _CURVES.items():
      _write_picture(tag, 0, figures.precision_recall_curves, curves, kind)
  rows = [(name, setting(value)) for name, value in shown.settings.items()]
  tf.summary.text('settings', markdown_table([('Setting', 'Value'), *rows]), 0)


def _write_points(run: pathlib.Path, shown: Shown, method: str) -> None:
  """Writes the models for the projector, each a disc of its group's colour.

  The projector has no way to say what it colours by at first; but a picture of
  each point it shows at once.
  """
  affinity = shown.evaluation.affinities[method]
  rows = [[f'{x:.9g}' for x in point] for point in points(affinity)]
  _write_tsv(run / 'points.tsv', rows)
  named = [
    (label, _one_line(group or '-'))
    for label, group in zip(shown.labels, shown.groups, strict=True)
  ]
  _write_tsv(run / 'metadata.tsv', [('label', 'group'), *named])
  colors = figures.group_colors(shown.groups)
  inks = [to_rgb(colors[group]) for group in shown.groups]
  _, png = cv2.imencode('.png', _discs(inks)[..., ::-1])
  files.write_atomically(run / 'groups.png', png.tobytes())
  (run / 'projector_config.pbtxt').write_text(_PROJECTOR_CONFIG)


def _discs(colors: Sequence[Sequence[float]]) -> np.ndarray:
  """Returns discs on white, row by row in a square: uint8 [side, side, 3]."""
  across = int(np.ceil(np.sqrt(len(colors))))
  sheet = np.full((across * _SPRITE, across * _SPRITE, 3), 255, np.uint8)
  for number, color in enumerate(colors):
    row, column = divmod(number, across)
    middle = [int((n + 0.5) * _SPRITE) for n in (column, row)]
    ink = [round(255 * channel) for channel in color]
    cv2.circle(sheet, middle, _SPRITE // 2 - 2, ink, -1, cv2.LINE_AA)
  return sheet


def _one_line(value: object) -> str:
  return ' '.join(str(value).split())


def _write_tsv(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
  text = ''.join('\t'.join(row) + '\n' for row in rows)
  path.write_text(text, encoding='utf-8')
