"""Do maps look at the pixels that matter for a task (reviewer 4, point 4)?

Procedural scenes say exactly which pixels are edges in the picture, in space,
of classes (`probe_data.scene_pixels`). A map agrees with such pixels as far as
its large cells are theirs. Beside each network stands its twin with shuffled
weights, which has learned nothing.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from attribution.explainer import Explainer
from attribution.probes import Probes
from experiments import figures, network_errors, pipeline
from experiments.studies.layers import stages
from experiments.study import Finding, Results, Study
from frozen_graphs.permuted import permuted
from probe_data import scene_pixels, scenes
from taskonomy_models import tasks
from taskonomy_models.encoder import Encoder
from transferability import pixel_agreement, resampling

_IMAGES = 200
_MAX_STAGES = 4
_DRAWS = 2000  # Of the networks, for intervals.
_PROBES = Probes(count=8, num_images=48)
_AT_ONCE = 16  # Images whose directions are followed at once.
DIRECTIONS = 'directions'  # Energy over random directions, beside the methods.
_SHOWN = ('edge2d', 'rgb2sfnorm', 'edge3d', 'segmentsemantic', 'room_layout')
_GIVEN = 'edge2d'  # Whose pixels are left out of the partial correlation.
_TRAINED, _TWIN = 'trained', 'shuffled'
_GROUPS = {task.name: task.group for task in tasks.TASKS}
_TASKS = tuple(_GROUPS)


@dataclasses.dataclass(frozen=True)
class Scored:
  """How one network's maps agree with the pixels of every task.

  Attributes:
    network: Name.
    stage: Which of its layers, from 1; the last is the representation.
    weights: `trained` or `shuffled`.
    method: Attribution method, or DIRECTIONS.
    plain: Mean rank correlation over images, by task of the pixels, [tasks].
    partial: The same without what the edges of the picture explain.
  """

  network: str
  stage: int
  weights: str
  method: str
  plain: np.ndarray
  partial: np.ndarray


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `agreement.csv`, `summary.csv`, and figures of both."""
  results = Results(folder)
  count = min(_IMAGES, study.settings.num_images)
  seeds = [
    scenes.scene_seed('test', index, study.settings.seed)
    for index in range(count)
  ]
  names = np.array([f'scene-{seed}' for seed in seeds])
  size = max(study.image_size) // 2 * 2
  pictures, pixels = scene_pixels.of_scenes(seeds, size)
  truth = np.stack(
    [
      pixel_agreement.unit_ranks(pixels[task].reshape(count, -1))
      for task in _TASKS
    ]
  )
  scored = []
  jobs = study.bank.encoders
  for encoder in study.track(
    jobs, total=len(jobs), description='Comparing maps with pixels'
  ):
    scored += _scored(study, encoder, pictures, names, truth)
  results.draw(
    'pixels.png',
    figures.map_grid,
    pictures[:4],
    np.stack([pixels[task][:4, ..., None] for task in _SHOWN]),
    _SHOWN,
    '',
    title='Pixels that matter, read off the labels',
  )
  summary = _summary(scored, study)
  for method, ending in ((study.method, ''), (DIRECTIONS, '_of_directions')):
    _draw(results, study, scored, method, ending)
  header = ('network', 'group', 'stage', 'weights', 'method', 'kind', *_TASKS)
  groups = study.bank.groups
  results.table(
    'agreement.csv',
    header,
    [
      (
        s.network,
        groups.get(s.network, ''),
        s.stage,
        s.weights,
        s.method,
        kind,
        *map(float, getattr(s, kind)),
      )
      for s in scored
      for kind in ('plain', 'partial')
    ],
  )
  results.table('summary.csv', list(summary[0]), [s.values() for s in summary])
  return Finding(_headline(study, summary), _NOTES, results.files)


_NOTES = (
  "Agreement: Spearman's correlation, over cells of 2 x 2 pixels of an image, "
  'of the magnitude of a map with how much a cell matters for a task; mean '
  f'over up to {_IMAGES} scenes of the test split. Partial: without what the '
  f'pixels of {_GIVEN} (edges of the picture) explain. Own: pixels of the '
  "network's own task; group: of the tasks of its group; others: of the other "
  'groups. Specific: own less the mean over the pixels of all other '
  "networks' tasks, and p the share of assignments of tasks to networks that "
  "do as well. Gain: the group's agreement less that of the twin, with an "
  'interval of 95 % over the networks by bootstrap.',
  'Directions: instead of a map, the squared gradients of '
  f'{_PROBES.count} random directions of the representation, which keep what a '
  f'mean over units cancels, on {_PROBES.num_images} of the images.',
  'Shuffled: the same architecture with the elements of each of its weights in '
  'another order. Stages as in the study of layers: the last activation of '
  'each resolution and width; the last is the representation.',
)


def _scored(
  study: Study,
  encoder: Encoder,
  pictures: np.ndarray,
  names: np.ndarray,
  truth: np.ndarray,
) -> list[Scored]:
  """Returns the scores of a network and its twin, of every stage and method."""
  network, found = study.bank.network(encoder.name), stages(encoder)
  kept = np.linspace(0, len(found) - 1, min(_MAX_STAGES, len(found)))
  tensors = [found[int(round(place))][0] for place in kept]
  everything = np.arange(len(pictures))
  probed = _PROBES.chosen(len(pictures))
  scored = []
  twin = permuted(network, study.settings.seed)
  for weights, source in ((_TRAINED, network), (_TWIN, twin)):
    for stage, tensor in enumerate(tensors, start=1):
      with (
        network_errors.computing(encoder.name),
        Explainer(
          source.at(tensor),
          preprocessing=encoder.preprocessing,
          methods=pipeline.method_objects(
            study.settings.methods, study.settings.epsilon
          ),
          probe_methods=(_PROBES.method,),
          batch_size=study.settings.batch_size,
          device=study.device,
          precision=study.settings.precision,
        ) as explainer,
      ):
        maps = explainer.explain(pictures).maps
        seen = {m: (cells(values), everything) for m, values in maps.items()}
        energy = _energy(explainer, pictures[probed], names[probed])
        seen[DIRECTIONS] = energy, probed
      for method, (values, images) in seen.items():
        ranks, wanted = pixel_agreement.unit_ranks(values), truth[:, images]
        given = wanted[_TASKS.index(_GIVEN)]
        plain = pixel_agreement.correlation(ranks, wanted)
        partial = pixel_agreement.partial_correlation(ranks, wanted, given)
        means = [_mean(agreement) for agreement in (plain, partial)]
        scored.append(Scored(encoder.name, stage, weights, method, *means))
  return scored


def _energy(
  explainer: Explainer, pictures: np.ndarray, names: np.ndarray
) -> np.ndarray:
  """Returns how much each cell moves the representation, any way, [N, cells].

  The mean over random directions of the squares of their gradients estimates
  the diagonal of J^T J.
  """
  found = []
  for start in range(0, len(pictures), _AT_ONCE):
    part = slice(start, start + _AT_ONCE)
    directions = _PROBES.directions(
      explainer.digest,
      list(names[part]),
      explainer.count_units(pictures[part]),
    )
    maps = explainer.probe(_PROBES.method.name, pictures[part], directions)
    found.append(cells(np.square(maps).sum(axis=1)))
  return np.concatenate(found)


def cells(maps: np.ndarray) -> np.ndarray:
  """Magnitude of maps in cells of 2 x 2 pixels.

  Args:
    maps: [N, H, W, C], H and W even.

  Returns:
    [N, H * W / 4], the sum over channels and pixels of the magnitudes.
  """
  number, height, width, _ = maps.shape
  magnitude = np.abs(maps).sum(axis=-1)
  blocks = magnitude.reshape(number, height // 2, 2, width // 2, 2)
  return blocks.sum(axis=(2, 4)).reshape(number, -1)


def _mean(agreement: np.ndarray) -> np.ndarray:
  """Mean over images where it is defined, [tasks, images] to [tasks]."""
  known = np.isfinite(agreement)
  total = np.where(known, agreement, 0).sum(axis=1)
  count = known.sum(axis=1)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of(scored: Sequence[Scored], **wanted) -> list[Scored]:
  return [
    s
    for s in scored
    if all(getattr(s, name) == value for name, value in wanted.items())
  ]


def _parts(
  values: np.ndarray, network: str, group: str | None
) -> dict[str, float]:
  """Returns the agreement with pixels of its own task, group, and others'."""
  alike = np.array([_GROUPS[task] == group for task in _TASKS])
  known = np.isfinite(values)
  own = values[_TASKS.index(network)] if network in _TASKS else np.nan

  def mean(chosen):
    return float(values[chosen].mean()) if chosen.any() else np.nan

  return {
    'own': float(own),
    'group': mean(alike & known),
    'others': mean(~alike & known),
  }


def _summary(scored: Sequence[Scored], study: Study) -> list[dict]:
  """Returns a row for each method, stage, kind and weights."""
  rows = []
  groups = study.bank.groups
  for method in (*study.settings.methods, DIRECTIONS):
    for stage in sorted({s.stage for s in scored}):
      for kind in ('plain', 'partial'):
        for weights in (_TRAINED, _TWIN):
          chosen = _of(scored, method=method, stage=stage, weights=weights)
          parts = [
            _parts(getattr(s, kind), s.network, groups.get(s.network))
            for s in chosen
          ]
          row = {
            'method': method,
            'stage': stage,
            'kind': kind,
            'weights': weights,
            'networks': len(chosen),
          }
          for part in ('own', 'group', 'others'):
            row[part] = _nanmean([p[part] for p in parts])
          row['specific'], row['p'] = _specific(chosen, kind)
          row |= _gain(scored, chosen, kind, groups)
          rows.append(row)
  return rows


def _gain(
  scored: Sequence[Scored],
  chosen: Sequence[Scored],
  kind: str,
  groups: Mapping[str, str],
) -> dict[str, float]:
  """Returns the group's agreement less the twin's, with an interval.

  Mean over networks; the interval is over them, by bootstrap.
  """

  def group_part(one: Scored) -> float:
    values = getattr(one, kind)
    return _parts(values, one.network, groups.get(one.network))['group']

  gains = []
  for one in chosen:
    (twin,) = _of(
      scored,
      network=one.network,
      stage=one.stage,
      method=one.method,
      weights=_TWIN,
    )
    gains.append(group_part(one) - group_part(twin))
  known = np.array([gain for gain in gains if np.isfinite(gain)])
  if not known.size:
    return dict.fromkeys(('gain', 'gain_low', 'gain_high'), np.nan)
  drawn = resampling.weights(len(known), _DRAWS) @ known
  low, high = resampling.interval(drawn)
  return {
    'gain': float(known.mean()),
    'gain_low': float(low),
    'gain_high': float(high),
  }


def _nanmean(values: Sequence[float]) -> float:
  known = [value for value in values if np.isfinite(value)]
  return float(np.mean(known)) if known else np.nan


def _specific(scored: Sequence[Scored], kind: str) -> tuple[float, float]:
  """Returns how much networks prefer the pixels of their own tasks, and p."""
  known = [s for s in scored if s.network in _TASKS]
  if kind == 'partial':
    known = [s for s in known if s.network != _GIVEN]
  if len(known) < 2:
    return np.nan, np.nan
  table = np.stack([getattr(s, kind) for s in known])
  own = np.array([_TASKS.index(s.network) for s in known])
  return pixel_agreement.own_column_p_value(table, own)


def _draw(
  results: Results,
  study: Study,
  scored: Sequence[Scored],
  method: str,
  ending: str,
) -> None:
  """Draws networks as bars, and all of them layer by layer."""
  last = max(s.stage for s in scored)
  groups = study.bank.groups
  bars: dict[str, list[float]] = {}
  for weights in (_TRAINED, _TWIN):
    for s in _of(scored, method=method, weights=weights):
      if s.stage != _last_stage(scored, s.network):
        continue
      parts = _parts(s.plain, s.network, groups.get(s.network))
      for part in ('group', 'others'):
        bars.setdefault(f'{part}, {weights}', []).append(parts[part])
  results.draw(
    f'networks{ending}.png',
    figures.bars,
    study.labels,
    bars,
    f'{figures.method_label(method)}: do maps lie on pixels of the task?',
    'Rank correlation over pixels',
  )
  numbers = range(1, last + 1)
  lines: dict[str, list[float]] = {}
  for weights in (_TRAINED, _TWIN):
    for part in ('group', 'others'):
      lines[f'{part}, {weights}'] = [
        _nanmean(
          [
            _parts(s.plain, s.network, groups.get(s.network))[part]
            for s in _of(scored, method=method, weights=weights, stage=number)
          ]
        )
        for number in numbers
      ]
  results.draw(
    f'layers{ending}.png',
    figures.lines,
    list(numbers),
    lines,
    f'{figures.method_label(method)} from every stage',
    'Stage',
    'Rank correlation over pixels',
  )


def _last_stage(scored: Sequence[Scored], network: str) -> int:
  return max(s.stage for s in scored if s.network == network)


def _headline(study: Study, summary: Sequence[Mapping]) -> str:
  last = max(row['stage'] for row in summary)

  def of(method, weights, stage=last):
    wanted = method, stage, 'plain', weights
    columns = 'method', 'stage', 'kind', 'weights'
    (row,) = [r for r in summary if tuple(r[c] for c in columns) == wanted]
    return row

  texts = []
  for method in (study.method, DIRECTIONS):
    trained, twin = of(method, _TRAINED), of(method, _TWIN)
    stages_of = [
      f'{of(method, _TRAINED, n)["group"]:.3f}' for n in range(1, last + 1)
    ]
    texts.append(
      f'{figures.method_label(method)}: agreement with the pixels of the own '
      f'group {trained["group"]:.3f}, of the others {trained["others"]:.3f}, '
      f'with shuffled weights {twin["group"]:.3f} and {twin["others"]:.3f}; '
      f'own task {trained["specific"]:+.3f} against those of other networks (p '
      f'{trained["p"]:.4f}); own group, stage by stage: {", ".join(stages_of)}'
    )
  return f'{". ".join(texts)}.'
