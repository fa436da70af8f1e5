"""Says whether a compressed network kept its attributions, as a page."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from attribution_preservation import bootstrap, compression, matching, scores
from attribution_preservation.maps import METHODS, ClassMaps
from experiments import figures, report, report_answer
from toolkit_basics import files
from transferability import deviations

KEPT = 0.9  # Mean cosine to the maps before, from which maps count as kept.
_SHOWN = 5
BEFORE = 'before'


@dataclasses.dataclass(frozen=True)
class Judged:
  """A network on pictures that no network learned from.

  Attributes:
    outputs: float32 [n, ...].
    maps: Of each picture's first class before compression, by method.
    weights: How many there are, and how many differ from zero.
  """

  outputs: np.ndarray
  maps: Mapping[str, np.ndarray]
  weights: tuple[int, int]


def look(
  model: tf.keras.Model,
  preprocessing: str,
  images: np.ndarray,
  inputs: np.ndarray,
  classes: np.ndarray | None,
) -> Judged:
  """Returns what a network says of pictures, and why.

  Args:
    model: The network.
    preprocessing: T.
    images: uint8 [n, H, W, 3].
    inputs: The same, after T.
    classes: What is explained; None for the network's own first class.
  """
  found = model.predict(inputs, batch_size=32, verbose=0)
  scored = compression.scored(model)
  flat = found if found.ndim == 2 else found.mean(axis=(1, 2))
  classes = flat.argmax(axis=1) if classes is None else classes
  with ClassMaps(
    scored, preprocessing, patch=max(4, inputs.shape[1] // 8)
  ) as e:
    maps = e.maps(images, classes)
  return Judged(found, maps, compression.size(model))


def rows(looked: Mapping[str, Judged]) -> list[list[object]]:
  """Returns a table of networks, BEFORE first: sizes, outputs, maps.

  The error of outputs is in units of their variance over pictures, and NaN if
  they are the same for all.
  """
  before = looked[BEFORE]
  variance = np.square(deviations.of(before.outputs, 0)).mean() or np.nan
  header = ['network', 'weights', 'not zero', 'output error', 'same class']
  table: list[list[object]] = [[*header, *map(figures.method_label, METHODS)]]
  for name, own in looked.items():
    error = np.square(own.outputs - before.outputs).mean() / variance
    firsts = [
      (x if x.ndim == 2 else x.mean(axis=(1, 2))).argmax(axis=1)
      for x in (own.outputs, before.outputs)
    ]
    cosines = [
      float(np.nanmean(scores.cosines(own.maps[m], before.maps[m])))
      for m in METHODS
    ]
    same = float(np.mean(firsts[0] == firsts[1]))
    row = [_label(name), *own.weights, float(error), same, *cosines]
    table.append(row)
  return table


def _label(name: str) -> str:
  return 'Before' if name == BEFORE else matching.label(name)


def intervals(
  looked: Mapping[str, Judged], chosen: str
) -> dict[str, tuple[float, float, float]]:
  """Returns how much nearer maps are than plain compression's, by method.

  Mean and 95 % interval, over pictures, of the difference of cosines.
  """
  before, own, plain = looked[BEFORE], looked[chosen], looked['naive']
  number = len(before.outputs)
  found = {}
  for method in METHODS:
    sides = [
      [
        bootstrap.weighted_mean(
          scores.cosines(each.maps[method], before.maps[method]),
          np.arange(number),
        )
      ]
      for each in (own, plain)
    ]
    found[method] = bootstrap.paired_interval(*sides, number)
  return found


def verdict(looked: Mapping[str, Judged], chosen: str) -> list[str]:
  """Returns in words whether attributions were kept."""
  table = rows(looked)
  (own,) = [row for row in table if row[0] == _label(chosen)]
  cosines = dict(zip(METHODS, own[5:], strict=True))
  kept = [figures.method_label(m) for m, c in cosines.items() if c >= KEPT]
  least = min(cosines, key=lambda m: cosines[m])
  start = (
    'Its attributions were kept'
    if len(kept) == len(METHODS)
    else 'Its attributions were kept in part'
    if kept
    else 'Its attributions were not kept'
  )
  said = (
    f'{start}: {len(kept)} of {len(METHODS)} kinds of maps have a mean cosine '
    f'of at least {KEPT} to those before compression'
    f'{" (" + ", ".join(kept) + ")" if kept else ""}; the least is '
    f'{cosines[least]:.2f}, {figures.method_label(least)}.'
  )
  paragraphs = [said]
  if chosen != 'naive' and 'naive' in looked:
    found = intervals(looked, chosen)
    better = [figures.method_label(m) for m, v in found.items() if v[1] > 0]
    worse = [figures.method_label(m) for m, v in found.items() if v[2] < 0]
    mean, low, high = found['grad_cam']
    paragraphs.append(
      f'Against plain compression, {matching.label(chosen)} brings the cosine '
      f'of Grad-CAM from {_cosine(looked, "naive"):.2f} to '
      f'{_cosine(looked, chosen):.2f} (difference {mean:.3f}, 95 % interval '
      f'{low:.3f} to {high:.3f}, over pictures). Maps that are nearer, beyond '
      f'doubt: {", ".join(better) or "none"}; farther: '
      f'{", ".join(worse) or "none"}.'
    )
  return paragraphs


def _cosine(looked: Mapping[str, Judged], name: str) -> float:
  maps = looked[name].maps['grad_cam'], looked[BEFORE].maps['grad_cam']
  return float(np.nanmean(scores.cosines(*maps)))


def write(
  output: pathlib.Path,
  looked: Mapping[str, Judged],
  chosen: str,
  images: np.ndarray,
  settings: Mapping[str, object],
) -> list[str]:
  """Writes the table, figures and page of a run; returns the verdict."""
  paragraphs = verdict(looked, chosen)
  table = rows(looked)
  files.write_csv(output / 'summary.csv', table)
  if chosen != 'naive' and 'naive' in looked:
    header = ('attribution', 'nearer by', 'low', 'high')
    found = [
      (figures.method_label(m), *v)
      for m, v in intervals(looked, chosen).items()
    ]
    files.write_csv(output / 'differences.csv', [header, *found])
  labels = [_label(name) for name in looked]
  drawn = draw(output, images[:_SHOWN], looked, labels)
  note = (
    'Output error: the mean squared difference of outputs over their variance. '
    'Same class: how often the strongest output is the same. The last columns '
    'are mean cosines to the maps before compression, of the class that was '
    f'first then, on {len(images)} pictures that no network learned from.'
  )
  answer = report_answer.Answer(paragraphs, table, note)
  lead = f'{labels[-1]}, {len(images)} pictures.'
  shown = report.Shown(
    *('A compressed network', lead, answer), settings=settings, pictures=drawn
  )
  report.write(output / 'report.html', shown)
  files.write_atomically(output / 'answer.md', answer.to_markdown().encode())
  return paragraphs


def draw(
  output: pathlib.Path,
  images: np.ndarray,
  looked: Mapping[str, Judged],
  labels: Sequence[str],
) -> dict[str, pathlib.Path]:
  """Draws the maps of all networks side by side, a figure for each method.

  Returns:
    The PNGs, by captions.
  """
  drawn = {}
  for method in METHODS:
    maps = [own.maps[method][: len(images)] for own in looked.values()]
    path = output / 'figures' / f'maps_{method}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.map_grid(path, images, np.stack(maps), labels, method)
    drawn[f'Maps of {figures.method_label(method)}, by network.'] = path
  return drawn
