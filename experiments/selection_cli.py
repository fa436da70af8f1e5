"""The flags and the work that the selection commands share."""

from collections.abc import Callable, Sequence
import json
import os
import pathlib
from typing import Any

from absl import app, flags

from experiments import pipeline, run_record
from experiments.selection import (
  features,
  label_free,
  report,
  scoring,
  study,
  targets,
)
from experiments.selection.features import Candidate
from experiments.selection.label_free import Matrices
from experiments.selection.study import Case
from experiments.selection.targets import Data
from taskonomy_models import bank as banks
from taskonomy_models import cli, progress, readouts
from taskonomy_models.bank import Bank

Plan = Callable[[Bank, Data], tuple[list[Candidate], list[Case]]]

_BANK = flags.DEFINE_string(
  'bank', 'mini', f'Networks: one of {list(banks.NAMED)}, or a folder.'
)
_TRAIN_DIR = flags.DEFINE_string(
  'train_dir',
  None,
  'Labelled images, a folder for each class; default: procedural scenes.',
)
_TEST_DIR = flags.DEFINE_string(
  'test_dir', None, 'The same for test images; default: 30 % of --train_dir.'
)
_TARGETS = flags.DEFINE_list(
  'targets',
  list(targets.SCENE_TARGETS),
  f'Targets on scenes, of {", ".join(targets.SCENE_TARGETS)}.',
)
_NUM_TRAIN = flags.DEFINE_integer(
  'num_train',
  600,
  'Images to score and to train on (with --train_dir: to read from it).',
  lower_bound=20,
)
_NUM_TEST = flags.DEFINE_integer(
  'num_test', 400, 'Scenes to test on.', lower_bound=10
)
_NUM_CLASSES = flags.DEFINE_integer(
  'num_classes', 10, 'Classes of quantised numbers.', lower_bound=2
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size', 0, 'Side of the images; 0: what suits the bank.', lower_bound=0
)
_GRID = flags.DEFINE_integer(
  'grid',
  4,
  'Features are averaged over a grid of so many cells a side; 1 is global '
  'average pooling.',
  lower_bound=1,
)
_MEASURES = flags.DEFINE_list(
  'measures', list(scoring.names()), 'Label-based measures.'
)
_SEEDS = flags.DEFINE_integer(
  'seeds', 2, 'How often each readout is trained.', lower_bound=1
)
_STEPS = flags.DEFINE_integer(
  'steps',
  readouts.ReadoutRecipe().steps,
  'Of training a readout.',
  lower_bound=5,
)
_NUM_DRAWS = flags.DEFINE_integer(
  'num_draws', 1000, 'Of the bootstrap over candidates.', lower_bound=10
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size', 50, 'Images computed at once.', lower_bound=1
)
_DEVICE = flags.DEFINE_string(
  'device', None, "For example '/GPU:0'; by default TensorFlow's choice."
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', 'work/data', 'Folder of the rendered scenes.'
)
_WORKERS = flags.DEFINE_integer(
  'workers', 2, 'Processes that render.', lower_bound=1
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Result folder; default: results/<command>.'
)
_RESUME = flags.DEFINE_bool('resume', False, 'Go on with a run.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace a run.')

# They decide where and how fast, not what comes out.
_NOT_RECORDED = ('output', 'resume', 'overwrite', 'workers', 'data_dir')


def run(name: str, plan: Plan, *, may_use_maps: bool = False) -> None:
  """Runs a selection command.

  Args:
    name: Of the command, and of its default folder.
    plan: Chooses candidates and cases from the bank and the data.
    may_use_maps: Whether candidates are the networks of the bank, so that
      label-free measures can be compared too; defines their flags.
  """
  if may_use_maps:
    _define_map_flags()

  def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
    output = pathlib.Path(_OUTPUT.value or os.path.join('results', name))
    _conduct(output, plan, may_use_maps)

  cli.run(main)


def _define_map_flags() -> None:
  flags.DEFINE_list(
    'methods',
    ['saliency', 'gradient_times_input', 'elrp'],
    'Attribution methods; with none, label-free measures are left out.',
  )
  flags.DEFINE_integer(
    'num_unlabelled',
    200,
    'Images of the label-free measures, the first to train on.',
    lower_bound=3,
  )


def _flag_values() -> dict[str, Any]:
  shared = [f.name for f in flags.FLAGS.get_key_flags_for_module(__name__)]
  return {
    name: flags.FLAGS[name].value
    for name in sorted(shared)
    if name not in _NOT_RECORDED
  }


def _settings() -> study.Settings:
  scoring.check(_MEASURES.value)
  return study.Settings(
    tuple(_MEASURES.value),
    tuple(range(_SEEDS.value)),
    readouts.ReadoutRecipe(steps=_STEPS.value),
    _NUM_DRAWS.value,
  )


def _load_data(bank: Bank) -> Data:
  side = _IMAGE_SIZE.value or pipeline.probe_size(bank)
  if _TRAIN_DIR.value is None:
    if _TEST_DIR.value is not None:
      raise ValueError('--test_dir has no meaning without --train_dir.')
    return targets.scenes(
      _DATA_DIR.value,
      _TARGETS.value,
      _NUM_TRAIN.value,
      _NUM_TEST.value,
      side,
      num_classes=_NUM_CLASSES.value,
      workers=_WORKERS.value,
      progress=progress.track,
    )
  return targets.class_folders(
    _TRAIN_DIR.value,
    _TEST_DIR.value,
    _NUM_TRAIN.value,
    side,
    progress=progress.track,
  )


def _matrices(
  bank: Bank, data: Data, cases: Sequence[Case], output: pathlib.Path
) -> Matrices | None:
  chosen = flags.FLAGS['methods'].value
  networks = {data.targets[case.target].network for case in cases} - {None}
  if not chosen or not networks:
    return None
  number = min(flags.FLAGS['num_unlabelled'].value, data.num_train)
  return label_free.compute(
    bank,
    data.images[:number],
    output,
    methods=chosen,
    batch_size=_BATCH_SIZE.value,
    device=_DEVICE.value,
    track=progress.track,
  )


def _conduct(output: pathlib.Path, plan: Plan, may_use_maps: bool) -> None:
  settings = _settings()
  bank = banks.load(_BANK.value)
  record = run_record.RunRecord(
    output,
    _flag_values(),
    bank.digests(),
    resume=_RESUME.value,
    overwrite=_OVERWRITE.value,
  )
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print(report.text(output))
    return
  with record.stage('images'):
    data = _load_data(bank)
  candidates, cases = plan(bank, data)
  if record.noted('data') not in (None, data.digest()):
    raise ValueError(
      f'{output} was made from other images; pass --overwrite, or another '
      '--output.'
    )
  record.start()
  record.note('data', data.digest())
  with record.stage('features'):
    extracted = features.extract_all(
      candidates,
      data.images,
      _GRID.value,
      output / 'features',
      progress.track,
      batch_size=_BATCH_SIZE.value,
      device=_DEVICE.value,
    )
  matrices = None
  if may_use_maps:
    with record.stage('label_free'):
      matrices = _matrices(bank, data, cases, output)
  with record.stage('cases'):
    outcomes = study.conduct(
      cases, data, extracted, settings, output, progress.track, matrices
    )
  with record.stage('report'):
    report.write(outcomes, extracted, output, _NUM_DRAWS.value, matrices)
  problems = {o.case.name: o.problems for o in outcomes if o.problems}
  record.note('problems', problems)
  record.finish()
  print(report.text(output))
  if problems:
    print(f'Left out: {json.dumps(problems)}')
  print(f'Results: {output}')
