"""The flags and the work that the selection commands share."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

from absl import app, flags

from experiments import pipeline, run_record
from experiments.selection import features, fine_tuning, report, study, targets
from experiments.selection.features import Candidate, Features
from experiments.selection.label_free import Near
from experiments.selection.study import Case
from experiments.selection.targets import Data
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.mini import readouts
from toolkit_basics import cli, progress
from transferability import scoring


@dataclasses.dataclass(frozen=True)
class Plan:
  """What competes for what.

  Attributes:
    candidates: Whose features are extracted.
    cases: Targets, and the candidates that compete for each.
    near: Returns the scores of the label-free family, or None; gets the
      features and the output folder.
  """

  candidates: Sequence[Candidate]
  cases: Sequence[Case]
  near: Callable[[Mapping[str, Features], pathlib.Path], Near | None] = (
    lambda features, output: None
  )


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
_FINE_TUNE_STEPS = flags.DEFINE_integer(
  'fine_tune_steps',
  0,
  'If more than 0, the truth is not a readout of frozen features, but '
  'fine-tuning of all kernels and biases in so many steps (slow).',
  lower_bound=0,
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


def run(
  name: str,
  plan: Callable[[Bank, Data], Plan],
  own: Sequence[flags.FlagHolder] = (),
  **defaults: Any,
) -> None:
  """Runs a selection command.

  Args:
    name: Of the command, and of its default folder.
    plan: Chooses candidates and cases from the bank and the data.
    own: Flags of the command itself.
    **defaults: Other defaults of the shared flags.
  """
  for flag, value in defaults.items():
    flags.FLAGS.set_default(flag, value)

  def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
    output = pathlib.Path(_OUTPUT.value or os.path.join('results', name))
    _conduct(output, plan, own)

  cli.run(main)


def networks(bank: Bank, names: Sequence[str]) -> tuple[str, ...]:
  """Returns the names in the order of the bank, each once.

  Raises:
    ValueError: If the bank has no network of a name.
  """
  if unknown := sorted(set(names) - set(bank.names)):
    raise ValueError(
      f'The bank {bank.name!r} has no network {unknown[0]!r}; choose from '
      f'{", ".join(bank.names)}.'
    )
  return tuple(name for name in bank.names if name in names)


def options() -> dict[str, Any]:
  """Returns how images are computed: `batch_size` and `device`."""
  return {'batch_size': _BATCH_SIZE.value, 'device': _DEVICE.value}


def _flag_values(own: Sequence[flags.FlagHolder]) -> dict[str, Any]:
  shared = flags.FLAGS.get_key_flags_for_module(__name__)
  names = [flag.name for flag in shared] + [flag.name for flag in own]
  return {
    name: flags.FLAGS[name].value
    for name in sorted(names)
    if name not in _NOT_RECORDED
  }


def _settings() -> study.Settings:
  scoring.check(_MEASURES.value)
  return study.Settings(
    tuple(_MEASURES.value),
    tuple(range(_SEEDS.value)),
    readouts.ReadoutRecipe(steps=_STEPS.value),
    fine_tuning.Recipe(steps=_FINE_TUNE_STEPS.value)
    if _FINE_TUNE_STEPS.value
    else None,
    _NUM_DRAWS.value,
  )


def _load_data(bank: Bank) -> Data:
  size = pipeline.probe_size(bank, _IMAGE_SIZE.value)
  if _TRAIN_DIR.value is None:
    if _TEST_DIR.value is not None:
      raise ValueError('--test_dir has no meaning without --train_dir.')
    return targets.scenes(
      _DATA_DIR.value,
      _TARGETS.value,
      _NUM_TRAIN.value,
      _NUM_TEST.value,
      size,
      num_classes=_NUM_CLASSES.value,
      workers=_WORKERS.value,
      progress=progress.track,
    )
  return targets.class_folders(
    _TRAIN_DIR.value,
    _TEST_DIR.value,
    _NUM_TRAIN.value,
    size,
    progress=progress.track,
  )


def _conduct(
  output: pathlib.Path,
  make_plan: Callable[[Bank, Data], Plan],
  own: Sequence[flags.FlagHolder],
) -> None:
  settings = _settings()
  bank = banks.load(_BANK.value)
  record = run_record.RunRecord(
    output,
    _flag_values(own),
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
  plan = make_plan(bank, data)
  if record.noted('data') not in (None, data.digest()):
    raise ValueError(
      f'{output} was made from other images; pass --overwrite, or another '
      '--output.'
    )
  record.start()
  record.note('data', data.digest())
  with record.stage('features'):
    extracted = features.extract_all(
      plan.candidates,
      data.images,
      _GRID.value,
      output / 'features',
      progress.track,
      **options(),
    )
  with record.stage('label_free'):
    near = plan.near(extracted, output)
  with record.stage('cases'):
    outcomes = study.conduct(
      plan.cases,
      data,
      extracted,
      settings,
      output,
      progress.track,
      near,
      {c.name: c.encoder for c in plan.candidates},
    )
  with record.stage('report'):
    report.write(outcomes, extracted, output, _NUM_DRAWS.value, near)
  problems = {o.case.name: o.problems for o in outcomes if o.problems}
  record.note('problems', problems)
  record.finish()
  print(report.text(output))
  if problems:
    print(f'Left out: {json.dumps(problems)}')
  print(f'Results: {output}')
