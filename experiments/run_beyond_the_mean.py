"""Chooses, proves and tries to break the measures beyond the mean over units.

  python -m experiments.run_beyond_the_mean
  python -m experiments.run_beyond_the_mean --probe=scenes,coco --probe_dir=DIR

Settings are chosen on validation scenes of the mini bank; the proof is on test
scenes, photographs and noise, on that bank and on banks that had no part in the
choice. Writes `choices.csv`, `proof.csv`, `differences.csv`, `changes.csv`,
`counts.csv`, `costs.csv`, `alone.csv`, `remedies.csv` and the figures of
docs/beyond_the_mean.md. A stopped command goes on where it was.
"""

import dataclasses
import os
import pathlib

import numpy as np

import toolkit_basics.cli as cli
from attribution.probes import Probes
from experiments import (
  evaluation,
  figures,
  pipeline,
  shared_flags,
)
from experiments.beyond import (
  alone,
  breaking,
  choosing,
  observing,
  proving,
  remedies,
)
from experiments.beyond.observing import Observed
from experiments.figures import beyond as pictures
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.mini import building
from toolkit_basics import files, memo, progress
from transferability.oracle import Oracle

FLAGS = cli.Flags()
_BANKS = FLAGS.paths(
  'bank',
  'Banks with measured transfers, by name or folder, with commas; the settings '
  'are chosen on the first.',
  [name for name in banks.NAMED if name.startswith('mini')],
)
_USABLE = shared_flags.UsableBanks(FLAGS)
_PROBES = shared_flags.probes(FLAGS, ['scenes', 'photos', 'noise'])
_PROBE_DIR = shared_flags.probe_dir(FLAGS)
_NUM_IMAGES = shared_flags.num_images(FLAGS, 200, observing.LEAST_IMAGES)
_DATA_DIR = shared_flags.data_dir(FLAGS)
_CHOOSE = FLAGS.bool(
  'choose', 'Also compare all settings, on validation scenes.', True
)
_OUTPUT = shared_flags.output(FLAGS, 'results/beyond_the_mean', 'a folder')

_NUM_VALIDATION = 800
_SHOWN = ('reshade', 'edge2d')


def _validation(bank: Bank) -> tuple[probe_sets.ProbeSet, Oracle]:
  """Returns validation scenes, and the transfers measured on such scenes."""
  scenes = building.Scenes(_DATA_DIR.value, building.data_sizes(bank.folder))
  scenes.split('validation')  # They are rendered if they are not there.
  probe = probe_sets.load(
    scenes.path('validation', 'image'),
    num_images=_NUM_VALIDATION,
    image_size=(building.IMAGE_SIZE,) * 2,
    progress=progress.track,
  )
  path = os.path.join(bank.folder, 'oracle_validation.csv')
  return probe, Oracle.load(path).restrict(bank.names)


def _choose(bank: Bank, output: pathlib.Path) -> None:
  """Writes `choices.csv`, and `counts.csv` with its figure."""
  probe, oracle = _validation(bank)
  folder = output / 'choice'
  grams = {
    method: choosing.products(bank, probe, method, folder, progress.track)
    for method in choosing.METHODS
  }
  represented = memo.Memo(folder, memo.ARRAYS).recall(
    'representations',
    {'graphs': bank.digests()['graphs'], 'images': probe.digest},
    lambda: observing.represent(bank, probe, progress.track),
  )
  key = {
    'graphs': bank.digests()['graphs'],
    'images': probe.digest,
    'oracle': oracle.ranking,
    'compared': choosing.COMPARED,
    'default': Probes(),
  }
  table = memo.Memo(folder).recall(
    'table',
    key,
    lambda: choosing.rows(
      list(choosing.settings(bank, oracle, represented, grams))
    ),
  )
  files.write_csv(output / 'choices.csv', table)
  chosen = [table[0], *(row for row in table[1:] if row[-1])]
  print(f'On {len(probe)} validation scenes:')
  print(evaluation.format_table(chosen))
  table = breaking.count_rows(grams['gradient'], bank, oracle)
  files.write_csv(output / 'counts.csv', table)
  most = max(choosing.IMAGES)
  curves = {
    figures.method_label(measure): [
      row[4] for row in table[1:] if row[0] == measure and row[2] == most
    ]
    for measure in ('attribution_kernel', 'attribution_span')
  }
  constant = evaluation.baseline_scores(oracle, bank.groups)
  levels = {
    'Constant order': evaluation.at(
      constant['constant_ranking'].curve.precision, 3
    )
  }
  pictures.quality(
    output / 'counts.png',
    choosing.COUNTS,
    curves,
    levels,
    f'Directions an image ({most} validation scenes)',
    'P@3',
  )


def _prove(bank: Bank, name: str, output: pathlib.Path) -> Observed:
  probe = pipeline.load_probe(
    bank,
    name,
    probe_dir=_PROBE_DIR.value
    if name in ('taskonomy', 'indoor', 'coco')
    else None,
    num_images=_NUM_IMAGES.value,
  )
  folder = output / 'runs' / bank.name / pathlib.Path(name).stem
  return observing.observe(bank, probe, folder, progress.track)


def _alone(bank: Bank, oracle: Oracle, output: pathlib.Path) -> list[list]:
  """Returns how well scores of one network alone order the sources."""
  probe = pipeline.load_probe(bank, 'scenes', num_images=_NUM_IMAGES.value)
  found = memo.Memo(output / 'runs' / bank.name).recall(
    'alone',
    {'graphs': bank.digests()['graphs'], 'images': probe.digest},
    lambda: alone.scores(bank, probe, progress.track),
  )
  return alone.rows(found, bank.names, oracle)


def _remedies(
  bank: Bank, oracle: Oracle, observed: Observed, output: pathlib.Path
) -> list[list]:
  """Returns what readouts that can do more are worth, on scenes."""
  probe = pipeline.load_probe(bank, 'scenes', num_images=_NUM_IMAGES.value)
  decoded = memo.Memo(output / 'runs' / bank.name, memo.ARRAYS).recall(
    'remedies',
    {
      'graphs': bank.digests()['graphs'],
      'images': probe.digest,
      'variants': remedies.VARIANTS,
    },
    lambda: remedies.matrices(
      observing.represent(bank, probe, progress.track), progress.track
    ),
  )
  span = observed.matrices['attribution_span'][0]
  return remedies.rows(decoded, span, bank.names, oracle)


def _draw_spans(bank: Bank, output: pathlib.Path) -> None:
  """Draws what a span looks like beside the map of the mean over units."""
  probes = Probes(count=64, num_images=3)
  probe = pipeline.load_probe(bank, 'photos', num_images=60)
  images = probe.images[probes.chosen(len(probe.ids))]
  for name in (each for each in _SHOWN if each in bank.names):
    (encoder,) = (e for e in bank.encoders if e.name == name)
    network = bank.network(name)
    with observing.probing(
      encoder, network, 'gradient', len(images)
    ) as explainer:
      size = explainer.count_units(images)
      mean = explainer.explain(images).maps['gradient'].sum(axis=-1)
      digests = [str(i) for i in range(len(images))]
      directions = probes.directions(network.digest, digests, size)
      maps = explainer.probe('gradient', images, directions)
    flat = maps.reshape(*maps.shape[:2], -1)
    leading = [np.linalg.svd(rows, full_matrices=False)[2][:3] for rows in flat]
    shape = maps.shape[2:]
    panels = {'Mean over units': list(mean)}
    panels['Energy of the span'] = list(np.square(maps).mean((1, 4)) ** 0.5)
    for i in range(3):
      panels[f'Direction {i + 1}'] = [
        rows[i].reshape(shape).sum(axis=-1) for rows in leading
      ]
    pictures.spans(output / f'spans_{name}.png', list(images), panels)


def _work() -> int:
  output, names = pathlib.Path(_OUTPUT.value), shared_flags.shown_names(_BANKS)
  # Banks of one recipe are called alike; here they are what was asked for.
  loaded = [
    dataclasses.replace(_USABLE.open(bank, least=3), name=name)
    for bank, name in zip(_BANKS.value, names, strict=True)
  ]
  first = loaded[0]
  if _CHOOSE.value:
    _choose(first, output)
  proof: list[list] = []
  differences: list[list] = []
  costs: list[list] = [['bank', 'images', 'what', 'seconds']]
  lonely: list[list] = [['bank', *alone.HEADER]]
  tried: list[list] = [['bank', *remedies.HEADER]]
  for bank in loaded:
    oracle = evaluation.load_oracle(bank)
    if oracle is None:
      raise ValueError(f'The bank {bank.name!r} has no measured transfers.')
    for name in _PROBES.value:
      observed = _prove(bank, name, output)
      for table, found in (
        (proof, proving.rows(observed, oracle, bank.groups)),
        (differences, proving.differences(observed, oracle)),
      ):
        if not table:
          table.append(['bank', 'images', *found[0]])
        table += [[bank.name, name, *row] for row in found[1:]]
      costs += [[bank.name, name, *each] for each in observed.seconds.items()]
      if name == 'scenes':
        _, *found = _remedies(bank, oracle, observed, output)
        tried += [[bank.name, *row] for row in found]
      print(f'{bank.name}, {name}:')
      print(evaluation.format_table(proving.rows(observed, oracle, {})))
    _, *found = _alone(bank, oracle, output)
    lonely += [[bank.name, *row] for row in found]
  files.write_csv(output / 'proof.csv', proof)
  files.write_csv(output / 'differences.csv', differences)
  files.write_csv(output / 'costs.csv', costs)
  files.write_csv(output / 'alone.csv', lonely)
  files.write_csv(output / 'remedies.csv', tried)
  print('Scores of one network alone, on scenes:')
  print(evaluation.format_table(lonely))
  oracle = evaluation.load_oracle(first)
  probe = pipeline.load_probe(first, 'scenes', num_images=_NUM_IMAGES.value)
  key = {'graphs': first.digests(), 'probe': probe.digest}
  changes = memo.Memo(output, memo.JSON).recall(
    'changes', key, lambda: breaking.rows(first, probe, oracle, progress.track)
  )
  files.write_csv(output / 'changes.csv', changes)
  print('Changed representations, test scenes:')
  print(evaluation.format_table(changes))
  _draw_spans(first, output)
  print(f'Results: {output}')
  return _USABLE.report()


def main() -> int:
  return _USABLE.carry_out(_work)


if __name__ == '__main__':
  cli.run(main, FLAGS)
