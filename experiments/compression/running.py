"""Trains and measures the networks of a study; each step is kept."""

from collections.abc import Sequence
import functools
import pathlib
from typing import Any

import numpy as np

from attribution.preprocessing import Preprocessing
from attribution_preservation import (
  matching,
  networks,
  pruning,
  scores,
  surgery,
  training,
)
from attribution_preservation.networks import Split
from attribution_preservation.training import LabelledData, Schedule, Seeds
from experiments.compression import measuring
from experiments.compression.plan import SCRATCH, CompressionStudy, Student
from probe_data.shapes import MaskedImages
from toolkit_basics import memo
from transferability import similarity

TEACHER = 'teacher'
BEFORE = 'before'  # The pruned network before it is tuned.
_NUM_TRACKED = 200  # Pictures of the selection split.


class Seeded:
  """The networks of one seed: its pictures, its teacher, its students."""

  def __init__(self, study: CompressionStudy, seed: int, output: pathlib.Path):
    """Loads nothing yet.

    Args:
      study: What is compressed, and how.
      seed: Of pictures, weights, batches and draws.
      output: Folder that keeps the results of all seeds.
    """
    self.study, self.seed = study, seed
    folder = output / 'networks' / f'seed{seed}'
    self._weights = memo.Memo(folder / 'weights', memo.ARRAYS)
    self._measures = memo.Memo(folder / 'measures', memo.ARRAYS)
    self._maps = memo.Memo(folder / 'maps', memo.ARRAYS)
    self._tracks = memo.Memo(folder / 'tracks')

  @functools.cached_property
  def splits(self) -> dict[str, MaskedImages]:
    return self.study.source.load(self.seed)

  @functools.cached_property
  def training_data(self) -> LabelledData:
    return self._as_data(self.splits['train'])

  def _as_data(self, data: MaskedImages) -> LabelledData:
    inputs = Preprocessing.parse(self.study.source.preprocessing)(data.images)
    return LabelledData(inputs.astype(np.float32), data.labels)

  @functools.cached_property
  def samples(self) -> measuring.Samples:
    fill = self.splits['train'].images.mean(axis=(0, 1, 2)).round()
    return measuring.Samples.of(
      self.splits['test'], fill.astype(np.uint8), self.study.num_explained
    )

  def _build(self, widths: Sequence[int]) -> Split:
    classes = self.splits['train'].labels.shape[1]
    side = self.splits['train'].images.shape[1]
    return networks.build(
      widths, classes, side, seed=self.seed, dropout_seed=self.seed
    )

  def _rebuilt(self, kept: dict[str, np.ndarray], at: int) -> Split:
    own = {n.split('/')[1]: v for n, v in kept.items() if n[:3] == f'{at:02d}/'}
    found = self._build(networks.widths_of(own))
    networks.with_weights(found.model, own)
    return found

  @property
  def _teacher_key(self) -> dict[str, Any]:
    study = self.study
    return {'source': study.source, 'teacher': study.teacher, 'seed': self.seed}

  def _key(self, student: Student) -> dict[str, Any]:
    known = {'setting': self.study.setting, 'recipe': self.study.recipe}
    # Else another default of the factor would go unnoticed.
    known |= {'student': student, 'factor': student.factor}
    return {**self._teacher_key, **known}

  def _name(self, name: str) -> str:
    return name if name == TEACHER else f'{self.study.setting}-{name}'

  @functools.cached_property
  def teacher(self) -> Split:
    """The network before compression."""

    def train():
      found = self._build(networks.TEACHER_WIDTHS)
      self._learn(found, training.by_labels, self.study.teacher)
      return _labelled(found, 0)

    kept = self._weights.recall(TEACHER, self._teacher_key, train)
    return self._rebuilt(kept, 0)

  def _learn(self, network: Split, objective, schedule: Schedule) -> None:
    """Trains without a teacher."""
    data = self.training_data
    nothing = {'outputs': data.labels}
    seeds = Seeds(self.seed, self.seed)
    training.fit(network, data, nothing, objective, schedule, seeds=seeds)

  def _student_weights(self, student: Student) -> dict[str, np.ndarray]:
    """Returns the weights of a student after each tracked epoch or round."""

    def train():
      if student.method == SCRATCH:
        small = self._small()
        self._learn(small, training.by_labels, self.study.teacher)
        return _labelled(small, 0)
      return self._compress(student)

    name = self._name(student.name)
    return self._weights.recall(name, self._key(student), train)

  def _small(self) -> Split:
    """Returns the small network of the setting, with new weights."""
    study = self.study
    widths = list(networks.TEACHER_WIDTHS)
    for number, width in enumerate(widths):
      if study.setting == 'distillation' or (
        f'conv{number}' in study.recipe.layers
      ):
        widths[number] = max(1, int(width * (1 - study.recipe.ratio) + 1e-9))
    return self._build(widths)

  def _start(self) -> Split:
    """Returns a student before it learns."""
    recipe = self.study.recipe
    if self.study.setting == 'distillation':
      return self._small()
    if self.study.setting == 'structured':
      model = surgery.prune_filters(
        self.teacher.model, recipe.ratio, recipe.layers
      )
    else:
      model = surgery.copied(self.teacher.model)
    return networks.split(model, self.teacher.layer)

  def _compress(self, student: Student) -> dict[str, np.ndarray]:
    way = matching.create(student.method)
    data, recipe = self.training_data, self.study.recipe
    known = training.known_of(self.teacher, data, way)
    network = self._start()
    kept = _labelled(network, 0)
    epochs = student.epochs or recipe.schedule.epochs
    schedule = Schedule(
      epochs, recipe.schedule.learning_rate, recipe.schedule.cosine
    )
    is_distilled = self.study.setting == 'distillation'
    objective = training.by_distillation if is_distilled else training.by_labels

    def after(number: int, is_last: bool) -> None:
      if is_last or number in recipe.tracked or student.epochs:
        kept.update(_labelled(network, number))

    for number in range(1, recipe.rounds + 1):
      masks = self._masks(network, number)

      def after_epoch(epoch, number=number):
        if recipe.rounds == 1:
          after(epoch, epoch == epochs)
        elif epoch == epochs:
          after(number, number == recipe.rounds)

      training.fit(
        network,
        data,
        known,
        objective,
        schedule,
        matching=way,
        beta=student.beta,
        seeds=Seeds(self.seed + 1000 * number, self.seed + 1000 * number),
        masks=masks,
        after_epoch=after_epoch,
      )
    return kept

  def _masks(self, network: Split, number: int):
    """Returns kernels and what may differ from zero in a round of pruning."""
    recipe = self.study.recipe
    if self.study.setting != 'unstructured':
      return ()
    kernels = surgery.kernels(network.model)
    share = 1 - (1 - recipe.ratio) ** (1 / recipe.rounds)
    kept = pruning.weights_to_keep(
      [kernel.numpy() for kernel in kernels], pruning.sparsity(number, share)
    )
    return list(zip(kernels, kept, strict=True))

  def student(self, student: Student | None, at: int | None = None) -> Split:
    """Returns a network: the teacher for None.

    Args:
      student: Which.
      at: After so many epochs or rounds; default: at its end.
    """
    if student is None:
      return self.teacher
    kept = self._student_weights(student)
    last = max(int(name[:2]) for name in kept)
    return self._rebuilt(kept, last if at is None else at)

  def _measured(self, name: str, key, network, keep_maps: bool):
    """Returns measures; `network` is called if they are not there."""
    key = {**key, 'num_explained': self.study.num_explained}
    has_maps = not keep_maps or self._maps.has(name, key)
    known = self._measures.find(name, key)
    if known is not None and has_maps:
      return known
    teacher = None
    if name != TEACHER:
      self.teacher_measures()
      teacher = self._maps.read(TEACHER)
    found, made = measuring.measure(
      network().model,
      self.study.source,
      self.samples,
      self.splits['selection'],
      teacher,
    )
    if keep_maps:
      self._maps.keep(name, key, made)
    return self._measures.keep(name, key, found)

  def teacher_measures(self) -> dict[str, np.ndarray]:
    """Returns what `measuring.measure` says of the teacher."""
    key = self._teacher_key
    return self._measured(TEACHER, key, lambda: self.teacher, True)

  def measures(self, student: Student) -> dict[str, np.ndarray]:
    """Returns what `measuring.measure` says of a student."""
    return self._measured(
      self._name(student.name),
      self._key(student),
      lambda: self.student(student),
      False,
    )

  def measures_before(self) -> dict[str, np.ndarray]:
    """Returns those of the pruned network before it learns."""
    key = self._key(Student(BEFORE))
    return self._measured(self._name(BEFORE), key, self._pruned, False)

  def _pruned(self) -> Split:
    """Returns a student that has lost all it will lose, and not learned."""
    network = self._start()
    for kernel, mask in self._masks(network, self.study.recipe.rounds):
      kernel.assign(kernel.numpy() * mask)
    return network

  @functools.cached_property
  def _looked_at(self):
    """Pictures to look at, also after T; what the teacher says of them."""
    data = self.splits['selection'].chosen(slice(_NUM_TRACKED))
    inputs = self._as_data(data).images
    said = measuring.quick(self.teacher.model, self.study.source, data)
    features = measuring.features(self.teacher.body, inputs)
    return data, inputs, said, features

  def track(self, student: Student) -> list[list[float]]:
    """Returns what becomes of a student as it learns, a row for each look.

    Epoch or round; mAP, AUC and cosine to the teacher's map by Grad-CAM,
    correlation of logits with the teacher's, CKA of the last features; on
    pictures of the selection split.
    """

    def compute():
      data, inputs, teacher, known = self._looked_at
      source = self.study.source
      images, classes = data.samples()
      kept = self._student_weights(student)
      rows = []
      for at in sorted({int(name[:2]) for name in kept}):
        network = self._rebuilt(kept, at)
        own = measuring.quick(network.model, source, data)
        seen = own['logits'][images, classes] > 0
        auc = own['auc'][seen].mean() if seen.any() else np.nan
        cosine = scores.cosines(own['heat'], teacher['heat'])
        flat = [own['logits'].ravel(), teacher['logits'].ravel()]
        mine = measuring.features(network.body, inputs)
        rows.append(
          [
            at,
            scores.mean_average_precision(data.labels, own['logits']),
            float(auc),
            float(np.nanmean(cosine)),
            float(np.corrcoef(flat)[0, 1]),
            float(similarity.score('cka', mine, known)),
          ]
        )
      return rows

    name = self._name(student.name)
    return self._tracks.recall(name, self._key(student), compute)


def _labelled(network: Split, at: int) -> dict[str, np.ndarray]:
  """Returns a network's weights, named for when they were so."""
  found = networks.weights(network.model)
  return {f'{at:02d}/{name}': value for name, value in found.items()}


def run_seed(
  study: CompressionStudy,
  seed: int,
  students: Sequence[Student],
  tracked: Sequence[Student],
  output: str,
) -> None:
  """Trains and measures the networks of one seed; what is there is kept.

  Args:
    study: What is compressed.
    seed: Which.
    students: How.
    tracked: Those of them that are looked at as they learn.
    output: The folder.
  """
  found = Seeded(study, seed, pathlib.Path(output))
  found.teacher_measures()
  if study.setting != 'distillation':
    found.measures_before()
  for student in students:
    found.measures(student)
  for student in tracked:
    found.track(student)
