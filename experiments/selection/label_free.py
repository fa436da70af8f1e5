"""The label-free family as scores of sources for a target.

They need a network that was trained on the target, and no label: the score of
a source is its affinity, or its similarity, to that network on unlabelled
images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import time

import numpy as np

from experiments import pipeline, similarities
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from transferability import files

_NAME = 'target images'


@dataclasses.dataclass(frozen=True)
class Matrices:
  """What networks have in common, by measure.

  Attributes:
    names: Of the networks, in the order of the matrices.
    values: By measure, float64 [networks, networks].
    seconds: By measure: of a similarity all pairs, of an attribution method
      its share of the maps of all networks.
  """

  names: tuple[str, ...]
  values: Mapping[str, np.ndarray]
  seconds: Mapping[str, float]

  def scores(
    self, network: str, candidates: Sequence[str]
  ) -> dict[str, dict[str, float]]:
    """Returns by measure how near each candidate is to the target's network."""
    row = self.names.index(network)
    return {
      name: {
        candidate: float(matrix[row, self.names.index(candidate)])
        for candidate in candidates
      }
      for name, matrix in self.values.items()
    }


def compute(
  bank: Bank,
  images: np.ndarray,
  output: str | os.PathLike,
  *,
  methods: Sequence[str],
  batch_size: int,
  device: str | None,
  track: Callable[..., Iterable],
) -> Matrices:
  """Returns attribution affinities and similarities of a bank's networks.

  What the folder holds of the same images is not computed again.

  Args:
    bank: The networks.
    images: uint8 [M, S, S, 3]; no labels are asked for.
    output: Gets `model_space/`, `representations/` and `label_free/`.
    methods: Attribution methods.
    batch_size: Images explained at once.
    device: For example '/GPU:0'; None is TensorFlow's choice.
    track: Shows progress.
  """
  folder = pathlib.Path(output) / 'label_free'
  known = _read(folder, bank)
  if known is not None:
    return known
  digests = tuple(hashlib.sha256(i.tobytes()).hexdigest() for i in images)
  probe = ProbeSet(
    _NAME, images, tuple(f'image {i}' for i in range(len(images))), digests
  )
  projection = pipeline.Projection(
    pipeline.method_objects(methods),
    batch_size=batch_size,
    device=device,
    keep_representations=True,
    on_bad_map='drop_image',
  )
  clock = _Clock()
  chosen = [
    name
    for name in similarities.names()
    if name != similarities.DEPARA or similarities.NODES in methods
  ]
  spaces = pipeline.project(bank, probe, projection, output, track, clock)
  values, seconds = {}, {}
  for name in methods:
    started = time.perf_counter()
    values[name] = spaces[name].affinity(bank.names)
    seconds[name] = clock.per_image * len(images) * len(bank.names)
    seconds[name] /= len(methods)
    seconds[name] += time.perf_counter() - started
  represented = similarities.load(output, bank.names, spaces)
  for name in track(chosen, description='Similarities'):
    started = time.perf_counter()
    values.update(similarities.matrices([name], represented, spaces))
    seconds[name] = time.perf_counter() - started
  found = Matrices(bank.names, values, seconds)
  _write(folder, found)
  return found


class _Clock(pipeline.Observer):
  """Times the maps; of a resumed run, those that are computed now."""

  def __init__(self):
    self._seconds, self._images = 0.0, 0

  def finished(self, encoder, images, seconds, ruled) -> None:
    del encoder, ruled
    self._seconds += seconds
    self._images += images

  @property
  def per_image(self) -> float:
    """Seconds of one image and network; NaN if none was explained now."""
    return self._seconds / self._images if self._images else math.nan


def _write(folder: pathlib.Path, found: Matrices) -> None:
  content = {
    'names': found.names,
    'values': {name: matrix.tolist() for name, matrix in found.values.items()},
    'seconds': found.seconds,
  }
  text = json.dumps(content) + '\n'
  files.write_atomically(folder / 'matrices.json', text.encode())


def _read(folder: pathlib.Path, bank: Bank) -> Matrices | None:
  try:
    text = (folder / 'matrices.json').read_text(encoding='utf-8')
  except OSError:
    return None
  content = json.loads(text)
  if tuple(content['names']) != bank.names:
    return None
  values = {name: np.array(m) for name, m in content['values'].items()}
  return Matrices(bank.names, values, content['seconds'])
