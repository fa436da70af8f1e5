"""Which layer to take (rebuttal): maps and rankings from every stage."""

import dataclasses
import pathlib

import numpy as np

from experiments import evaluation, figures, pipeline, visuals
from experiments.study import Finding, Results, Run, Study
from taskonomy_models.encoder import Encoder

_IMAGES = 200
_NETWORKS, _EXAMPLES = 5, 4  # Whose maps are shown, of how many images.


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `layers.csv`, curves, and maps of every stage."""
  results, runs = Results(folder), _runs(study)
  probe = runs[0][1].probe
  k = min(5, len(study.bank.names) - 1)
  rows, maps = [], []
  for number, (shape, run) in enumerate(runs, start=1):
    matrix, space = run.affinity(study.method), run.spaces[study.method]
    images = space.kept_images[:_EXAMPLES]
    maps.append(visuals.example_maps(space, run.names[:_NETWORKS], images))
    label = f'{number}: {"x".join(map(str, shape))}'
    rows.append([number, label, entropy(run, study.method), _mean_pair(matrix)])
    if study.oracle is not None:
      score = evaluation.score(
        matrix, run.names, study.oracle, study.bank.groups
      )
      precision, p_value = score.curve.precision[k - 1], score.p_values[k - 1]
      rows[-1] += [float(precision), score.spearman, float(p_value)]
  header = ['stage', 'shape', 'entropy', 'mean_affinity']
  stage, labels, spread, _, *scores = zip(*rows, strict=True)
  shown = {'entropy': spread}
  text = f'entropy {spread[0]:.3f} to {spread[-1]:.3f}'
  if scores:
    header += [f'P@{k}', 'spearman', 'p_value']
    shown[f'P@{k}'] = scores[0]
    text += f', P@{k} {", ".join(f"{value:.3f}" for value in scores[0])}'
  results.draw(
    'layers.png',
    figures.lines,
    stage,
    shown,
    f'{figures.method_label(study.method)} from every stage',
    f'Stage ({"; ".join(labels)})',
    'Share',
  )
  results.draw(
    'maps.png',
    figures.map_grid,
    probe.images[images],
    np.stack(maps, axis=1).reshape(-1, *maps[0].shape[1:]),
    [f'{name}: stage {i}' for name in study.labels[:_NETWORKS] for i in stage],
    study.method,
  )
  results.table('layers.csv', header, rows)
  return Finding(
    f'From the first stage to the representation: {text}.',
    (
      'A stage ends in the last activation of its resolution and width. '
      f'{len(probe)} images. Entropy of the magnitude of a map over its '
      'pixels, divided by that of a uniform map: how evenly relevance is '
      'spread.',
    ),
    results.files,
  )


def _runs(study: Study) -> list[tuple[tuple[int, ...], Run]]:
  """Returns the shape of every stage, and the run of all networks there."""
  found = {e.name: stages(e) for e in study.bank.encoders}
  depths = {len(tensors) for tensors in found.values()}
  if len(depths) > 1:
    raise ValueError(
      'The networks have different numbers of stages, so that their layers '
      f'do not correspond: { {n: len(t) for n, t in found.items()} }.'
    )
  probe = study.probe_set(study.settings.probes[0])
  count = min(_IMAGES, len(probe))
  probe = dataclasses.replace(
    probe,
    images=probe.images[:count],
    ids=probe.ids[:count],
    digests=probe.digests[:count],
  )
  projection = dataclasses.replace(
    study.projection(),
    methods=pipeline.method_objects([study.method], study.settings.epsilon),
    keep_representations=False,
  )
  runs = []
  for depth in range(depths.pop()):
    encoders = tuple(
      dataclasses.replace(e, representation_tensor=found[e.name][depth][0])
      for e in study.bank.encoders
    )
    bank = dataclasses.replace(study.bank, encoders=encoders)
    folder = study.output / 'runs' / f'layer{depth + 1}'
    spaces = pipeline.project(bank, probe, projection, folder, study.track)
    shape = found[encoders[0].name][depth][1]
    runs.append((shape, Run(probe, spaces, bank.names, folder)))
  return runs


def stages(encoder: Encoder) -> list[tuple[str, tuple[int, ...]]]:
  """Returns the last activation of every size, in order, and its shape.

  The last one is the representation itself.
  """
  network = encoder.load()
  ends = {shape[1:]: name for name, shape in network.activations().items()}
  last = network.representation_shape[1:]
  ends.pop(last, None)
  ends[last] = encoder.representation_tensor
  return [(tensor, shape) for shape, tensor in ends.items()]


def entropy(run: Run, method: str) -> float:
  """Returns the mean entropy of maps over pixels, 1 for uniform ones."""
  space = run.spaces[method]
  channels = space.map_shape[-1]
  values = []
  for name in run.names:
    rows = np.abs(np.asarray(space.rows(name)[space.kept_images], np.float64))
    share = rows.reshape(len(rows), -1, channels).sum(axis=-1)
    share /= share.sum(axis=1, keepdims=True)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    values.append(-np.sum(share * logs, axis=1) / np.log(share.shape[1]))
  return float(np.mean(values))


def _mean_pair(matrix: np.ndarray) -> float:
  return float(matrix[np.triu_indices(len(matrix), 1)].mean())
