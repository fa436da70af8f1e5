"""Tables of what was measured: means over seeds, and paired intervals.

Every table says how many samples and seeds its numbers are of, and has the
predictive performance beside the attributions.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from attribution_preservation import bootstrap, matching, scores
from attribution_preservation import maps as class_maps
from attribution_preservation.maps import GRAD_CAM
from experiments import figures
from experiments.compression import measuring
from experiments.compression.plan import SCRATCH, Student
from experiments.compression.running import BEFORE, TEACHER, Seeded

Rows = list[list[object]]
_OTHERS = tuple(name for name in class_maps.METHODS if name != GRAD_CAM)
# Of the main table: its columns, and what is measured.
MAIN = {
  'mAP': 'mAP',
  'accuracy': 'accuracy',
  'AUC': f'auc/{GRAD_CAM}',
  'point': f'point/{GRAD_CAM}',
  'cosine': f'cosine/{GRAD_CAM}',
}
_BASELINES = ('naive', 'ewa', 'sswa')


def label(name: str) -> str:
  """Returns what a network is called in tables and figures."""
  known = {
    TEACHER: 'Teacher',
    BEFORE: 'Pruned, not tuned',
    SCRATCH: 'Small, from scratch',
  }
  method, *more = name.split('-')
  said = known.get(method) or matching.label(method)
  beta = [f'beta {m[4:]}' for m in more if m.startswith('beta')]
  epochs = [m.replace('epochs', ' epochs') for m in more if 'epochs' in m]
  return ', '.join([said, *beta, *epochs])


@dataclasses.dataclass(frozen=True)
class Found:
  """The measures of all networks under all seeds.

  Attributes:
    seeds: Of each seed, its pictures.
    measured: By name of the network, what was measured under each seed.
  """

  seeds: Sequence[Seeded]
  measured: Mapping[str, Sequence[Mapping[str, np.ndarray]]]

  @classmethod
  def of(cls, seeds: Sequence[Seeded], students: Sequence[Student]) -> 'Found':
    """Reads the measures, which `running.run_seed` has made."""
    measured = {TEACHER: [seed.teacher_measures() for seed in seeds]}
    if seeds[0].study.setting != 'distillation':
      measured[BEFORE] = [seed.measures_before() for seed in seeds]
    for student in students:
      measured[student.name] = [seed.measures(student) for seed in seeds]
    return cls(seeds, measured)

  def predicted(self, name: str, number: int) -> np.ndarray:
    """Returns which samples of a seed a network predicts, bool [samples]."""
    own = self.measured[name][number]
    return measuring.predicted(own['logits'], self.seeds[number].samples)

  def by_all(self, names: Sequence[str], number: int) -> np.ndarray:
    """Returns which samples of a seed all of some networks predict."""
    return np.all([self.predicted(name, number) for name in names], axis=0)

  def statistic(
    self, name: str, measure: str, number: int, chosen: np.ndarray
  ) -> bootstrap.Statistic:
    """Returns a measure of a network under a seed.

    Args:
      name: Of the network.
      measure: mAP, accuracy, or one of `measuring.measure` of single samples.
      number: Of the seed.
      chosen: Which samples count, bool.
    """
    own, seed = self.measured[name][number], self.seeds[number]
    labels = seed.splits['test'].labels
    if measure == 'mAP':
      return bootstrap.weighted_map(labels, own['logits'])
    if measure == 'accuracy':
      right = ((own['logits'] > 0) == (labels > 0.5)).mean(axis=1)
      return bootstrap.weighted_mean(right, np.arange(len(labels)))
    measure, _, column = measure.partition('@')
    values = own[measure]
    values = values[:, int(column)] if column else values
    rows = np.arange(len(seed.samples.images))
    if len(values) < len(rows):
      rows = seed.samples.explained
    images = seed.samples.images[rows]
    return bootstrap.weighted_mean(
      np.where(chosen[rows], values, np.nan), images
    )

  def values(self, name: str, measure: str, chosen=None) -> np.ndarray:
    """Returns a measure of a network under each seed, [seeds].

    Args:
      name: Of the network.
      measure: See `statistic`.
      chosen: Of a seed's number, which samples count; default: those that the
        network predicts.
    """
    found = []
    for number, seed in enumerate(self.seeds):
      which = chosen(number) if chosen else self.predicted(name, number)
      once = np.ones((1, len(seed.splits['test'])), np.int64)
      if measure.startswith('cosine') and name == TEACHER:
        found.append(1.0)
        continue
      found.append(self.statistic(name, measure, number, which)(once)[0])
    return np.array(found)

  def difference(
    self, name: str, other: str, measure: str, draws: int = 1000
  ) -> tuple[float, float, float]:
    """Returns mean and 95 % interval of a paired difference.

    On the samples that both networks predict.
    """
    runs = []
    for each in (name, other):
      runs.append(
        [
          self.statistic(each, measure, i, self.by_all((name, other), i))
          for i in range(len(self.seeds))
        ]
      )
    images = len(self.seeds[0].splits['test'])
    return bootstrap.paired_interval(*runs, images, draws)

  @property
  def compared(self) -> list[str]:
    """The networks that are compared: all but the one that is not tuned."""
    return [name for name in self.measured if name != BEFORE]


def main_rows(found: Found) -> Rows:
  """Returns the main table: mean and deviation over seeds, and numbers."""
  everyone = found.compared

  def common(number):
    return found.by_all(everyone, number)

  header = ['network']
  for column in MAIN:
    header += [column, f'{column} sd']
  rows: Rows = [
    [*header, 'samples', 'AUC common', 'point common', 'common', 'seeds']
  ]
  for name in found.measured:
    row: list[object] = [label(name)]
    for measure in MAIN.values():
      row += _mean_and_deviation(found.values(name, measure))
    samples = [int(found.predicted(name, i).sum()) for i in _each(found)]
    shared = [int(common(i).sum()) for i in _each(found)]
    row += [round(float(np.mean(samples)))]
    if name == BEFORE:
      row += [float('nan')] * 2
    else:
      for kind in ('auc', 'point'):
        measure = f'{kind}/{GRAD_CAM}'
        row.append(float(np.mean(found.values(name, measure, common))))
    rows.append([*row, round(float(np.mean(shared))), len(found.seeds)])
  return rows


def _each(found: Found) -> range:
  return range(len(found.seeds))


def _mean_and_deviation(values: np.ndarray) -> list[object]:
  spread = float(np.std(values, ddof=1)) if len(values) > 1 else float('nan')
  return [float(np.mean(values)), spread]


def difference_rows(found: Found) -> Rows:
  """Returns paired differences to the baselines, with intervals."""
  measures = {
    **MAIN,
    **{f'cosine, {_said(n)}': f'cosine/{n}' for n in _OTHERS},
    **{f'AUC, {_said(n)}': f'auc/{n}' for n in _OTHERS},
    **{
      f'change without the {order} important {share:.0%}, {_said(n)}': (
        f'perturbed/{n}/{order}@{column}'
      )
      for n in measuring.PERTURBED
      for order in ('least', 'most')
      for column, share in enumerate(measuring.SHARES)
      if share in (0.05, 0.2)
    },
  }
  rows: Rows = [
    ['network', 'against', 'measure', 'difference', 'low', 'high', 'seeds']
  ]
  for other in (name for name in _BASELINES if name in found.measured):
    for name in found.compared:
      if name in (TEACHER, other):
        continue
      for title, measure in measures.items():
        interval = found.difference(name, other, measure)
        pair = [label(name), label(other), title]
        rows.append([*pair, *interval, len(found.seeds)])
  return rows


def _said(method: str) -> str:
  return figures.method_label(method)


def method_rows(found: Found) -> Rows:
  """Returns cosine to the teacher's maps, AUC and point by each method."""
  names = (GRAD_CAM, *_OTHERS, 'centred')
  rows: Rows = [
    ['network', 'attribution', 'cosine', 'cosine sd', 'AUC', 'AUC sd', 'point']
    + ['mAP', 'samples', 'seeds']
  ]
  for name in found.compared:
    for method in names:
      row: list[object] = [
        label(name),
        'Grad-CAM, centred logits' if method == 'centred' else _said(method),
      ]
      if method == 'centred':
        row += [float('nan')] * 2
      else:
        row += _mean_and_deviation(found.values(name, f'cosine/{method}'))
      row += _mean_and_deviation(found.values(name, f'auc/{method}'))
      row.append(float(np.mean(found.values(name, f'point/{method}'))))
      row.append(float(np.mean(found.values(name, 'mAP'))))
      number = len(found.seeds[0].samples.explained)
      if method in (GRAD_CAM, 'centred'):
        number = len(found.seeds[0].samples.images)
      rows.append([*row, number, len(found.seeds)])
  return rows


def perturbation_rows(found: Found) -> Rows:
  """Returns the relative change of class logits as pixels are removed."""
  shares = [f'{share:.0%}' for share in measuring.SHARES]
  rows: Rows = [['network', 'map', 'first', *shares, 'mAP', 'samples', 'seeds']]
  for name in found.compared:
    for method in measuring.PERTURBED:
      for order in measuring.ORDERS:
        values = [
          float(np.mean(found.values(name, f'perturbed/{method}/{order}@{i}')))
          for i in range(len(shares))
        ]
        rows.append(
          [
            label(name),
            _said(method),
            f'{order} important' if order != 'random' else order,
            *values,
            float(np.mean(found.values(name, 'mAP'))),
            len(found.seeds[0].samples.explained),
            len(found.seeds),
          ]
        )
  return rows


def seed_rows(found: Found) -> Rows:
  """Returns the main measures of each network under each seed."""
  rows: Rows = [['network', 'seed', *MAIN, 'rowwise mAP', 'samples']]
  for name in found.measured:
    columns = [found.values(name, measure) for measure in MAIN.values()]
    for i, seed in enumerate(found.seeds):
      labels = seed.splits['test'].labels
      logits = found.measured[name][i]['logits']
      rows.append(
        [
          label(name),
          seed.seed,
          *(float(values[i]) for values in columns),
          scores.mean_average_precision(labels, logits, axis=1),
          int(found.predicted(name, i).sum()),
        ]
      )
  return rows


def selection_rows(
  seeds: Sequence[Seeded], students: Sequence[Student]
) -> Rows:
  """Returns mAP and AUC on the selection split, to choose settings by."""
  rows: Rows = [['network', 'method', 'beta', 'mAP', 'AUC', 'seeds']]
  for student in students:
    maps, aucs = [], []
    for seed in seeds:
      data = seed.splits['selection']
      own = seed.measures(student)
      images, classes = data.samples()
      seen = own['selection_logits'][images, classes] > 0
      maps.append(
        scores.mean_average_precision(data.labels, own['selection_logits'])
      )
      aucs.append(own['selection_auc'][seen].mean() if seen.any() else np.nan)
    beta = np.nan if student.factor is None else student.factor
    means = float(np.mean(maps)), float(np.mean(aucs))
    rows.append([label(student.name), student.method, beta, *means, len(seeds)])
  return rows


def _mean_of_known(values: np.ndarray) -> np.ndarray:
  """Returns the mean over the first axis of known values, NaN of none."""
  known = np.isfinite(values)
  total = np.where(known, values, 0).sum(axis=0)
  number = known.sum(axis=0)
  return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def track_rows(seeds: Sequence[Seeded], students: Sequence[Student]) -> Rows:
  """Returns what becomes of students as they learn, the mean over seeds."""
  rows: Rows = [
    ['network', 'after', 'mAP', 'AUC', 'cosine', 'logits', 'CKA', 'seeds']
  ]
  for student in students:
    looks = _mean_of_known(np.stack([seed.track(student) for seed in seeds]))
    for at, *values in looks:
      rows.append(
        [label(student.name), int(at), *map(float, values), len(seeds)]
      )
  return rows
