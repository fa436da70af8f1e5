"""The flags that several commands have, each defined once.

A function adds one flag to those of a command, and returns it; a class adds
those that are read together.
"""

from collections.abc import Collection, Mapping, Sequence
import os
import pathlib
import re
from typing import Any

import toolkit_basics.cli as cli
from attribution import methods as methods_lib
from experiments import pipeline, run_record
from probe_data import probe_sets
from taskonomy_models import bank as banks
from toolkit_basics import progress

_SETS = (
  f'one of {", ".join(probe_sets.names())}, or a folder of images, a list of '
  'files (.txt) or an array (.npy)'
)
# They decide where, when and how fast, not what comes out.
_NEVER_RECORDED = ('output', 'resume', 'overwrite')


def bank(
  flags: cli.Flags, default: str | None = 'mini', means: str = ''
) -> cli.Flag[str]:
  return flags.path(
    'bank',
    default,
    f'The networks: a bank of the name {" or ".join(banks.NAMED)}, or the '
    f'folder of any other.{means}',
  )


def space(flags: cli.Flags) -> cli.Flag[str]:
  added = flags.path(
    'space',
    None,
    'Where the networks are: the folder of a run, of its model_space/, or of '
    'one space of it.',
  )
  flags.require(added)
  return added


def networks(
  flags: cli.Flags, default: Sequence[str] | None, means: str
) -> cli.Flag[list[str]]:
  return flags.list(
    'networks', default, f'Only these networks of the bank; {means}.'
  )


def probe(
  flags: cli.Flags, default: str | None, means: str = ''
) -> cli.Flag[str]:
  return flags.path('probe', default, f'The images: {_SETS}{means}.')


def probes(flags: cli.Flags, default: Sequence[str]) -> cli.Flag[list[str]]:
  return flags.paths(
    'probe',
    default,
    f'The images: {_SETS}; or several of these, with commas between them.',
  )


def probe_dir(flags: cli.Flags) -> cli.Flag[str]:
  return flags.path(
    'probe_dir', None, 'Folder with the photographs of taskonomy, indoor, coco.'
  )


def num_images(
  flags: cli.Flags, default: int | None, lower_bound: int = 1, means: str = ''
) -> cli.Flag[int]:
  return flags.integer(
    'num_images',
    default,
    f'How many images are used; all, if there are fewer{means}.',
    lower_bound=lower_bound,
  )


def image_size(flags: cli.Flags) -> cli.Flag[int]:
  return flags.integer(
    'image_size',
    0,
    'Height and width to which the images are brought; 0 is what suits the '
    "bank's networks.",
    lower_bound=0,
  )


def methods(
  flags: cli.Flags, means: str = '', may_be_empty: bool = False
) -> cli.Flag[list[str]]:
  return flags.some_of(
    'methods',
    methods_lib.names(),
    ('saliency', 'gradient_times_input', 'elrp'),
    f'How attribution maps are made{means}.',
    may_be_empty,
  )


def epsilon(flags: cli.Flags) -> cli.Flag[float]:
  return flags.float(
    'epsilon',
    1e-4,
    'Stabilizer of epsilon-LRP, which keeps its divisors away from zero.',
    lower_bound=0.0,
  )


def batch_size(flags: cli.Flags, default: int | None = 50) -> cli.Flag[int]:
  means = '' if default else ' By default as many as of the other networks.'
  return flags.integer(
    'batch_size',
    default,
    f'How many images go through a network at once: fewer take less memory.'
    f'{means}',
    lower_bound=1,
  )


def device(flags: cli.Flags) -> cli.Flag[str]:
  return flags.string(
    'device',
    None,
    'Where networks run, as /GPU:0 or /CPU:0; by default TensorFlow chooses.',
  )


def seed(flags: cli.Flags, default: int | None = 0) -> cli.Flag[int]:
  return flags.integer(
    'seed',
    default,
    'Random choices, as of the images, are the same for the same number.',
    lower_bound=0,
  )


def on_bad_map(flags: cli.Flags) -> cli.Flag[str]:
  return flags.enum(
    'on_bad_map',
    'error',
    pipeline.ON_BAD_MAP,
    'What happens if a map is zero everywhere or not finite: the command '
    'stops, or goes on without the image, for all networks.',
  )


def output(flags: cli.Flags, default: str | None, means: str) -> cli.Flag[str]:
  return flags.path('output', default, f'Where results are written: {means}.')


def overwrite(flags: cli.Flags, means: str) -> cli.Flag[bool]:
  return flags.bool('overwrite', False, means)


def data_dir(flags: cli.Flags) -> cli.Flag[str]:
  return flags.path(
    'data_dir',
    'work/data',
    'Folder that keeps rendered scenes, so that they are rendered once.',
  )


def workers(flags: cli.Flags) -> cli.Flag[int]:
  return flags.integer(
    'workers', 2, 'How many processes work at once.', lower_bound=1
  )


class Probe:
  """The flags of one probe set, but the size of its images."""

  def __init__(self, flags: cli.Flags, default: str, number: int):
    self._probe = probe(flags, default)
    self._probe_dir = probe_dir(flags)
    self._num_images = num_images(flags, number)
    self.seed = seed(flags)
    self._on_bad_image = flags.enum(
      'on_bad_image',
      'skip',
      probe_sets.ON_BAD_IMAGE,
      'What happens if a file holds no readable image: another one is taken, '
      'or the command stops.',
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


class SpaceProbe:
  """The flags of the images that spaces were made with."""

  def __init__(self, flags: cli.Flags):
    means = "; by default those of the spaces' run"
    self._flags = (
      probe(flags, None, means),
      probe_dir(flags),
      num_images(flags, None, means=means),
      seed(flags, None),
    )

  def values(self) -> tuple[Any, ...]:
    """Returns probe set, folder, number and seed, None where not given."""
    return tuple(flag.value for flag in self._flags)


class Record:
  """The flags that say where a run is recorded, and what becomes of it."""

  def __init__(self, flags: cli.Flags, default: str):
    self._flags, self._default = flags, default
    self._output = output(flags, None, f'a folder; by default {default}')
    self._resume = flags.bool(
      'resume', False, 'Go on with a run that was stopped, where it stopped.'
    )
    self._overwrite = overwrite(
      flags, 'Delete the run that the folder holds, and begin anew.'
    )

  def folder(self, **names: str) -> pathlib.Path:
    """Returns the folder; `names` stand for words of its default."""
    default = self._default
    for word, name in names.items():
      default = default.replace(word.upper(), name)
    return pathlib.Path(self._output.value or default)

  def settings(self, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Returns the values of all flags that results depend on."""
    return self._flags.values((*_NEVER_RECORDED, *leave_out))

  def open(
    self,
    folder: str | os.PathLike,
    settings: Mapping[str, Any],
    digests: Mapping[str, Any],
  ) -> run_record.RunRecord:
    return run_record.RunRecord(
      folder,
      settings,
      digests,
      resume=self._resume.value,
      overwrite=self._overwrite.value,
    )
