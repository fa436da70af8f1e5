"""Damages real files of every format, and looks for what that breaks.

  python -m tests.fuzzing --inputs=100000 --processes=2
  python -m tests.fuzzing --number=4711 --keep=FOLDER

Prints each fault when it is found, and a table at the end: inputs and faults of
each format. A fault is a crash, more than
10 seconds or 2 GiB, or an error of a library that is not this one. The same
seed makes the same inputs; --number makes and tries one of them again.
"""

from collections import Counter
import concurrent.futures
import os
import pathlib
import tempfile

import toolkit_basics.cli as cli
from tests.fuzzing.arena import Arena, Outcome

FLAGS = cli.Flags()
_INPUTS = FLAGS.integer('inputs', 'How many to try.', 1000, lower_bound=1)
_SEED = FLAGS.integer('seed', 'What makes the inputs.', 0, lower_bound=0)
_PROCESSES = FLAGS.integer('processes', 'At once.', 1, lower_bound=1)
_NUMBER = FLAGS.integer('number', 'The only input to try.', lower_bound=0)
_KEEP = FLAGS.path('keep', 'Folder for that input.')
_KINDS = ('read', 'refused', 'foreign error', 'hang', 'memory', 'crash')


def _part(seed: int, numbers: range) -> list[Outcome]:
  with tempfile.TemporaryDirectory() as folder:
    outcomes = []
    for outcome in Arena(pathlib.Path(folder), seed).run(numbers):
      outcomes.append(outcome)
      if outcome.is_fault:
        _show(outcome)
    return outcomes


def _show(fault: Outcome) -> None:
  print(
    f'{fault.number} {fault.format} {fault.kind}: {fault.detail}', flush=True
  )


def table(outcomes: list[Outcome]) -> str:
  """Returns how many inputs of each format ended how."""
  counts = Counter((o.format, o.kind) for o in outcomes)
  rows = [('format', 'inputs', *_KINDS)]
  for name in sorted({o.format for o in outcomes}):
    numbers = [counts[name, kind] for kind in _KINDS]
    rows.append((name, sum(numbers), *numbers))
  totals = [sum(row[i] for row in rows[1:]) for i in range(1, len(rows[0]))]
  rows.append(('all', *totals))
  return '\n'.join(
    ' '.join(f'{cell!s:>14}' for cell in row).rstrip() for row in rows
  )


def main() -> None:
  os.environ['ATTRIBUTION_TRANSFER_TRUST'] = 'checks'
  if _NUMBER.value is not None:
    if _KEEP.value:
      with tempfile.TemporaryDirectory() as folder:
        kept = pathlib.Path(_KEEP.value)
        kept.mkdir(parents=True)
        Arena(pathlib.Path(folder), _SEED.value).write(_NUMBER.value, kept)
    numbers = range(_NUMBER.value, _NUMBER.value + 1)
  else:
    numbers = range(_INPUTS.value)
  count = min(_PROCESSES.value, len(numbers))
  cuts = [numbers.start + len(numbers) * i // count for i in range(count + 1)]
  with concurrent.futures.ProcessPoolExecutor(count) as pool:
    parts = [
      pool.submit(_part, _SEED.value, range(cuts[i], cuts[i + 1]))
      for i in range(count)
    ]
    outcomes = [outcome for part in parts for outcome in part.result()]
  print(table(outcomes))
  faults = sum(outcome.is_fault for outcome in outcomes)
  if faults:
    raise ValueError(f'{faults} of {len(outcomes)} inputs broke something')


if __name__ == '__main__':
  cli.run(main, FLAGS)
