"""Compresses networks so that their attribution maps stay, and measures it.

  python -m experiments.run_compression
  python -m experiments.run_compression --setting=distillation --seeds=5
  python -m experiments.run_compression --voc_dir=VOCdevkit/VOC2012
  python -m experiments.run_compression --reviewers

Trains teachers, compresses them plainly and with their maps held to the
teacher's in several ways, and compares: predictions, where maps lie, how near
they are to the teacher's by six methods, and whether the pixels that they name
move the logits. Pictures of shapes with masks are drawn; --voc_dir takes
PASCAL VOC's. --reviewers adds what the paper's reviewers asked. Writes
report.html, summary.csv, differences.csv, methods.csv, perturbation.csv and
figures; --resume goes on with a run that was stopped.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

import toolkit_basics.cli as cli
from attribution_preservation import compression, matching, pruning
from experiments import evaluation, shared_flags
from experiments.compression import (
  answering,
  loading,
  pictures,
  placing,
  reviewing,
  running,
  tables,
  transferring,
)
from experiments.compression.plan import (
  RECIPES,
  SETTINGS,
  CompressionStudy,
  Source,
  Student,
)
from experiments.compression.running import Seeded
from taskonomy_models.mini import building
from toolkit_basics import files, progress

_DEFAULT = Source()
_VOC_SIDE = 64
_TRACKED_SEEDS = 2  # Those whose students are looked at as they learn.

FLAGS = cli.Flags()
_SETTING = FLAGS.enum(
  'setting',
  'How networks are made smaller: a narrower one that learns from the teacher, '
  'or without whole filters, or without single weights.',
  SETTINGS,
  'structured',
)
_METHOD = FLAGS.some_of(
  'method',
  "How maps are held to the teacher's; naive does not.",
  matching.names(),
  ('naive', 'ewa', 'swa', 'sswa', 'subspace'),
)
_SEEDS = FLAGS.integer(
  'seeds',
  'How many times all is done, with other pictures and weights.',
  3,
  lower_bound=1,
)
_RATIO = FLAGS.float(
  'ratio', "Which share goes; by default the setting's own, such as 0.7."
)
_VOC_DIR = FLAGS.path(
  'voc_dir', 'Folder in the layout of PASCAL VOC, such as VOCdevkit/VOC2012.'
)
_IMAGE_SIZE = FLAGS.integer(
  'image_size',
  'Side of the pictures of --voc_dir: 32, 64, 128 or 256; 0 is 64.',
  0,
  lower_bound=0,
)
_NUM_TRAIN = FLAGS.integer(
  'num_train', 'Pictures to learn from.', _DEFAULT.train, lower_bound=8
)
_NUM_TEST = FLAGS.integer(
  'num_test',
  'Pictures to report on; two thirds as many are for choosing settings.',
  _DEFAULT.test,
  lower_bound=5,  # Scores on those for choosing need three.
)
_TEACHER_EPOCHS = FLAGS.integer(
  'teacher_epochs', 'How long teachers learn.', 18, lower_bound=1
)
_EPOCHS = FLAGS.integer(
  'epochs',
  'How often a student sees each picture, in each round; 0 is as the setting '
  'has it.',
  0,
  lower_bound=0,
)
_NUM_EXPLAINED = FLAGS.integer(
  'num_explained',
  'Samples that are explained by all methods, and perturbed.',
  40,
  lower_bound=1,
)
_REVIEWERS = FLAGS.bool(
  'reviewers', "Also do what the paper's reviewers asked for; needs an hour."
)
_SOURCES = FLAGS.list(
  'transfer_from',
  'Encoders of the mini bank that are compressed too, to see whether they keep '
  'their rank as sources to transfer from.',
  (),
  may_be_empty=True,
)
_DATA_DIR = shared_flags.data_dir(FLAGS)
_WORKERS = shared_flags.workers(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/compression')


def _study() -> CompressionStudy:
  if _IMAGE_SIZE.value and not _VOC_DIR.value:
    raise ValueError('--image_size is of the pictures of --voc_dir.')
  recipe = RECIPES[_SETTING.value]
  if _RATIO.value is not None:
    pruning.check_rate(_RATIO.value)
    recipe = dataclasses.replace(recipe, ratio=_RATIO.value)
  if _EPOCHS.value:
    schedule = dataclasses.replace(recipe.schedule, epochs=_EPOCHS.value)
    looks = sorted({0, 1, _EPOCHS.value // 2, _EPOCHS.value})
    if recipe.rounds > 1:
      looks = list(recipe.tracked)
    recipe = dataclasses.replace(
      recipe, schedule=schedule, tracked=tuple(looks)
    )
  source = Source(
    voc_dir=_VOC_DIR.value,
    side=(_IMAGE_SIZE.value or _VOC_SIDE) if _VOC_DIR.value else _DEFAULT.side,
    train=_NUM_TRAIN.value,
    selection=_NUM_TEST.value * 2 // 3,
    test=_NUM_TEST.value,
  )
  study = CompressionStudy(
    source, _SETTING.value, recipe, num_explained=_NUM_EXPLAINED.value
  )
  teacher = dataclasses.replace(study.teacher, epochs=_TEACHER_EPOCHS.value)
  return dataclasses.replace(study, teacher=teacher)


def _run(
  study: CompressionStudy,
  students: Sequence[Student],
  seeds: int,
  output: pathlib.Path,
) -> list[Seeded]:
  """Trains and measures all networks, seeds side by side."""
  building.parallel(
    running.run_seed,
    [
      (study, seed, students, students * (seed < _TRACKED_SEEDS), str(output))
      for seed in range(seeds)
    ],
    _WORKERS.value,
    'Compressing',
    progress.track,
  )
  return [Seeded(study, seed, output) for seed in range(seeds)]


def _write(
  output: pathlib.Path, seeds: Sequence[Seeded], students: Sequence[Student]
) -> None:
  """Writes tables, figures and the page."""
  found = tables.Found.of(seeds, students)
  placed = placing.place(seeds[0], students, output)
  placing.write(placed, output)  # First: other runs have a summary.csv by it.
  files.write_csv(output / 'summary.csv', tables.main_rows(found))
  files.write_csv(output / 'seeds.csv', tables.seed_rows(found))
  files.write_csv(output / 'differences.csv', tables.difference_rows(found))
  files.write_csv(output / 'methods.csv', tables.method_rows(found))
  files.write_csv(output / 'perturbation.csv', tables.perturbation_rows(found))
  selected = tables.selection_rows(seeds, students)
  files.write_csv(output / 'selection.csv', selected)
  folder = output / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  tracks = tables.track_rows(seeds[:_TRACKED_SEEDS], students)
  files.write_csv(output / 'tracks.csv', tracks)
  unit = 'round' if seeds[0].study.recipe.rounds > 1 else 'epoch'
  pictures.draw_tracks(folder, tracks, unit)
  pictures.draw_maps(folder, seeds[0], students)
  pictures.draw_scatter(folder, found)
  settings = FLAGS.values(('output', 'resume', 'overwrite'))
  said = answering.write(output, found, placed, settings)
  print(evaluation.format_table(tables.main_rows(found)))
  print(evaluation.format_table(placing.rows(placed)))
  print('\n'.join(said))


def _transfer(output: pathlib.Path) -> None:
  """Compresses encoders of the mini bank, and really transfers from them."""
  scenes = building.Scenes(_DATA_DIR.value)
  scenes.build(_WORKERS.value, progress.track)
  known = compression.methods()
  methods = [name for name in _METHOD.value if name in known]
  rows: list[list[object]] = []
  for source in _SOURCES.value:
    plan = transferring.Passing(source, methods)
    found = transferring.losses(
      plan, scenes, output / 'transfer', progress.track
    )
    header, *own = transferring.rank_rows(plan, found)
    rows += own if rows else [header, *own]
  files.write_csv(output / 'transfer.csv', rows)
  summary = transferring.summary_rows(rows)
  files.write_csv(output / 'transfer_summary.csv', summary)
  print(evaluation.format_table(summary))


def main() -> None:
  study = _study()
  if study.source.voc_dir:
    study.source.load(0)  # What is wrong with it is said now.
  building.one_thread()  # Before a network is loaded.
  for name in _SOURCES.value:
    loading.of_mini_bank(name)
  record = _RECORD.open({}, ('workers', 'data_dir'))
  output = record.output
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print(evaluation.table_text(output / 'summary.csv'))
    return
  record.start()
  students = tuple(Student(name) for name in dict.fromkeys(_METHOD.value))
  with record.stage('networks'):
    seeds = _run(study, students, _SEEDS.value, output)
  if _REVIEWERS.value:
    with record.stage('reviewers'):
      students = reviewing.conduct(
        *(study, students, _SEEDS.value, output),
        lambda more, number: _run(study, more, number, output),
      )
  if _SOURCES.value:
    with record.stage('transfer'):
      _transfer(output)
  with record.stage('results'):
    _write(output, seeds, students)
  record.finish()
  print(f'Results: {output}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
