"""What the selection commands share: their flags, and their work."""

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import toolkit_basics.cli as cli
from experiments import pipeline, run_record, shared_flags
from experiments.selection import (
  between,
  features,
  fine_tuning,
  label_free,
  report,
  source_samples,
  static_lists,
  study,
  targets,
)
from experiments.selection.features import Candidate, Features
from experiments.selection.label_free import Near
from experiments.selection.study import Case
from experiments.selection.targets import LabelledImages
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.mini import readouts
from toolkit_basics import files, progress
from transferability import scoring
from transferability.history import History

_Pairs = Mapping[str, tuple[str, Sequence[str]]]
_MakeNear = Callable[[_Pairs, Mapping[str, Features], pathlib.Path], Near]
_MakeMore = Callable[[Mapping[str, Features], pathlib.Path], Sequence[Near]]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What competes for what.

  Attributes:
    candidates: Whose features are extracted.
    cases: Targets, and the candidates that compete for each.
    near: Returns the scores of the label-free family; gets, by case, the
      target's network and the candidates; the features; the output folder. It
      is called if a target's network is in the bank, or among `candidates`.
    more: Returns further families; gets the features and the output folder.
  """

  candidates: Sequence[Candidate]
  cases: Sequence[Case]
  near: _MakeNear | None = None
  more: _MakeMore | None = None


def near_by_features(number: int) -> _MakeNear:
  """Returns similarities of features of the first images, for a `Plan`."""

  def near(pairs, features, output):
    del output
    some = {name: found.values[:number] for name, found in features.items()}
    return label_free.of_features(pairs, some)

  return near


def _print_results(record: run_record.RunRecord, best_first: bool) -> None:
  print(report.text(record.output, best_first))
  print(report.diverged_text(record.noted('diverged') or {}), end='')
  if problems := record.noted('problems'):
    print(f'Left out: {json.dumps(problems)}')


def _start(record: run_record.RunRecord, data: LabelledImages) -> None:
  """Raises ValueError if the run was begun with other images."""
  if record.noted('data') not in (None, data.digest()):
    raise ValueError(
      f'{record.output} was made from other images; pass `overwrite`, or '
      'another `output`.'
    )
  record.start()
  record.note('data', data.digest())


def _beside(
  plan: 'Plan',
  bank: Bank,
  data: LabelledImages,
  extracted: Mapping[str, Features],
  output: pathlib.Path,
) -> list[Near]:
  """Returns the scores of what stands beside the label-based measures."""
  pairs = {
    case.name: (data.targets[case.target].network, case.candidates)
    for case in plan.cases
    if data.targets[case.target].network in {*bank.names, *extracted}
  }
  beside = []
  if plan.near is not None and pairs:
    beside.append(plan.near(pairs, extracted, output))
  if plan.more is not None:
    beside += plan.more(extracted, output)
  static = static_lists.imagenet({c.name: c.candidates for c in plan.cases})
  return beside if static is None else [*beside, static]


# Flags that say nothing of what was found.
_OF_RUNS = ('output', 'resume', 'overwrite')


class Selection:
  """The flags of a selection command, and what it does with them."""

  def __init__(
    self,
    flags: cli.Flags,
    name: str,
    *,
    grid: int = 4,
    scene_targets: Sequence[str] = targets.SCENE_TARGETS,
  ):
    """Adds the flags.

    Args:
      flags: Of the command.
      name: Of the command's default folder.
      grid: Default of --grid.
      scene_targets: Default of --targets.
    """
    self._flags = flags
    self._bank = shared_flags.UsableBank(flags)
    self._add_data(flags, scene_targets)
    self._grid = flags.integer(
      'grid',
      'Features are averaged over a grid of so many cells a side; 1 is global '
      'average pooling.',
      grid,
      lower_bound=1,
    )
    self._measures = flags.list(
      'measures', 'Which label-based measures compete.', scoring.names()
    )
    self._add_truth(flags)
    self._computing = shared_flags.Computing(flags)
    self._record = shared_flags.Record(flags, f'results/{name}')

  def _add_data(self, flags: cli.Flags, scene_targets: Sequence[str]) -> None:
    self._train_dir = flags.path(
      'train_dir',
      'Your labelled images, a folder for each class; by default scenes.',
    )
    self._test_dir = flags.path(
      'test_dir',
      'Labelled images to test on, a folder for each class. By default 30 % of '
      'those of --train_dir.',
    )
    known = ', '.join(targets.SCENE_TARGETS)
    self._targets = flags.list(
      'targets',
      f'What is to be predicted of scenes: some of {known}.',
      scene_targets,
    )
    self._num_train = flags.integer(
      'num_train',
      'Number of labelled images that measures see and readouts are trained '
      'on; with --train_dir, how many are read from it.',
      600,
      lower_bound=20,
    )
    self._num_test = flags.integer(
      'num_test',
      'Number of scenes that readouts are tested on.',
      400,
      lower_bound=10,
    )
    self._num_classes = flags.integer(
      'num_classes',
      'Where the target is a number, such as a depth: into how many classes of '
      'equal size it is cut.',
      10,
      lower_bound=2,
    )
    self._image_size = shared_flags.image_size(flags)

  def _add_truth(self, flags: cli.Flags) -> None:
    self._seeds = flags.integer(
      'seeds', 'Number of times that each readout is trained.', 2, lower_bound=1
    )
    steps = readouts.ReadoutRecipe().steps
    self._steps = flags.integer(
      'steps',
      'Number of steps that a readout is trained for.',
      steps,
      lower_bound=5,
    )
    self._fine_tune_steps = flags.integer(
      'fine_tune_steps',
      'If more than 0, the truth is not a readout of frozen features, but '
      'fine-tuning of all kernels and biases in so many steps (slow).',
      0,
      lower_bound=0,
    )
    self._history = flags.path(
      'history',
      'Earlier transfers, by which candidates are ranked too: a CSV file with '
      'the columns target, network, score. A selection writes one.',
    )
    self._num_draws = shared_flags.num_draws(flags, 'candidates')

  @property
  def grid(self) -> int:
    """Cells a side of the features."""
    return self._grid.value

  def source_samples(
    self, bank: Bank, number: int, image_size: tuple[int, int]
  ) -> source_samples.SourceSamples:
    """Returns what a bank's networks were trained on."""
    return source_samples.load(
      *(bank, self._computing.data_dir, number, image_size),
      workers=self._computing.workers,
      progress=progress.track,
    )

  def options(self) -> dict[str, Any]:
    """Returns how images are computed: `batch_size` and `device`."""
    return self._computing.options()

  def networks_of_targets(self) -> list[str]:
    """Returns the bank's networks that were trained for targets on scenes."""
    if self._train_dir.value is not None:
      return []
    there = banks.load(self._bank.value, needs_graphs=False).names
    return [n for n in targets.networks(self._targets.value) if n in there]

  def conduct(
    self,
    make_plan: Callable[[Bank, LabelledImages], Plan],
    best_first: bool = False,
    networks: Collection[str] | None = None,
    digests: Mapping[str, Any] | None = None,
  ) -> int:
    """Scores, really trains, and reports.

    Args:
      make_plan: Chooses candidates and cases from the bank and the data.
      best_first: Whether the candidates are printed above all else, the best
        by measured performance first.
      networks: Only these of the bank's, if not None.
      digests: Of what else the command reads, by name.

    Returns:
      The exit code.
    """
    return self._bank.carry_out(
      lambda: self._conducted(make_plan, best_first, networks, digests or {}),
      self._record,
    )

  def _conducted(
    self,
    make_plan: Callable[[Bank, LabelledImages], Plan],
    best_first: bool,
    networks: Collection[str] | None,
    digests: Mapping[str, Any],
  ) -> int:
    settings, known = self._settings(), self._earlier()
    least = min(2, len(networks or range(2)))
    size = self._computing.batch_size
    bank = self._bank.load(networks, batch_size=size, least=least)
    record = self._record.open(
      {**bank.digests(), **self._digests(), **digests},
      self._computing.NOT_RECORDED,
    )
    output = record.output
    if record.is_finished:
      _print_results(record, best_first)
      print(f'{output} is finished; nothing was computed again.')
      return self._bank.report(record)
    with record.stage('images'):
      data = self._load_data(bank)
    plan = make_plan(bank, data)
    _start(record, data)
    with record.stage('features'):
      folder, grid = output / 'features', self._grid.value
      extracted = features.extract_all(
        *(plan.candidates, data.images, grid, folder, progress.track),
        **self.options(),
      )
    with record.stage('label_free'):
      beside = _beside(plan, bank, data, extracted, output)
    with record.stage('cases'):
      encoders = {c.name: c.encoder for c in plan.candidates}
      outcomes = study.conduct(
        *(plan.cases, data, extracted, settings, output, progress.track),
        *(beside, encoders, known),
      )
    with record.stage('report'):
      report.write(outcomes, extracted, output, self._num_draws.value, beside)
      between.write(data, extracted, output)
      self._write_page(output, best_first)
    for what in ('problems', 'diverged'):
      lost = {o.case.name: dict(getattr(o, what)) for o in outcomes}
      record.note(what, {case: each for case, each in lost.items() if each})
    record.note('left_out', self._bank.left_out)
    record.finish()
    _print_results(record, best_first)
    print(f'Results: {output}')
    return self._bank.report(record)

  def _write_page(self, output: pathlib.Path, best_first: bool) -> None:
    if best_first:  # Only then is the run about which network to take.
      report.write_page(output, self._flags.values(_OF_RUNS))

  def _earlier(self) -> History | None:
    path = self._history.value
    return None if path is None else History.load(path)

  def _digests(self) -> dict[str, str]:
    path = self._history.value
    return {} if path is None else {'history': files.sha256(path)}

  def _settings(self) -> study.CaseSettings:
    scoring.check(self._measures.value)
    steps = self._fine_tune_steps.value
    return study.CaseSettings(
      tuple(self._measures.value),
      tuple(range(self._seeds.value)),
      readouts.ReadoutRecipe(steps=self._steps.value),
      fine_tuning.FineTuning(steps=steps) if steps else None,
    )

  def _load_data(self, bank: Bank) -> LabelledImages:
    size = pipeline.probe_size(bank, self._image_size.value)
    if self._train_dir.value is None:
      if self._test_dir.value is not None:
        raise ValueError('--test_dir has no meaning without --train_dir.')
      return targets.scenes(
        self._computing.data_dir,
        self._targets.value,
        self._num_train.value,
        self._num_test.value,
        size,
        num_classes=self._num_classes.value,
        workers=self._computing.workers,
        progress=progress.track,
      )
    if self._targets.present:
      raise ValueError(
        '--targets are of scenes; with --train_dir the target is its classes.'
      )
    return targets.class_folders(
      self._train_dir.value,
      self._test_dir.value,
      self._num_train.value,
      size,
      progress=progress.track,
    )


def num_unlabelled(flags: cli.Flags) -> cli.Flag[int]:
  return flags.integer(
    'num_unlabelled',
    'Number of images that label-free measures see: the first of those that '
    'readouts are trained on.',
    200,
    lower_bound=3,
  )
