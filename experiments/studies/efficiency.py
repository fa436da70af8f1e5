"""What attribution costs, against training the transfers (section 3.4)."""

import pathlib
import tempfile
import time

import numpy as np

from attribution.explainer import Explainer
from attribution.preprocessing import Preprocessing
from experiments import figures, network_errors, pipeline
from experiments.study import Finding, Results, Study
from probe_data import scene_dataset
from taskonomy_models.mini import readouts
from taskonomy_models.mini import tasks as mini_tasks
from transferability import similarity

_IMAGES = 100
_NETWORKS = 3
_SCENES = 200
_TARGET = 'rgb2depth'


def conduct(study: Study, folder: pathlib.Path) -> Finding:
  """Writes `seconds.csv`, measured here, and `formula.csv`."""
  run, results = study.run(), Results(folder)
  total, images = len(run.names), len(run.probe)
  attribution = _attribution_seconds(study)
  pair = _pair_seconds(study)
  rows = [
    ('attribution, per network and image', attribution),
    ('attribution, all networks and images', attribution * total * images),
    ('SVCCA, per pair of networks, representations given', pair),
    ('SVCCA, all pairs', pair * total * (total - 1) / 2),
  ]
  recipe = readouts.ReadoutRecipe()
  pictures = recipe.steps * recipe.batch_size
  ratio = pictures * (total - 1) / images
  text = ''
  if set(run.names) <= set(mini_tasks.MINI_TASKS):
    transfer = _transfer_seconds(study, recipe)
    everything = transfer * total * (total - 1)
    rows += [
      ('one transfer, trained', transfer),
      ('all transfers, trained once', everything),
    ]
    faster = everything / (attribution * total * images)
    text = (
      f' Measured, training all transfers once takes {faster:.1f} times as '
      'long as explaining all networks: readouts of frozen, small encoders '
      'train much faster than a backward pass through everything.'
    )
  seconds = [(name, float(value)) for name, value in rows]
  results.table('seconds.csv', ('what', 'seconds'), seconds)
  header = ('E_times_N', 'T', 'M', 'E_N_(T-1)_over_M')
  results.table('formula.csv', header, [(pictures, total, images, ratio)])
  results.draw(
    'seconds.png',
    figures.bars,
    [name for name, _ in rows],
    {'measured': [float(value) for _, value in rows]},
    'What it takes on this machine',
    'Seconds',
    log_scale=True,
  )
  return Finding(
    f'{1000 * attribution:.1f} ms per network and image for '
    f'{len(study.settings.methods)} methods; E N (T - 1) / M = {ratio:.0f} '
    'passes of training for one of attribution.' + text,
    (
      'E epochs over N pictures for each of T - 1 sources of T targets, '
      f'against M probe images for each network; E N = {pictures}, '
      f'T = {total}, M = {images}. Seconds depend on the machine and on what '
      'else it does.',
    ),
    results.files,
  )


def _attribution_seconds(study: Study) -> float:
  """Returns seconds per network and image, without building the graph."""
  settings = study.settings
  images = study.run().probe.images[:_IMAGES]
  seconds = []
  for encoder in study.bank.encoders[:_NETWORKS]:
    with (
      network_errors.computing(encoder.name),
      Explainer(
        study.bank.network(encoder.name),
        preprocessing=encoder.preprocessing,
        methods=pipeline.method_objects(settings.methods, settings.epsilon),
        batch_size=settings.batch_size,
        device=study.device,
        precision=settings.precision,
      ) as explainer,
    ):
      explainer.explain(images[:1])  # The first run prepares the graph.
      started = time.perf_counter()
      explainer.explain(images)
      seconds.append((time.perf_counter() - started) / len(images))
  return float(np.mean(seconds))


def _pair_seconds(study: Study) -> float:
  """Returns seconds of SVCCA per pair, with what networks cost shared out."""
  chosen = dict(list(study.run().representations.items())[:6])
  started = time.perf_counter()
  similarity.matrix('svcca', chosen)
  pairs = len(chosen) * (len(chosen) - 1) / 2
  return (time.perf_counter() - started) / pairs


def _transfer_seconds(study: Study, recipe: readouts.ReadoutRecipe) -> float:
  """Returns seconds of training a readout from one source, of all at once."""
  with tempfile.TemporaryDirectory() as folder:
    data = scene_dataset.build(folder, 'transfer', _SCENES, 64, workers=1)
    images, labels = np.array(data['image']), np.array(data[_TARGET])
  stacked = np.stack(
    [
      study.bank.network(encoder.name).run(
        Preprocessing.parse(encoder.preprocessing)(images)
      )
      for encoder in study.bank.encoders
    ]
  )
  started = time.perf_counter()
  trained = readouts.Readouts(
    mini_tasks.MINI_TASKS[_TARGET], stacked[:, 50:], labels[50:], recipe
  )
  trained.train(stacked[:, :50], labels[:50])
  return (time.perf_counter() - started) / len(stacked)
