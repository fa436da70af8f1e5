"""Attribution maps of images by all networks and methods (Figure 2)."""

import pathlib

import numpy as np

from experiments import figures, visuals
from experiments.study import Finding, Study
from toolkit_basics import files

_EXAMPLES = 5


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes pure and overlaid grids for each probe set and method.

  And `sparsity.csv`: on how few pixels the relevance lies.
  """
  written, rows = [], []
  for probe in study.settings.probes:
    run = study.run(probe)
    stem = pathlib.Path(probe).stem
    for method in study.settings.methods:
      space = run.spaces[method]
      shown = space.kept_images[:_EXAMPLES]
      maps = visuals.example_maps(space, run.names, shown)
      images = run.probe.images[shown]
      for path, overlay in (
        (f'{stem}_{method}.png', False),
        (f'{stem}_{method}_overlay.png', True),
      ):
        figures.map_grid(
          folder / path, images, maps, study.labels, method, overlay
        )
        written.append(path)
      for name, values in zip(run.names, maps, strict=True):
        share = np.abs(values).sum(axis=-1).reshape(len(values), -1)
        share = np.sort(share, axis=1)[:, ::-1]
        total = share.sum(axis=1, keepdims=True)
        half = 1 + np.sum(np.cumsum(share, axis=1) < total / 2, axis=1)
        rows.append((stem, method, name, float(np.mean(half / share.shape[1]))))
  files.write_csv(
    folder / 'sparsity.csv',
    [('probe', 'method', 'network', 'pixels_with_half_the_relevance'), *rows],
  )
  mean = float(np.mean([row[-1] for row in rows if row[1] == study.method]))
  return Finding(
    f'Half of the relevance of {figures.method_label(study.method)} lies on '
    f'{mean:.1%} of the pixels, on average.',
    (
      'Each map is summed over its channels with its sign and divided by the '
      '99.5 % quantile of its own magnitude: colours of different maps cannot '
      'be compared. Overlays show the same over the grey image.',
    ),
    (*written, 'sparsity.csv'),
  )
