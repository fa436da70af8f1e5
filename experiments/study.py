"""What the experiments of the paper share: a bank projected once per probe set.

A study is one experiment: a function of a `Study`, registered by name in
`experiments.studies`. All studies of an output folder use the same model
spaces, which are computed when the first of them asks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import os
import pathlib

from absl import logging
import numpy as np

from experiments import evaluation, pipeline, run_record, similarities
from frozen_graphs import narrowing
from probe_data.probe_sets import ProbeSet
from taskonomy_models import bank as banks
from taskonomy_models import tasks
from taskonomy_models.bank import Bank
from toolkit_basics import files, memo, progress
from transferability import affinity
from transferability.model_space import ModelSpace
from transferability.oracle import Oracle

_FINDING = 'finding'


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the results of all studies depend on.

  Attributes:
    bank: Name or folder.
    second_bank: Name or folder of networks without an oracle, or None.
    probes: Probe sets; the first is the one of studies that need only one.
    probe_dir: Of the probe sets that are photographs of one's own.
    num_images: Of each probe set, or all if there are fewer.
    image_size: Side of the images; 0: what suits the bank.
    methods: Attribution methods; the last is the one of studies that show one.
    epsilon: Stabilizer of epsilon-LRP.
    batch_size: Images computed at once.
    seed: Of samples and draws.
    precision: Of the products in networks, see `narrowing.narrow`.
  """

  bank: str = 'mini'
  second_bank: str | None = None
  probes: tuple[str, ...] = ('scenes', 'photos', 'noise')
  probe_dir: str | None = None
  num_images: int = 1000
  image_size: int = 0
  methods: tuple[str, ...] = ('saliency', 'gradient_times_input', 'elrp')
  epsilon: float = 1e-4
  batch_size: int = 50
  seed: int = 0
  precision: str = narrowing.SINGLE

  def __post_init__(self):
    for name in ('probes', 'methods'):
      values = getattr(self, name)
      if not values or len(set(values)) < len(values):
        raise ValueError(f'{name} must be one or more, each once: {values}.')


@dataclasses.dataclass(frozen=True)
class Finding:
  """What a study found.

  Attributes:
    headline: A sentence or two with the numbers that matter.
    notes: How to read it, what was assumed; a paragraph each.
    files: What was written, relative to the study's folder, as it should be
      shown: figures first.
  """

  headline: str
  notes: tuple[str, ...] = ()
  files: tuple[str, ...] = ()


class Results:
  """Writes what a study found into its folder, and remembers what it wrote."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._figures: list[str] = []
    self._tables: list[str] = []

  @property
  def files(self) -> tuple[str, ...]:
    """What was written, figures first."""
    return (*self._figures, *self._tables)

  def draw(self, name: str, figure: Callable[..., None], *content, **options):
    """Draws one of `figures`, given what comes behind its path."""
    figure(self._folder / name, *content, **options)
    self._figures.append(name)

  def table(self, name: str, header: Sequence, rows: Iterable[Sequence]):
    files.write_csv(self._folder / name, [header, *rows])
    self._tables.append(name)

  def matrix(self, name: str, matrix: np.ndarray, names: Sequence[str]):
    affinity.save_matrix(self._folder / name, matrix, names)
    self._tables.append(name)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """A bank in the model spaces of one probe set.

  Attributes:
    probe: The images.
    spaces: By method.
    names: Of the models, in the order of all matrices.
    folder: Of the run.
  """

  probe: ProbeSet
  spaces: Mapping[str, ModelSpace]
  names: tuple[str, ...]
  folder: pathlib.Path

  @functools.cached_property
  def representations(self) -> dict[str, np.ndarray]:
    """Those of the images in use, float32 [images, ...], by model."""
    return similarities.load(self.folder, self.names, self.spaces)

  @functools.cached_property
  def similarity(self) -> Callable[[str], np.ndarray]:
    """Of the representations, by name, [num_models, num_models]."""
    return functools.cache(self._similarity)

  def _similarity(self, name: str) -> np.ndarray:
    space = next(iter(self.spaces.values()))
    key = {
      'models': {model: space.manifest(model) for model in self.names},
      'images': space.image_digests,
      'dropped': space.dropped_images,
    }
    codec = memo.Codec(
      '.csv',
      lambda path, matrix: affinity.save_matrix(path, matrix, self.names),
      lambda path: affinity.load_matrix(path)[0],
    )
    models = memo.digest(self.names)[:8]  # Banks may share the folder.
    return memo.Memo(self.folder / 'similarity', codec).recall(
      f'{name}-{models}',
      key,
      lambda: similarities.matrix(name, self.representations),
    )

  @functools.cached_property
  def image_cosines(self) -> Callable[[str], np.ndarray]:
    """By method, float64 [images, num_models, num_models]."""
    return functools.cache(
      lambda method: self.spaces[method].image_cosines(self.names)
    )

  def cosines_of_changed(
    self, method: str, limit: int, change: Callable[[np.ndarray], np.ndarray]
  ) -> np.ndarray:
    """Returns cosines of changed maps, float64 [images, models, models].

    Args:
      method: Of the maps.
      limit: How many images, at most; they are evenly apart.
      change: Gets an image's maps by all models, float32 [models, *map shape].

    Raises:
      ValueError: If a changed map has no direction.
    """
    space, result = self.spaces[method], []
    rows = [space.rows(name) for name in self.names]
    kept = space.kept_images
    for image in kept[:: max(1, len(kept) // limit)][:limit]:
      maps = np.stack([points[image] for points in rows]).astype(np.float32)
      maps = change(maps.reshape(len(maps), *space.map_shape))
      unit, bad = affinity.unit_rows(maps.reshape(len(maps), -1))
      if bad:
        names = [self.names[i] for i in bad]
        raise ValueError(f'{method}: changed maps without direction: {names}.')
      result.append(unit @ unit.T)
    return np.stack(result)

  def affinity(self, method: str) -> np.ndarray:
    """Returns float64 [num_models, num_models]."""
    return affinity.mean_cosine(self.image_cosines(method))


class Study:
  """An output folder, and the runs in it.

  Attributes:
    output: Of all studies.
    settings: See `Settings`.
    bank: The models.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    image_size: Height and width of the probe images.
    second: The study of the second bank, or this one if there is none.
    merged: The study of both banks at once; it shares the runs of `second`, so
      that no network is projected twice at one size of the images.
  """

  def __init__(
    self,
    output: str | os.PathLike,
    settings: Settings,
    device: str | None = None,
    track: Callable[..., Iterable] = progress.track,
    bank: Bank | None = None,
    second_bank: Bank | None = None,
    image_size: tuple[int, int] | None = None,
  ):
    self.output, self.settings = pathlib.Path(output), settings
    self.bank = banks.load(settings.bank) if bank is None else bank
    self.device, self.track = device, track
    self.image_size = image_size or pipeline.probe_size(
      self.bank, settings.image_size
    )
    self.run = functools.cache(self._run)
    self.second, self.merged = self, self
    if settings.second_bank is not None:
      second = second_bank or banks.load(settings.second_bank)
      merged = banks.merge(self.bank, second)
      sizes = self.image_size, pipeline.probe_size(second, settings.image_size)
      height, width = map(max, zip(*sizes, strict=True))
      self.second = self._of(second, (height, width))
      self.merged = self._of(merged, (height, width))

  def _of(self, bank: Bank, image_size: tuple[int, int]) -> 'Study':
    """Returns a study of other models under the same settings."""
    return Study(
      self.output / 'second',
      dataclasses.replace(self.settings, second_bank=None),
      self.device,
      self.track,
      pipeline.resized(bank, image_size),
      image_size=image_size,
    )

  @property
  def method(self) -> str:
    """The method of studies that show one."""
    return self.settings.methods[-1]

  @property
  def labels(self) -> list[str]:
    return tasks.shown(encoder.label for encoder in self.bank.encoders)

  @property
  def groups(self) -> list[str | None]:
    """The group of each model, None where it has none."""
    return [encoder.group for encoder in self.bank.encoders]

  @functools.cached_property
  def oracle(self) -> Oracle | None:
    """The bank's oracle, or None if it has none."""
    return evaluation.load_oracle(self.bank)

  def require_oracle(self) -> Oracle:
    """Returns the bank's oracle.

    Raises:
      ValueError: If it has none.
    """
    if self.oracle is None:
      raise ValueError(
        f'The bank {self.bank.name!r} has no oracle, which this experiment '
        "compares with. Choose a bank with one, for example `bank='mini'`."
      )
    return self.oracle

  def folder(self, name: str) -> pathlib.Path:
    """Returns the folder of a study's results, which it makes."""
    folder = self.output / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder

  def projection(self) -> pipeline.Projection:
    """Returns how the models are projected."""
    settings = self.settings
    return pipeline.Projection(
      pipeline.method_objects(settings.methods, settings.epsilon),
      batch_size=settings.batch_size,
      device=self.device,
      precision=settings.precision,
      keep_representations=True,
    )

  def probe_set(self, name: str) -> ProbeSet:
    """Loads one of the probe sets."""
    settings = self.settings
    own = name in ('taskonomy', 'indoor', 'coco')
    return pipeline.load_probe(
      self.bank,
      name,
      self.image_size,
      self.track,
      probe_dir=settings.probe_dir if own else None,
      num_images=settings.num_images,
      seed=settings.seed,
    )

  def _run(self, name: str | None = None) -> Run:
    """Returns the run of a probe set, by default the first one's."""
    name = self.settings.probes[0] if name is None else name
    probe = self.probe_set(name)
    folder = self.output / 'runs' / pathlib.Path(name).stem
    spaces = pipeline.project(
      self.bank, probe, self.projection(), folder, self.track
    )
    return Run(probe, spaces, self.bank.names, folder)

  def conduct(
    self,
    name: str,
    function: Callable[['Study', pathlib.Path], Finding],
    again: bool = False,
  ) -> Finding:
    """Returns what a study finds, or found under the same settings before.

    Args:
      name: Of the study, and of its folder.
      function: Gets this object and the folder.
      again: Whether to conduct it even if it has been.
    """
    folder = self.folder(name)
    kept = memo.Memo(folder)
    key = {
      'settings': self.settings,
      'banks': [study.bank.digests() for study in (self, self.second)],
      'versions': run_record.versions(),
    }
    known = None if again else kept.find(_FINDING, key)
    if known is not None:
      written = tuple(known['files'])
      if all((folder / file).exists() for file in written):
        logging.info('%s: conducted before.', name)
        return Finding(known['headline'], tuple(known['notes']), written)
    finding = function(self, folder)
    kept.keep(_FINDING, key, dataclasses.asdict(finding))
    return finding
