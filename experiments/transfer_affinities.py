"""Affinities of targets to sources, of any origin, by one name each.

`oracle`: measured transfers; `other_targets`: the standing of a source for all
other targets; an attribution method; a similarity of representations, directed
if it has a direction; or a table of affinities that a run wrote.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import os
import pathlib

import numpy as np

from attribution import methods as methods_lib
from attribution.probes import Probes
from experiments import pipeline, similarities
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability import affinity as affinity_lib
from transferability import history
from transferability.oracle import Oracle

ORACLE, OTHER_TARGETS = 'oracle', 'other_targets'
_TABLE = '.csv'


def names() -> tuple[str, ...]:
  """Returns what has a name; tables of affinities have paths."""
  return (ORACLE, OTHER_TARGETS, *names_of_networks())


def check(chosen: Sequence[str], has_networks: bool) -> None:
  """Raises ValueError if an affinity is unknown, repeated or not to be had."""
  labels = list(map(label, chosen))
  if not chosen or len(set(labels)) < len(labels):
    raise ValueError(
      f'Affinities must be one or more, each of another name, not {labels}.'
    )
  for name in chosen:
    if name not in names() and not is_table(name):
      raise ValueError(
        f'No affinity is named {name!r}; choose from {", ".join(names())}, or '
        'give the path of a table of affinities (.csv).'
      )
    if needs_networks(name) and not has_networks:
      raise ValueError(
        f'{name} needs networks, and there are measured transfers only; '
        f'choose {ORACLE}, {OTHER_TARGETS} or the path of a table.'
      )


def label(name: str) -> str:
  """Returns the name of an affinity; of a table's, that of its file."""
  return pathlib.Path(name).stem if is_table(name) else name


def is_table(name: str) -> bool:
  """Returns whether a name is the path of a table."""
  return name.endswith(_TABLE)


def needs_networks(name: str) -> bool:
  """Returns whether images must be looked at through networks."""
  return name in names_of_networks()


def names_of_networks() -> tuple[str, ...]:
  """Returns the names of those for which networks look at images."""
  return (*methods_lib.names(), *similarities.names())


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
    ValueError: If the table lacks one, or is none.
    OSError: If it cannot be read.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Looked:
  """What was found by looking at images through networks.

  Attributes:
    affinities: By name, float64 [targets, sources].
    represented: By network, [n, ...] of the images.
  """

  affinities: Mapping[str, np.ndarray]
  represented: Mapping[str, np.ndarray]


def of_networks(
  chosen: Sequence[str],
  bank: Bank,
  probe: ProbeSet,
  targets: Sequence[str],
  sources: Sequence[str],
  output: str | os.PathLike,
  track: Callable[..., Iterable],
  **options,
) -> Looked:
  """Returns affinities that need networks; what the folder holds is kept.

  Args:
    chosen: Attribution methods and similarities.
    bank: The networks; targets and sources are among them.
    probe: Images, without labels.
    targets: Names of the rows.
    sources: Names of the columns.
    output: Gets `model_space/` and `representations/`.
    track: Shows progress.
    **options: `batch_size` and `device`.
  """
  methods = [name for name in chosen if name in methods_lib.names()]
  others = [name for name in chosen if name not in methods]
  needed = methods
  if not methods or similarities.DEPARA in others:
    needed = list(dict.fromkeys([*methods, similarities.NODES]))
  projection = pipeline.Projection(
    pipeline.method_objects(needed),
    on_bad_map='drop_image',
    keep_representations=True,
    probes=Probes() if similarities.takes(others, 'probes') else None,
    **options,
  )
  spaces = pipeline.project(bank, probe, projection, output, track)
  found = {name: spaces[name].affinity(bank.names) for name in methods}
  represented = similarities.load(output, bank.names, spaces)
  found |= similarities.matrices(others, represented, spaces)
  rows = [bank.names.index(name) for name in targets]
  columns = [bank.names.index(name) for name in sources]
  affinities = {name: found[name][np.ix_(rows, columns)] for name in chosen}
  return Looked(affinities, represented)
