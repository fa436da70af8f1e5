"""What a run found, as one page that needs nothing else: `report.html`.

The page is made from the run's own numbers, draws them itself, and reaches for
no network. Its parts are in `report_page/`.
"""

import base64
from collections.abc import Mapping, Sequence
import dataclasses
import html
import json
import pathlib
import string
from typing import Any

import cv2
import numpy as np

from experiments import evaluation as evaluations
from experiments import figures
from experiments.report_answer import Answer
from toolkit_basics import files

_PARTS = pathlib.Path(__file__).parent / 'report_page'
_NOTHING = evaluations.Evaluation((), {}, {}, {}, {})
_PANEL = 128  # Pixels of a map in the gallery, at most.
_WIDTH = 1600  # Pixels of a figure, at most.
_HEADINGS = {
  'method': 'Method',
  'P@5_low': 'P@5 low',
  'P@5_high': 'P@5 high',
  'spearman': 'Spearman',
  'p_value': 'p',
  'p_within_groups': 'p in groups',
  'tree_rand_index': 'Tree index',
}
# What the values of measures are that are no cosine of maps.
_NOTES = {
  'attribution_span': (
    'How much of what moves the target’s representation (row), pixel by pixel, '
    'moves the source’s (column) too: 0 to 1.'
  ),
  'decodability': (
    'How well the features of the source (column) predict those of the target '
    '(row) on images that were not fitted on: R², 0 to 1.'
  ),
  'decodability_dds': (
    'The mean of two numbers: how well the features of the source (column) '
    'predict those of the target (row), and how alike they are by DDS.'
  ),
  'spade': (
    'The mean of two numbers from 0 to 1: how well the features of the source '
    '(column) predict those of the target (row), and how much of what moves '
    'the target, pixel by pixel, moves the source too.'
  ),
}
_OF_REPRESENTATIONS = (
  'How alike the representations of the two networks are on the probe images: '
  '1 is the same.'
)
# What the page links to: folders beside it, and endings of files there.
_FILES = {
  '': ('csv', 'json'),
  'affinity': ('csv',),
  'distance': ('csv',),
  'ranking': ('csv',),
  'tree': ('csv', 'newick'),
  'figures': ('pdf',),
}


@dataclasses.dataclass(frozen=True)
class Shown:
  """What is shown of a run, on its page and in TensorBoard.

  What is left out has no part on the page.

  Attributes:
    title: Of the page.
    lead: A sentence below the title.
    answer: Stands at the top.
    labels: Labels of the models.
    groups: Groups of the models, None where unknown.
    evaluation: Affinities, rankings, trees and scores of the models; targets
      without relevant sources are said to be so.
    images: uint8 [n, H, W, 3], those that maps are shown of.
    maps: For each method the maps of these images, float32
      [num_models, n, h, w, C].
    settings: Of the run.
    tree_axis: What the distances of the trees are.
    affinity_note: What the affinities are, in a sentence; of measures that have
      no maps, where others have, the page says it itself.
    told: The measure that the answer is about, which is shown first; by default
      the last one that has maps.
    transfers: Whether affinities say from which network to transfer to which;
      if not, they say who is near, and nothing is said of transfers.
    pictures: Files of figures to show, PNG, by their captions.
  """

  title: str
  lead: str
  answer: Answer | None = None
  labels: Sequence[str] = ()
  groups: Sequence[str | None] = ()
  evaluation: evaluations.Evaluation = _NOTHING
  images: np.ndarray | None = None
  maps: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
  tree_axis: str = '1 - affinity'
  affinity_note: str = (
    'The mean, over the probe images, of the cosine between two networks’ '
    'attribution maps.'
  )
  told: str | None = None
  transfers: bool = True
  pictures: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)


def write(path: files.Path, shown: Shown) -> None:
  """Writes the page, an HTML file."""
  colors = figures.group_colors(shown.groups).items()
  content = {
    **_found(shown.evaluation),
    'labels': list(shown.labels),
    'groups': list(shown.groups),
    'group_colors': {group: color for group, color in colors if group},
    'group_labels': {g: figures.group_label(g) for g, _ in colors if g},
    'relevant': shown.evaluation.relevant,
    'num_targets': len(shown.evaluation.relevant),
    'tree_axis': shown.tree_axis,
    'affinity_notes': _notes(shown),
    'told': shown.told,
    'gallery': {
      name: _gallery(shown.images, maps) for name, maps in shown.maps.items()
    },
    'settings': {n: setting(value) for n, value in shown.settings.items()},
    'files': _files(pathlib.Path(path).parent),
    'lead': shown.lead,
    'answer': shown.answer and shown.answer.texts(),
    'transfers': shown.transfers,
    'pictures': [[n, _picture(path)] for n, path in shown.pictures.items()],
    'signed': [m for m, maps in shown.maps.items() if np.min(maps) < 0],
  }
  page, style, script = (
    (_PARTS / name).read_text(encoding='utf-8')
    for name in ('page.html', 'style.css', 'script.js')
  )
  text = string.Template(page).substitute(
    title=html.escape(shown.title),
    style=style,
    script=script,
    data=_json(content),
  )
  files.write_atomically(path, text.encode())


def _notes(shown: Shown) -> dict[str, str]:
  """Returns what the values of each measure are, in a sentence."""
  return {
    name: shown.affinity_note
    if name in shown.maps or not shown.maps
    else _NOTES.get(name, _OF_REPRESENTATIONS)
    for name in shown.evaluation.affinities
  }


def setting(value: object) -> str:
  """Returns the value of a setting in words."""
  if value in (None, '', [], ()):
    return 'none'
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  if isinstance(value, list | tuple):
    return ', '.join(map(setting, value))
  return str(value)


def _files(folder: pathlib.Path) -> dict[str, list[str]]:
  """Returns the tables and figures of a run by kind, as addresses."""
  found: dict[str, list[str]] = {}
  for place, kinds in _FILES.items():
    for kind in kinds:
      paths = sorted(folder.glob(f'{place}/*.{kind}' if place else f'*.{kind}'))
      names = [path.relative_to(folder).as_posix() for path in paths]
      found.setdefault(place or 'tables', []).extend(names)
  return {place: names for place, names in found.items() if names}


def _found(evaluation: evaluations.Evaluation) -> dict[str, Any]:
  """Returns what the page shows of the evaluation."""
  methods, scores = evaluation.affinities, evaluation.scores
  rows = _summary(evaluations.summary_rows(evaluation)) if scores else [[]]
  return {
    'names': list(evaluation.names),
    'methods': list(methods),
    'method_labels': {n: figures.method_label(n) for n in (*methods, *scores)},
    'affinities': {name: matrix.tolist() for name, matrix in methods.items()},
    'rankings': evaluation.rankings,
    'trees': {
      name: {
        'leaf_order': [int(i) for i in tree.leaf_order],
        'linkage': tree.linkage[:, :3].tolist(),
      }
      for name, tree in evaluation.trees.items()
    },
    'summary': rows,
    'curves': {
      name: {column: v.tolist() for column, v in score.columns().items()}
      for name, score in scores.items()
    },
    'curve_styles': figures.curve_styles(
      {name: score.curve.precision for name, score in scores.items()}
    ),
  }


def _summary(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
  """Returns the summary with headings that people read."""
  header, *others = rows
  return [[_HEADINGS.get(n, n) for n in header], *map(list, others)]


def _json(content: Any) -> str:
  """Returns JSON that can stand in a page: no tag can be closed or opened."""
  text = json.dumps(_without_nan(content), ensure_ascii=True, allow_nan=False)
  for character in '<>&':
    text = text.replace(character, f'\\u{ord(character):04x}')
  return text


def _without_nan(value: Any) -> Any:
  """Returns the value with None for each number that is none."""
  if isinstance(value, Mapping):
    return {key: _without_nan(v) for key, v in value.items()}
  if isinstance(value, (list, tuple)):
    return [_without_nan(v) for v in value]
  if isinstance(value, float) and not np.isfinite(value):
    return None
  return value


def _gallery(images: np.ndarray, maps: np.ndarray) -> list[str]:
  """Returns for each image a strip: the image, then the map of each model."""
  panels = [images] + [
    figures.map_panels(images, values[None])[:, :, -images.shape[2] :]
    for values in maps
  ]
  return [
    _encoded(np.concatenate([_shrunk(panel[j]) for panel in panels], axis=1))
    for j in range(len(images))
  ]


def _shrunk(panel: np.ndarray) -> np.ndarray:
  side = min(_PANEL, max(panel.shape[:2]))
  return cv2.resize(panel, (side, side), interpolation=cv2.INTER_AREA)


def _picture(path: pathlib.Path) -> str:
  """Returns a figure in a file as an address that holds it."""
  picture = cv2.imread(str(path))
  if picture is None:
    raise OSError(f'{path}: no picture.')
  scale = min(1, _WIDTH / picture.shape[1])
  picture = cv2.resize(
    picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
  )
  return _encoded(picture[..., ::-1])


def _encoded(picture: np.ndarray) -> str:
  quality = (cv2.IMWRITE_WEBP_QUALITY, 90)
  _, data = cv2.imencode('.webp', picture[..., ::-1], quality)
  return f'data:image/webp;base64,{base64.b64encode(data).decode()}'
