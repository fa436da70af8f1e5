"""The flags that several commands have, each defined once.

A function adds one flag to those of a command, and returns it; a class adds
those that are read together. What a flag means for one command alone, its
`more`, is said behind what it means for all.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import contextlib
import os
import pathlib
import re
from typing import Any, TypeVar

from toolkit_basics.cli import Flag, Flags
from attribution import methods as methods_lib
from attribution import probes as probes_lib
from experiments import bad_models, pipeline, run_record
from experiments.network_errors import NetworkError
from frozen_graphs import narrowing
from probe_data import probe_sets
from taskonomy_models import bank as banks
from toolkit_basics import progress

_SETS = (
  f'one of {", ".join(probe_sets.names())}, or a folder of images, a list of '
  'files (.txt) or an array (.npy)'
)
T = TypeVar('T')
# They decide where, when and how fast, not what comes out; which networks were
# left out is recorded with the digests of the others.
_NEVER_RECORDED = ('output', 'resume', 'overwrite', 'on_bad_model')


def bank(flags: Flags, default: str | None = 'mini', more: str = '') -> Flag:
  named = ' or '.join(banks.NAMED)
  help = f'The networks: {named}, or a folder that has a bank.json.{more}'
  return flags.path('bank', help, default)


def shown_names(banks_flag: Flag) -> list[str]:
  """Returns what results call each bank of a flag: the end of its path.

  Raises:
    ValueError: If two are called alike.
  """
  names = [os.path.basename(os.path.normpath(p)) for p in banks_flag.value]
  if len(set(names)) < len(names):
    raise ValueError(
      f'--{banks_flag.name} must name banks of different names, not {names}: '
      'results are called after them.'
    )
  return names


def on_bad_model(flags: Flags) -> Flag[str]:
  help = (
    'What to do if a network cannot be used: error stops the command and names '
    f'it; {bad_models.SKIP} leaves it out, says so at the end, and makes the '
    f'exit code {bad_models.EXIT_CODE}.'
  )
  choices, default = bad_models.ON_BAD_MODEL, bad_models.ERROR
  return flags.enum('on_bad_model', help, choices, default)


class UsableBanks:
  """Banks of which networks that fail may be left out, as a flag says."""

  def __init__(self, flags: Flags):
    self._on_bad_model = on_bad_model(flags)
    self._left_out: dict[str, dict[str, str]] = {}
    self._failed: dict[str, str] = {}  # After they were tried.

  def carry_out(
    self, work: Callable[[], T], record: 'Record | None' = None
  ) -> T:
    """Does a command's work; again without each network that fails on the way.

    Args:
      work: Opens the banks, and goes on with what was found before.
      record: Of the run, if the command has one.

    Returns:
      What `work` does.
    """
    self._failed = {}
    while True:
      try:
        with contextlib.ExitStack() as stack:
          if record is not None and self._failed:
            stack.enter_context(record.going_on())
          return work()
      except NetworkError as error:
        skips = self._on_bad_model.value == bad_models.SKIP
        if not skips or error.network in {'', *self._failed}:
          raise
        self._failed[error.network] = str(error)

  def open(
    self,
    name: str,
    names: Collection[str] | None = None,
    methods: Sequence[str] = ('gradient',),
    batch_size: int = 1,
    least: int = 2,
  ) -> banks.Bank:
    """Loads a bank; those that may be left out are tried on noise first.

    Args:
      name: Of the bank, or its folder.
      names: Only these networks, if not None; others are not looked at.
      methods: What must be possible with them.
      batch_size: With how many images.
      least: How many must be there, and be left.

    Raises:
      ValueError: If there are fewer.
    """
    log = bad_models.Log(self._on_bad_model.value)
    loaded = bad_models.load(name, log, names, least)
    if len(loaded.names) < least:
      raise ValueError(
        f'The bank {loaded.name!r} has {len(loaded.names)} networks; {least} '
        'or more are needed.'
      )
    if log.skips:
      failed = self._failed.keys() & {*loaded.names}
      log.add({network: self._failed[network] for network in failed})
      loaded = log.without(loaded, least)
      loaded = bad_models.tried(loaded, log, methods, batch_size, least)
    self._left_out[name] = log.reasons
    return loaded

  @property
  def left_out(self) -> dict[str, str]:
    """Which were left out of the banks that were opened, and why."""
    several = len(self._left_out) > 1
    return {
      f'{network} of {bank}' if several else network: reason
      for bank, reasons in self._left_out.items()
      for network, reason in reasons.items()
    }

  def report(self, record: run_record.RunRecord | None = None) -> int:
    """Prints which were left out, and returns the exit code.

    Args:
      record: Of the run, which may have been finished before.
    """
    noted = record.noted('left_out') if record is not None else None
    reasons = {**(noted or {}), **self.left_out}
    self._left_out = {}  # The next run has its own.
    return bad_models.report(reasons)


class UsableBank(UsableBanks):
  """The flags of one bank of which networks that fail may be left out."""

  def __init__(self, flags: Flags, more: str = ''):
    self._bank = bank(flags, more=more)
    super().__init__(flags)

  @property
  def value(self) -> str:
    return self._bank.value

  def load(
    self, names: Collection[str] | None = None, **options: Any
  ) -> banks.Bank:
    """Loads the bank; see `open`."""
    return self.open(self.value, names, **options)


def space(flags: Flags) -> Flag[str]:
  """The folder of a run that the command changes, and has for itself."""
  added = flags.path(
    'space', 'Folder of a finished run, or of one space in its model_space/.'
  )
  flags.require(added)
  flags.claim(lambda: run_record.folder_of(added.value))
  return added


def networks(flags: Flags, default: Sequence[str] | None, more: str) -> Flag:
  help = f'Only these networks of the bank; {more}.'
  return flags.list('networks', help, default)


def probe(flags: Flags, default: str | None, more: str = '') -> Flag:
  return flags.path('probe', f'The images: {_SETS}{more}.', default)


def probes(flags: Flags, default: Sequence[str]) -> Flag[list[str]]:
  help = f'The images: {_SETS}; or several of these, with commas.'
  return flags.paths('probe', help, default)


def probe_dir(flags: Flags) -> Flag[str]:
  return flags.path(
    'probe_dir', 'Folder with the photographs of taskonomy, indoor, coco.'
  )


def num_images(
  flags: Flags, default: int | None, least: int = 1, more: str = ''
) -> Flag:
  help = f'Number of images; if there are fewer, all are used{more}.'
  return flags.integer('num_images', help, default, lower_bound=least)


def image_size(flags: Flags) -> Flag[int]:
  help = (
    'Height and width of the images in pixels, as 224. 0 takes what suits the '
    'networks of the bank.'
  )
  return flags.integer('image_size', help, 0, lower_bound=0)


def methods(flags: Flags, more: str = '', may_be_empty: bool = False) -> Flag:
  default = ('saliency', 'gradient_times_input', 'elrp')
  help = f'Attribution methods: how maps are made{more}.'
  known = methods_lib.names()
  return flags.some_of('methods', help, known, default, may_be_empty)


def epsilon(flags: Flags) -> Flag[float]:
  help = (
    'Stabilizer of epsilon-LRP: it is added to divisors, with their sign, to '
    'keep them away from zero.'
  )
  return flags.float('epsilon', help, 1e-4, lower_bound=0.0)


def batch_size(flags: Flags, default: int | None = 50) -> Flag[int]:
  more = '' if default else ' By default as many as for the other networks.'
  help = (
    f'Number of images that a network computes at once, as 50. Fewer take '
    f'less memory and more time.{more}'
  )
  return flags.integer('batch_size', help, default, lower_bound=1)


def device(flags: Flags, more: str = '') -> Flag[str]:
  help = (
    'Processor that networks run on, as /GPU:0 or /CPU:0. By default '
    'TensorFlow chooses.'
  )
  return flags.string('device', help + more)


def precision(flags: Flags) -> Flag[str]:
  help = (
    'Precision in which networks multiply: bfloat16 takes half of the time on '
    'processors that have it, float16 on GPUs. What it changes is recorded '
    'where affinities are computed.'
  )
  choices, default = narrowing.PRECISIONS, narrowing.SINGLE
  return flags.enum('precision', help, choices, default)


def seed(flags: Flags, default: int | None = 0) -> Flag[int]:
  help = (
    'Seed of what is random, such as the choice of images: the same seed gives '
    'the same results.'
  )
  return flags.integer('seed', help, default, lower_bound=0)


def on_bad_map(flags: Flags) -> Flag[str]:
  help = (
    'What to do if an attribution map is zero everywhere or not finite: error '
    'stops the command, drop_image leaves the image out for all networks.'
  )
  return flags.enum('on_bad_map', help, pipeline.ON_BAD_MAP, 'error')


def output(flags: Flags, default: str | None, what: str) -> Flag[str]:
  """A folder, which is the command's alone while it runs."""
  added = flags.path('output', f'Where results are written: {what}.', default)
  flags.claim(lambda: added.value)
  return added


def data_dir(flags: Flags) -> Flag[str]:
  help = 'Folder in which rendered scenes are kept, to be rendered only once.'
  return flags.path('data_dir', help, 'work/data')


def workers(flags: Flags) -> Flag[int]:
  help = 'Number of processes that work at the same time.'
  return flags.integer('workers', help, 2, lower_bound=1)


def projecting_workers(flags: Flags) -> Flag[int]:
  help = (
    'Number of processes that work at the same time, each on one network. 0 '
    'takes as many as there are cores, if there is memory for them.'
  )
  return flags.integer('workers', help, 0, lower_bound=0)


class Executor:
  """The flags of where networks are computed."""

  # They decide where and how fast, not what comes out.
  NOT_RECORDED = (
    'executor',
    'num_gpus_per_task',
    'workers',
    'memory_budget_mb',
  )

  def __init__(self, flags: Flags, has_workers: bool = True):
    """Adds the flags.

    Args:
      flags: Of the command.
      has_workers: Whether several processes may work on this machine.
    """
    self._workers = projecting_workers(flags) if has_workers else None
    self._executor = flags.enum(
      'executor',
      'Where networks are computed: local is this machine, ray a Ray cluster '
      '(that of RAY_ADDRESS, or of this machine), whose nodes must see the '
      'files of the bank and of --output under the same paths.',
      pipeline.EXECUTORS,
      'local',
    )
    self._num_gpus = flags.float(
      'num_gpus_per_task',
      'GPUs that a unit of work takes on a Ray cluster, as 1 or 0.5; with 0 it '
      'takes one core.',
      0.0,
      lower_bound=0.0,
    )
    self._memory = flags.integer(
      'memory_budget_mb',
      'MB that all processes together may take, as 4000: fewer images are '
      'computed at once then, by fewer processes. By default half of the free '
      'memory, and --batch_size images. On a GPU the size of batches is found '
      'by doubling, up to --batch_size, until its memory is short.',
      None,
      lower_bound=1,
    )

  def options(self) -> dict[str, Any]:
    """Returns those of `pipeline.Projection`, or of `executing.Where`."""
    workers = {} if self._workers is None else {'workers': self._workers.value}
    return {
      **workers,
      'executor': self._executor.value,
      'num_gpus_per_task': self._num_gpus.value,
      'memory_mb': self._memory.value,
    }


def num_draws(flags: Flags, what: str) -> Flag[int]:
  help = f'How often the bootstrap draws {what} anew, for the intervals.'
  return flags.integer('num_draws', help, 1000, lower_bound=10)


class Computing:
  """The flags of a study of scenes: how networks run, where scenes are kept."""

  # They decide how fast scenes are rendered, not what is on them.
  NOT_RECORDED = ('workers', 'data_dir')

  def __init__(self, flags: Flags):
    self._batch_size, self._device = batch_size(flags), device(flags)
    self._precision = precision(flags)
    self._data_dir, self._workers = data_dir(flags), workers(flags)

  def options(self) -> dict[str, Any]:
    """Returns how networks run: `batch_size`, `device` and `precision`."""
    return {
      'batch_size': self.batch_size,
      'device': self._device.value,
      'precision': self._precision.value,
    }

  @property
  def batch_size(self) -> int:
    """Images computed at once."""
    return self._batch_size.value

  @property
  def data_dir(self) -> str:
    """Where rendered scenes are kept."""
    return self._data_dir.value

  @property
  def workers(self) -> int:
    """Processes that render."""
    return self._workers.value


class Probe:
  """The flags of one probe set, but the size of its images."""

  def __init__(self, flags: Flags, default: str, number: int):
    self._probe = probe(flags, default)
    self._probe_dir = probe_dir(flags)
    self._num_images = num_images(flags, number)
    self.seed = seed(flags)
    self._on_bad_image = flags.enum(
      'on_bad_image',
      'What to do if a file holds no readable image: skip takes another one, '
      'error stops the command.',
      probe_sets.ON_BAD_IMAGE,
      'skip',
    )

  @property
  def name(self) -> str:
    """The set's name, or that of its file, as a part of a file's name."""
    return re.sub(r'[^\w.-]', '_', pathlib.Path(self._probe.value).stem)

  def load(self, image_size: tuple[int, int]) -> probe_sets.ProbeSet:
    return probe_sets.load(
      self._probe.value,
      probe_dir=self._probe_dir.value,
      num_images=self._num_images.value,
      image_size=image_size,
      seed=self.seed.value,
      on_bad_image=self._on_bad_image.value,
      progress=progress.track,
    )


class Directions:
  """The flags of the random directions along which networks are probed."""

  def __init__(self, flags: Flags):
    default = probes_lib.Probes()
    self._count = flags.integer(
      'num_directions',
      'Random directions of each representation whose maps are made, for '
      'the measures of spans of attributions.',
      default.count,
      lower_bound=2,
    )
    self._num_images = flags.integer(
      'num_probed_images',
      'Images of which such maps are made, at most.',
      default.num_images,
      lower_bound=1,
    )

  def value(self) -> probes_lib.Probes:
    return probes_lib.Probes(
      count=self._count.value, num_images=self._num_images.value
    )


class SpaceProbe:
  """The flags of the images that spaces were made with."""

  def __init__(self, flags: Flags):
    more = "; by default those of the spaces' run"
    self._flags = (
      probe(flags, None, more),
      probe_dir(flags),
      num_images(flags, None, more=more),
      seed(flags, None),
    )

  def given(self) -> dict[str, Any]:
    """Returns those that were given, by name."""
    values = {flag.name: flag.value for flag in self._flags}
    return {n: value for n, value in values.items() if value is not None}


class Record:
  """The flags that say where a run is recorded, and what becomes of it."""

  def __init__(self, flags: Flags, default: str, probe: Probe | None = None):
    """Adds the flags.

    Args:
      flags: Of the command.
      default: The folder, if none is given.
      probe: Its name stands for PROBE in the default.
    """
    self._flags, self._default, self._probe = flags, default, probe
    self._output = flags.path(
      'output', f'Where results are written: a folder; by default {default}.'
    )
    flags.claim(lambda: self.folder)
    self._resume = flags.bool('resume', 'Go on with a run that was stopped.')
    self._overwrite = flags.bool(
      'overwrite', 'Delete the run that the folder holds, and begin anew.'
    )
    self._goes_on = False

  @contextlib.contextmanager
  def going_on(self) -> Iterator[None]:
    """In the block, the run that this command has begun goes on, if asked."""
    self._goes_on = True
    try:
      yield
    finally:
      self._goes_on = False

  @property
  def folder(self) -> str:
    """Where results are written."""
    name = self._probe.name if self._probe else ''
    return self._output.value or self._default.replace('PROBE', name)

  def open(
    self, digests: Mapping, leave_out: Collection[str] = ()
  ) -> run_record.RunRecord:
    """Opens the record of a run.

    Args:
      digests: Of the files that the flags name.
      leave_out: Flags of the command that results do not depend on.

    Raises:
      ValueError: If what is to be deleted has what the command is to read.
    """
    if self._goes_on:
      begun = run_record.RunRecord.of(self.folder)
      if begun is not None:
        return begun
    if self._overwrite.value:
      self._check_outside()
    return run_record.RunRecord(
      self.folder,
      self._flags.values((*_NEVER_RECORDED, *leave_out)),
      digests,
      resume=self._resume.value,
      overwrite=self._overwrite.value,
    )

  def _check_outside(self) -> None:
    """Raises ValueError if files of other flags are in the folder."""
    folder = pathlib.Path(self.folder).resolve()
    for name, value in self._flags.values(('output',)).items():
      for path in value if isinstance(value, list) else [value]:
        if isinstance(path, str) and os.path.exists(path):
          real = pathlib.Path(path).resolve()
          if folder in (real, *real.parents):
            raise ValueError(
              f'`overwrite` would delete {real}, which `{name}` says to use; '
              'choose another `output`.'
            )
