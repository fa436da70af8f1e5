"""The page of an answer: `report.html`, by the machinery of all reports."""

from collections.abc import Mapping
import dataclasses
import os
import pathlib

from experiments import report
from experiments.evaluation import Evaluation
from experiments.recommending.answer import TREE, Recommendation
from experiments.report_answer import Answer
from toolkit_basics import files
from transferability import clustering, ranking


def write(
  answer: Recommendation, folder: str | os.PathLike, settings: Mapping
) -> Recommendation:
  """Writes `recommendation.json`, `.csv`, and a page if networks were seen.

  Args:
    answer: What was found.
    folder: Gets the files.
    settings: Shown on the page.

  Returns:
    The answer, with the path of its page.
  """
  folder = pathlib.Path(os.path.expanduser(folder))
  if len(answer.features) > 1:
    path = folder / 'report.html'
    report.write(path, _shown(answer, settings))
    answer = dataclasses.replace(answer, report=str(path))
  files.write_json(folder / 'recommendation.json', answer.to_dict())
  files.write_csv(folder / 'recommendation.csv', answer.rows())
  return answer


def _shown(answer: Recommendation, settings: Mapping) -> report.Shown:
  names, matrix = answer.similarities
  evaluation = Evaluation(
    names,
    {TREE: matrix},
    {TREE: ranking.rank_sources(matrix, names, names)},
    {TREE: clustering.task_similarity_tree(matrix, names)},
    {},
  )
  return report.Shown(
    title=f'Transfer from {answer.best}' if answer.best else 'Cannot tell',
    lead=f'{answer.question[0].upper()}{answer.question[1:]}.',
    answer=Answer(answer.sentences(), answer.rows(), answer.legend()),
    labels=names,  # As in the answer, and as they are given to commands.
    groups=[answer.groups.get(name) for name in names],
    evaluation=evaluation,
    settings=settings,
    transfers=False,
    tree_axis=f'1 - {TREE.upper()}',
    affinity_note=(
      f'{TREE.upper()} of two networks’ representations of the images: 1 if '
      'they see them alike, 0 if not.'
    ),
  )
