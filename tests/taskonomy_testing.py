"""What tests know about the tasks of Taskonomy, and reference numbers."""

import csv
import pathlib

_DATA = pathlib.Path(__file__).parent / 'data'

GROUPS = {
  'autoencoder': '2d',
  'curvature': '3d',
  'denoise': '2d',
  'edge2d': '2d',
  'edge3d': '3d',
  'keypoint2d': '2d',
  'keypoint3d': '3d',
  'colorization': '2d',
  'reshade': '3d',
  'rgb2depth': '3d',
  'rgb2mist': '3d',
  'rgb2sfnorm': '3d',
  'room_layout': 'geometric',
  'segment25d': '3d',
  'segment2d': '2d',
  'vanishing_point': 'geometric',
  'segmentsemantic': 'semantic',
  'class_1000': 'semantic',
  'class_places': 'semantic',
  'inpainting_whole': '2d',
}


def reference(name: str) -> list[dict[str, str]]:
  """Returns the rows of one of the tables in tests/data."""
  with open(_DATA / f'{name}.csv', encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


def column(name: str, key: str) -> list[float]:
  """Returns one column of a table as numbers."""
  return [float(row[key]) for row in reference(name)]
