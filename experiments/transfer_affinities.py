"""Affinities of targets to sources, of any origin, by one name each.

`oracle`: measured transfers; `other_targets`: the standing of a source for all
other targets; an attribution method; a similarity of representations, directed
if it has a direction; or a table of affinities that a run wrote.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import os

import numpy as np

from attribution import methods as methods_lib
from experiments import pipeline
from experiments.selection import features
from experiments.selection.features import Candidate
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability import affinity as affinity_lib
from transferability import history, similarity
from transferability.oracle import Oracle

ORACLE, OTHER_TARGETS = 'oracle', 'other_targets'
_TABLE = '.csv'


def names() -> tuple[str, ...]:
  """Returns what has a name; tables of affinities have paths."""
  return (ORACLE, OTHER_TARGETS, *methods_lib.names(), *similarity.names())


def check(chosen: Sequence[str], has_networks: bool) -> None:
  """Raises ValueError if an affinity is unknown, repeated or not to be had."""
  if not chosen or len(set(chosen)) < len(chosen):
    raise ValueError(
      f'Affinities must be one or more, each once, not {list(chosen)}.'
    )
  for name in chosen:
    if name not in names() and not name.endswith(_TABLE):
      raise ValueError(
        f'No affinity is named {name!r}; choose from {", ".join(names())}, or '
        'give the path of a table of affinities (.csv).'
      )
    if needs_networks(name) and not has_networks:
      raise ValueError(
        f'{name} needs networks, and there are measured transfers only; '
        f'choose {ORACLE}, {OTHER_TARGETS} or the path of a table.'
      )


def needs_networks(name: str) -> bool:
  """Returns whether images must be looked at through networks."""
  return name in (*methods_lib.names(), *similarity.names())


def static_order(oracle: Oracle) -> np.ndarray:
  """Returns the standing of each source for all other targets.

  float64 [targets, sources]; 0, the mean, for those that no other target has.
  """
  known = history.History.of_oracle(oracle)
  return np.nan_to_num(
    [history.predict(known, t, oracle.sources) for t in oracle.targets]
  )


def of_table(path: str, oracle: Oracle) -> np.ndarray:
  """Returns a table's affinities of an oracle's targets to its sources.

  Raises:
    ValueError: If the table lacks one.
  """
  values, rows, columns = affinity_lib.load_table(path)
  missing = sorted(
    (set(oracle.targets) - set(rows)) | (set(oracle.sources) - set(columns))
  )
  if missing:
    raise ValueError(f'{path} has no affinity of {missing}.')
  return values[
    np.ix_(
      [rows.index(name) for name in oracle.targets],
      [columns.index(name) for name in oracle.sources],
    )
  ]


def representations(
  bank: Bank,
  images: np.ndarray,
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  grid: int = 16,
  **options,
) -> dict[str, np.ndarray]:
  """Returns [n, h, w, c] of each network; what the folder holds is read.

  Args:
    bank: The networks.
    images: uint8 [n, S, S, 3].
    output: Gets `features/`.
    track: Shows progress.
    grid: Cells a side that are kept, at most.
    **options: `batch_size` and `device`.
  """
  found = features.extract_all(
    [Candidate(encoder.name, encoder) for encoder in bank.encoders],
    *(images, grid, os.path.join(output, 'features'), track),
    **options,
  )
  return {name: each.values for name, each in found.items()}


def of_networks(
  chosen: Sequence[str],
  bank: Bank,
  probe: ProbeSet,
  represented: Mapping[str, np.ndarray],
  oracle: Oracle,
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  **options,
) -> dict[str, np.ndarray]:
  """Returns affinities that need networks, float64 [targets, sources] each.

  Args:
    chosen: Attribution methods and similarities.
    bank: The networks: those of the oracle.
    probe: Images, without labels.
    represented: What `representations` returns; not used by methods.
    oracle: Names targets and sources.
    output: Gets `model_space/`.
    track: Shows progress.
    **options: `batch_size` and `device`.
  """
  methods = [name for name in chosen if name in methods_lib.names()]
  found = {}
  if methods:
    projection = pipeline.Projection(
      pipeline.method_objects(methods), on_bad_map='drop_image', **options
    )
    spaces = pipeline.project(bank, probe, projection, output, track)
    found = {name: spaces[name].affinity(bank.names) for name in methods}
  others = [name for name in chosen if name not in methods]
  for name in track(others, description='Similarities'):
    given = {network: represented[network] for network in bank.names}
    found[name] = similarity.matrix(name, given)[1]
  rows = [bank.names.index(name) for name in oracle.targets]
  columns = [bank.names.index(name) for name in oracle.sources]
  return {name: found[name][np.ix_(rows, columns)] for name in chosen}
