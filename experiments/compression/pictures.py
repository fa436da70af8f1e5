"""Figures of a compression study."""

from collections.abc import Sequence
import pathlib

import numpy as np

from attribution_preservation import maps as class_maps
from attribution_preservation.maps import GRAD_CAM, ClassMaps
from experiments import figures
from experiments.compression import tables
from experiments.compression.plan import Student
from experiments.compression.running import TEACHER, Seeded
from experiments.compression.tables import Found, Rows

_SHOWN = 5
_METHODS = (GRAD_CAM, 'saliency')


def draw_maps(
  folder: pathlib.Path, seed: Seeded, students: Sequence[Student]
) -> None:
  """Draws maps of teacher and students side by side, of one class an image."""
  images, classes = seed.samples.images, seed.samples.classes
  _, rows = np.unique(images, return_index=True)
  rows = rows[:_SHOWN]
  pictures = seed.samples.data.images[images[rows]]
  networks: list[Student | None] = [None, *students]
  made: dict[str, list[np.ndarray]] = {method: [] for method in _METHODS}
  for student in networks:
    model = seed.student(student).model
    source = seed.study.source
    with ClassMaps(model, source.preprocessing, _METHODS) as explain:
      found = explain.maps(pictures, classes[rows])
    for method in _METHODS:
      heat = class_maps.heat(method, found[method])
      made[method].append(heat[..., None])
  labels = [tables.label(s.name if s else TEACHER) for s in networks]
  for method, maps in made.items():
    path = folder / f'maps_{method}.png'
    figures.map_grid(path, pictures, np.stack(maps), labels, method)


def draw_scatter(folder: pathlib.Path, found: Found) -> None:
  """Draws AUC against mAP, a point for each network and seed."""
  x, y, names = [], [], []
  for name in found.compared:
    maps = found.values(name, 'mAP')
    aucs = found.values(name, f'auc/{GRAD_CAM}')
    known = np.isfinite(aucs)
    x += list(maps[known])
    y += list(aucs[known])
    names += [tables.label(name)] * int(known.sum())
  if len(x) >= 3 and np.ptp(x) and np.ptp(y):
    figures.scatter(
      folder / 'auc_against_map.png',
      x,
      y,
      'Localisation and prediction',
      'mAP',
      'AUC of Grad-CAM',
      names,
    )


def draw_tracks(folder: pathlib.Path, rows: Rows, unit: str) -> None:
  """Draws what becomes of students as they learn; `rows` of `track_rows`."""
  header, *others = rows
  names = list(dict.fromkeys(row[0] for row in others))
  for column, title in (
    ('AUC', 'AUC of Grad-CAM'),
    ('cosine', 'Cosine to the teacher’s Grad-CAM'),
    ('mAP', 'mAP'),
  ):
    place = header.index(column)
    looks = sorted({row[1] for row in others})
    series = {}
    for name in names:
      known = {row[1]: row[place] for row in others if row[0] == name}
      series[name] = [known.get(look, np.nan) for look in looks]
    figures.lines(
      folder / f'by_{unit}_{column.lower()}.png',
      looks,
      series,
      f'{title}, selection split',
      unit.capitalize(),
      column,
    )


def draw_sweep(folder: pathlib.Path, rows: Rows) -> None:
  """Draws mAP and AUC over beta; `rows` of `selection_rows`, of one method."""
  _, *others = rows
  ordered = sorted(others, key=lambda row: row[2])
  figures.lines(
    folder / f'beta_{ordered[0][1]}.png',
    [row[2] for row in ordered],
    {name: [row[i] for row in ordered] for name, i in (('mAP', 3), ('AUC', 4))},
    f'{ordered[0][0].partition(",")[0]}: the factor beta, selection split',
    'beta',
    'mAP, AUC',
    log_scale=True,
  )
