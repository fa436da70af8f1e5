"""Compares mini banks trained by different recipes.

  python -m experiments.compare_recipes --bank=work/a,work/b

projects every bank over scenes of the split, and writes how well each method
agrees with an oracle: that of --oracle_dir, by default the first bank's,
measured on scenes of the same split. Recipes are chosen on `validation`; `test`
is for the numbers that are reported. The rows with `no_hubs` are a remedy that
is not in the paper: each source's mean affinity is subtracted from its column.
"""

import os

import numpy as np

import toolkit_basics.cli as cli
from experiments import evaluation, pipeline, shared_flags
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.mini import building
from toolkit_basics import files, progress
from transferability import affinity as affinity_lib
from transferability import oracle as oracle_lib
from transferability import resampling

FLAGS = cli.Flags()
_BANKS = FLAGS.paths('bank', 'Folders of mini banks, with commas.')
_ORACLE_DIR = FLAGS.path(
  'oracle_dir',
  'Folder of the bank whose oracle is the truth; by default the first one.',
)
_DATA_DIR = shared_flags.data_dir(FLAGS)
_SPLIT = FLAGS.enum(
  'split',
  'Scenes that are projected, and on which the oracle was measured.',
  ['validation', 'test'],
  'validation',
)
_NUM_IMAGES = shared_flags.num_images(FLAGS, 300)
_OUTPUT = shared_flags.output(FLAGS, 'work/recipes', 'a folder')
FLAGS.require(_BANKS)

_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_ORACLES = {'validation': 'oracle_validation.csv', 'test': 'oracle.csv'}


def _oracle() -> oracle_lib.Oracle:
  """Returns the truth."""
  folder = _ORACLE_DIR.value or _BANKS.value[0]
  path = os.path.join(folder, _ORACLES[_SPLIT.value])
  if not os.path.exists(path):
    raise ValueError(f'There is no {path}; choose another `oracle_dir`.')
  return oracle_lib.Oracle.load(path).restrict(
    banks.load(_BANKS.value[0]).names
  )


def _mean_ratio(folder: str) -> float:
  header, *rows = files.read_csv(os.path.join(folder, 'training.csv'))
  column = header.index('ratio')
  return float(np.mean([float(row[column]) for row in rows]))


def _rows(
  name: str, folder: str, oracle: oracle_lib.Oracle, probe, output: str
):
  """Yields a row for each method, with and without its hubs."""
  bank = banks.load(folder)
  projection = pipeline.Projection(pipeline.method_objects(_METHODS))
  shown = f'{name}-{_SPLIT.value}-{len(probe.images)}'
  spaces = pipeline.project(
    bank, probe, projection, os.path.join(output, shown)
  )
  recipe = building.recipe_of(folder)
  for method, space in spaces.items():
    matrix = space.affinity(bank.names)
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    both = np.stack([matrix, affinity_lib.without_hubs(matrix)])
    scores = resampling.score(both, bank.names, oracle)
    for number, suffix in enumerate(('', ' no_hubs')):
      precision = scores.precision[number]
      yield (
        name,
        recipe['noise'],
        recipe['common_start'],
        recipe['steps'],
        _mean_ratio(folder),
        method + suffix,
        *(evaluation.at(precision, k) for k in (1, 3, 5)),
        float(scores.spearman[number]),
        float(others.mean()),
      )


def main() -> None:
  names, oracle = shared_flags.shown_names(_BANKS), _oracle()
  sizes = building.data_sizes(_BANKS.value[0])
  scenes = building.Scenes(_DATA_DIR.value, sizes)
  scenes.split(_SPLIT.value)  # They are rendered if they are not there.
  probe = probe_sets.load(
    scenes.path(_SPLIT.value, 'image'),
    num_images=_NUM_IMAGES.value,
    image_size=(building.IMAGE_SIZE,) * 2,
  )
  header = 'bank noise common_start steps loss_ratio method P@1 P@3 P@5'
  table = [(*header.split(), 'spearman', 'mean_affinity')]
  named = list(zip(names, _BANKS.value, strict=True))
  for name, folder in progress.track(named, description='Comparing'):
    table += _rows(name, folder, oracle, probe, _OUTPUT.value)
  path = os.path.join(_OUTPUT.value, f'recipes_{_SPLIT.value}.csv')
  files.write_csv(path, table)
  print(evaluation.format_table(table))
  for name, score in evaluation.baseline_scores(
    oracle, banks.load(_BANKS.value[0]).groups
  ).items():
    values = [evaluation.at(score.curve.precision, k) for k in (1, 3, 5)]
    print(name, np.round([*values, score.spearman], 3))
  print(f'Results: {path}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
