"""Which layer to take (rebuttal): maps and rankings from every stage."""

import dataclasses
import pathlib

import numpy as np

from experiments import evaluation, figures, pipeline, visuals
from experiments.study import Finding, Run, Study
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files

_IMAGES = 200
_NETWORKS, _EXAMPLES = 5, 4  # Whose maps are shown, of how many images.


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `layers.csv`, curves, and maps of every stage."""
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
  rows, labels, precision, spread, maps = [], [], [], [], []
  for depth in range(depths.pop()):
    encoders = tuple(
      dataclasses.replace(e, representation_tensor=found[e.name][depth][0])
      for e in study.bank.encoders
    )
    shape = found[encoders[0].name][depth][1]
    bank = dataclasses.replace(study.bank, encoders=encoders)
    run = _run(study, bank, probe, study.output / 'runs' / f'layer{depth + 1}')
    labels.append(f'{depth + 1}: {"x".join(map(str, shape))}')
    spread.append(entropy(run, study.method))
    space = run.spaces[study.method]
    images = space.kept_images[:_EXAMPLES]
    maps.append(visuals.example_maps(space, run.names[:_NETWORKS], images))
    row = [depth + 1, labels[-1], spread[-1], _mean_pair(run, study.method)]
    if study.oracle is not None:
      score = evaluation.score(
        run.affinity(study.method), run.names, study.oracle, study.bank.groups
      )
      k = min(5, len(run.names) - 1)
      precision.append(float(score.curve.precision[k - 1]))
      row += [precision[-1], score.spearman, float(score.p_values[k - 1])]
    rows.append(row)
  header = ['stage', 'shape', 'entropy', 'mean_affinity']
  stage = range(1, len(rows) + 1)
  shown = {'entropy': spread}
  figures.map_grid(
    folder / 'maps.png',
    probe.images[images],
    np.stack(maps, axis=1).reshape(-1, *maps[0].shape[1:]),
    [f'{name}: stage {i}' for name in study.labels[:_NETWORKS] for i in stage],
    study.method,
  )
  written = ['layers.png', 'maps.png']
  text = f'entropy {spread[0]:.3f} to {spread[-1]:.3f}'
  if precision:
    header += [f'P@{k}', 'spearman', 'p_value']
    shown[f'P@{k}'] = precision
    text += f', P@{k} {", ".join(f"{value:.3f}" for value in precision)}'
  figures.lines(
    folder / 'layers.png',
    stage,
    shown,
    f'{figures.method_label(study.method)} from every stage',
    f'Stage ({"; ".join(labels)})',
    'Share',
  )
  files.write_csv(folder / 'layers.csv', [header, *rows])
  return Finding(
    f'From the first stage to the representation: {text}.',
    (
      'A stage ends in the last activation of its resolution and width. '
      f'{len(probe)} images. Entropy of the magnitude of a map over its '
      'pixels, divided by that of a uniform map: how evenly relevance is '
      'spread.',
    ),
    (*written, 'layers.csv'),
  )


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


def _run(study: Study, bank: Bank, probe, folder: pathlib.Path) -> Run:
  method = pipeline.method_objects([study.method], study.settings.epsilon)
  projection = dataclasses.replace(
    study.projection(), methods=method, keep_representations=False
  )
  spaces = pipeline.project(bank, probe, projection, folder, study.track)
  return Run(probe, spaces, bank.names, folder)


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


def _mean_pair(run: Run, method: str) -> float:
  matrix = run.affinity(method)
  return float(matrix[np.triu_indices(len(matrix), 1)].mean())
