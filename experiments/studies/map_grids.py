"""Attribution maps of images by all networks and methods (Figure 2)."""

import pathlib

import numpy as np

from experiments import figures, visuals
from experiments.study import Finding, Results, Study

_EXAMPLES = 5


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes pure and overlaid grids for each probe set and method.

  And `sparsity.csv`: on how few pixels the relevance lies.
  """
  results, rows = Results(folder), []
  for probe in study.settings.probes:
    run = study.run(probe)
    stem = pathlib.Path(probe).stem
    for method in study.settings.methods:
      space = run.spaces[method]
      shown = space.kept_images[:_EXAMPLES]
      maps = visuals.example_maps(space, run.names, shown)
      images = run.probe.images[shown]
      for suffix, overlay in (('', False), ('_overlay', True)):
        path = f'{stem}_{method}{suffix}.png'
        shown = images, maps, study.labels, method, overlay, study.groups
        results.draw(path, figures.map_grid, *shown)
      for name, values in zip(run.names, maps, strict=True):
        share = np.abs(values).sum(axis=-1).reshape(len(values), -1)
        share = np.sort(share, axis=1)[:, ::-1]
        total = share.sum(axis=1, keepdims=True)
        half = 1 + np.sum(np.cumsum(share, axis=1) < total / 2, axis=1)
        rows.append((stem, method, name, float(np.mean(half / share.shape[1]))))
  header = ('probe', 'method', 'network', 'pixels_with_half_the_relevance')
  results.table('sparsity.csv', header, rows)
  mean = float(np.mean([row[-1] for row in rows if row[1] == study.method]))
  return Finding(
    f'Half of the relevance of {figures.method_label(study.method)} lies on '
    f'{mean:.1%} of the pixels, on average.',
    (
      'Each map is summed over its channels with its sign and divided by the '
      '99.5 % quantile of its own magnitude: colours of different maps cannot '
      'be compared. Overlays show the same over the grey image.',
    ),
    results.files,
  )
