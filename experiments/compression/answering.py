"""The page of a compression study: what it found, in words and as a table."""

from collections.abc import Mapping
import math
import pathlib

from experiments import report, report_answer
from experiments.compression import placing, tables
from experiments.compression.plan import CompressionStudy
from experiments.compression.running import TEACHER
from experiments.compression.tables import Found
from toolkit_basics import files

_SHORT = ('mAP', 'mAP sd', 'AUC', 'AUC sd', 'point', 'cosine')
_NOTE = (
  'Means over seeds, and standard deviations (sd). mAP is the mean over '
  'classes of average precision. AUC: the area under the ROC curve of Grad-CAM '
  'as a mask of the class. point: how often its maximum is on the object. '
  'cosine: to the teacher’s map. samples: of the classes in masks, those that '
  'the network predicts; the common columns are on samples that all networks '
  'predict.'
)
_TAKEN = {
  'distillation': 'the width of the layers',
  'structured': 'the filters',
  'unstructured': 'the weights',
}


def _several(number: int, word: str) -> str:
  return f'{number} {word}' if number == 1 else f'{number} {word}s'


def sentence(found: Found, name: str, other: str) -> str:
  """Returns how one way of compressing differs from another."""
  parts: list[str] = []
  unknown: list[str] = []
  for title, measure in (
    ('AUC', tables.MAIN['AUC']),
    ('the share of points on objects', tables.MAIN['point']),
    ('mAP', 'mAP'),
  ):
    mean, low, high = found.difference(name, other, measure)
    if math.isfinite(mean):
      parts.append(f'{title} by {mean:+.3f} ({low:+.3f} to {high:+.3f})')
    else:
      unknown.append(title)
  listed = ' and '.join(filter(None, (', '.join(parts[:-1]), parts[-1])))
  text = f'{tables.label(name)} changes {listed} against {tables.label(other)}.'
  if not unknown:
    return text
  return (
    f'{text} Of {" and ".join(unknown)} nothing can be told: there is no '
    'sample that both networks predict.'
  )


def paragraphs(found: Found, study: CompressionStudy) -> list[str]:
  """Returns what was found, the main thing first."""
  said = []
  others = [n for n in found.compared if n not in (TEACHER, 'naive')]
  if 'naive' in found.measured and others:
    best = max(
      others,
      key=lambda n: found.difference(n, 'naive', tables.MAIN['AUC'], 10)[0],
    )
    for name in dict.fromkeys([best, *others]):
      said.append(sentence(found, name, 'naive'))
    said.append(
      'Differences are paired by seed, on the samples that both networks '
      'predict; in parentheses their 95 % intervals, over draws of '
      f'{_several(len(found.seeds), "seed")} and of images.'
    )
  said.append(
    f'{study.recipe.ratio * 100:.0f} % of {_TAKEN[study.setting]} went. '
    'What is matched is what AUC scores, so that part of its gain is '
    'there by construction. See methods.csv for maps that no training saw, and '
    'perturbation.csv for what really moves the logits.'
  )
  return said


def write(
  output: pathlib.Path,
  found: Found,
  placed: placing.Placed,
  settings: Mapping[str, object],
) -> list[str]:
  """Writes `report.html` and `answer.md`; returns the paragraphs."""
  study = found.seeds[0].study
  said = paragraphs(found, study)
  header, *rows = tables.main_rows(found)
  kept = [0, *(header.index(name) for name in _SHORT)]
  kept += [
    header.index(n) for n in ('samples', 'AUC common', 'common', 'seeds')
  ]
  table = [[row[i] for i in kept] for row in (header, *rows)]
  answer = report_answer.Answer(said, table, _NOTE)
  shown = report.Shown(
    title=f'Attribution preservation: {study.setting}',
    lead=(
      f'{len(found.measured)} networks, {_several(len(found.seeds), "seed")}, '
      f'{len(found.seeds[0].splits["test"])} test pictures each.'
    ),
    answer=answer,
    labels=[encoder.label for encoder in placed.bank.encoders],
    groups=[None] * len(placed.bank.encoders),
    evaluation=placed.evaluation,
    images=placed.images,
    maps=placed.maps,
    settings=settings,
    transfers=False,
    affinity_note=(
      'The mean, over test pictures of the first seed, of the cosine between '
      'two networks’ maps of the mean over the units of their last feature '
      'maps.'
    ),
  )
  report.write(output / 'report.html', shown)
  files.write_atomically(output / 'answer.md', answer.to_markdown().encode())
  return said
