"""What the paper's reviewers asked for, beside the main comparison.

Sensitivity to beta; matching of input gradients, its factor chosen once on the
selection split; the small network trained from scratch; maps of both signs;
every present class instead of the teacher's first; and plain tuning four times
as long, as tuning alone might bring the maps back.
"""

from collections.abc import Callable, Sequence
import pathlib

from attribution_preservation import matching
from experiments import evaluation
from experiments.compression import pictures, tables
from experiments.compression.plan import SCRATCH, CompressionStudy, Student
from experiments.compression.running import Seeded
from toolkit_basics import files

Run = Callable[[Sequence[Student], int], list[Seeded]]
# Of each method whose factor is swept: its values, and under how many seeds.
SWEEPS = {
  'swa': ((1.0, 10.0, 30.0, 100.0, 300.0, 1000.0), 3),
  'subspace': ((0.3, 1.0, 3.0, 10.0, 30.0), 1),
  'input_gradient': ((0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 1),
  'subspace_input': ((1.0, 3.0, 10.0), 1),
}
_CHOSEN = ('input_gradient', 'subspace', 'subspace_input')
_LOST = 0.01  # Of mAP, below the best of a sweep: no choice may cost more.
_LONGER = 4


def best(rows: tables.Rows) -> float:
  """Returns the factor of the highest AUC among those that keep the mAP.

  Args:
    rows: Of `tables.selection_rows`, a header first.
  """
  _, *others = rows
  highest = max(row[3] for row in others)
  kept = [row for row in others if row[3] >= highest - _LOST]
  return max(kept, key=lambda row: row[4])[2]


def _student(method: str, beta: float) -> Student:
  is_own = beta == matching.create(method).beta
  return Student(method) if is_own else Student(method, beta=beta)


def conduct(
  study: CompressionStudy,
  students: Sequence[Student],
  seeds: int,
  output: pathlib.Path,
  run: Run,
) -> tuple[Student, ...]:
  """Trains what was asked for; returns all students that are to be compared.

  Writes `beta_METHOD.csv`, on the selection split, with figures.

  Args:
    study: What is compressed.
    students: Of the main comparison.
    seeds: How many there are.
    output: The folder.
    run: Trains students under so many seeds, and returns the seeds.
  """
  chosen = {}
  (output / 'figures').mkdir(parents=True, exist_ok=True)
  for method, (betas, number) in SWEEPS.items():
    swept = [_student(method, beta) for beta in betas]
    found = run(swept, min(number, seeds))
    rows = tables.selection_rows(found, swept)
    files.write_csv(output / f'beta_{method}.csv', rows)
    pictures.draw_sweep(output / 'figures', rows)
    print(evaluation.format_table(rows))
    chosen[method] = best(rows)
  more = [_student(method, chosen[method]) for method in _CHOSEN]
  more += [Student('swa_identity'), Student('swa_present')]
  if study.recipe.rounds == 1:
    longer = _LONGER * study.recipe.schedule.epochs
    more.append(Student('naive', epochs=longer))
  more.append(Student(SCRATCH))
  everyone = tuple(dict.fromkeys([*students, *more]))
  run(more, seeds)
  return everyone
