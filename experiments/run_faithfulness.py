"""Are attribution maps faithful to the networks that they explain?

  python -m experiments.run_faithfulness
  python -m experiments.run_faithfulness --bank=FOLDER --num_images=16

Two tests of every method on every network of a bank. Deletion and insertion:
the parts of an image that a map finds relevant are replaced by its baseline,
and the representation must change, more than by parts in random order. Model
randomisation: the weights are randomised layer by layer, and the map must
change. The table, and the page, say which method to prefer for which kind of
network. A killed run goes on with --resume.
"""

import dataclasses
import pathlib

import numpy as np

import toolkit_basics.cli as cli
from attribution import methods as methods_lib
from attribution import perturbation
from experiments import (
  evaluation,
  network_errors,
  pipeline,
  report,
  shared_flags,
)
from experiments.faithfulness import (
  drawing,
  looking,
  perturbing,
  randomising,
  tables,
)
from experiments.report_answer import Answer
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files, memo, progress

FLAGS = cli.Flags()
_BANK = shared_flags.UsableBank(FLAGS)
_NETWORKS = shared_flags.networks(FLAGS, None, 'by default all')
_METHODS = FLAGS.some_of(
  'methods',
  'Attribution methods that are tested.',
  methods_lib.names(),
  methods_lib.names(),
)
_EPSILON = shared_flags.epsilon(FLAGS)
_STEPS = FLAGS.integer(
  'steps', 'Points of integrated gradients.', 32, lower_bound=1
)
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 50)
_BASELINES = FLAGS.some_of(
  'baselines',
  'What takes the place of parts of an image: blur is the image without its '
  'details, mean its mean colour.',
  perturbation.baselines(),
  perturbation.baselines(),
)
_CELL = FLAGS.integer(
  'cell',
  'Side, in pixels, of the squares that are replaced; 0 is 1/16 of the image.',
  0,
  lower_bound=0,
)
_NUM_RANDOMISED = FLAGS.integer(
  'num_randomised_images',
  'Images whose maps are compared with those of randomised networks, the first '
  'of all; 0 leaves that test out.',
  16,
  lower_bound=0,
)
_STAGES = FLAGS.integer(
  'stages',
  'Into how many parts the layers are divided that are randomised one after '
  'the other.',
  4,
  lower_bound=1,
)
_NUM_DRAWS = shared_flags.num_draws(FLAGS, 'images')
_BATCH_SIZE = shared_flags.batch_size(FLAGS)
_DEVICE = shared_flags.device(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/faithfulness')
_NOTE = (
  'Gain: what the curves of deletion and insertion enclose, the change of the '
  'representation averaged over the share of replaced cells; 0 is random '
  'order. It is the mean over the baselines, each of which has its column. '
  'Difference: the order of how much cells differ from the baseline. '
  'Randomised: the rank correlation (of magnitudes) and the cosine of maps '
  'before and after all weights are randomised. Refused: by how many networks. '
  'Intervals are 95 % over images.'
)


def _look(
  bank: Bank,
  encoder: Encoder,
  images: np.ndarray,
  how: looking.Explaining,
  kept: memo.Memo,
) -> tables.Seen:
  """Returns what both tests find of a network, or found before."""
  network = bank.network(encoder.name)
  replacing = perturbing.Perturbing(
    tuple(_BASELINES.value),
    _CELL.value or max(1, max(images.shape[1:3]) // 16),
    seed=_PROBE.seed.value,
  )
  mixing = randomising.Randomising(_STAGES.value, _PROBE.seed.value)
  few = images[: _NUM_RANDOMISED.value]
  key = {
    'network': network.digest,
    'preprocessing': encoder.preprocessing,
    'methods': [[m.name, dataclasses.asdict(m)] for m in how.methods],
    'images': images,
  }

  @network_errors.computing(encoder.name)
  def changed() -> dict[str, np.ndarray]:
    maps, refused = looking.maps_of(network, encoder, images, how)
    found = perturbing.curves(network, encoder, images, maps, replacing, how)
    return looking.packed(found, refused)

  @network_errors.computing(encoder.name)
  def alike() -> dict[str, np.ndarray]:
    return randomising.likenesses(network, encoder, few, mixing, how)

  curves = kept.recall(f'{encoder.name}.curves', [key, replacing], changed)
  found, refused = looking.unpacked(curves)
  likes = {}
  if len(few):
    key = {**key, 'images': few}
    likes = kept.recall(f'{encoder.name}.randomised', [key, mixing], alike)
  kind = looking.kind_of(network)
  name, by = encoder.name, replacing.baselines
  return tables.Seen(name, kind, by, replacing.shares, found, likes, refused)


def _write(output: pathlib.Path, seen: list[tables.Seen]) -> None:
  """Writes tables, figures and the page, and prints what was found."""
  methods, draws = _METHODS.value, _NUM_DRAWS.value
  summary = tables.kind_rows(seen, methods, draws)
  files.write_csv(output / 'summary.csv', summary)
  files.write_csv(
    output / 'networks.csv', tables.network_rows(seen, methods, draws)
  )
  files.write_csv(output / 'randomised.csv', tables.stage_rows(seen, methods))
  drawn = drawing.draw(output / 'figures', seen, methods)
  said = tables.sentences(seen, methods, draws)
  answer = Answer(said, tables.in_words(summary), _NOTE)
  files.write_atomically(output / 'answer.md', answer.to_markdown().encode())
  number = len(seen[0].area(perturbing.RANDOM))
  report.write(
    output / 'report.html',
    report.Shown(
      'Are the maps faithful?',
      f'{len(seen)} networks, {len(methods)} methods, {number} images.',
      answer,
      settings=FLAGS.values(('output', 'resume', 'overwrite')),
      pictures=drawn,
    ),
  )
  print(evaluation.format_table(summary))
  print('\n'.join(said))


def _work() -> int:
  bank = _BANK.load(_NETWORKS.value, batch_size=_BATCH_SIZE.value, least=1)
  record = _RECORD.open(bank.digests(), ('batch_size', 'device'))
  output = record.output
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print((output / 'answer.md').read_text(encoding='utf-8'))
    return _BANK.report(record)
  size = pipeline.probe_size(bank)
  bank = pipeline.resized(bank, size)
  images = _PROBE.load(size).images
  how = looking.Explaining(
    methods_lib.create_all(
      _METHODS.value, epsilon=_EPSILON.value, steps=_STEPS.value
    ),
    _BATCH_SIZE.value,
    _DEVICE.value,
  )
  record.start()
  kept = memo.Memo(output / 'networks', memo.ARRAYS)
  (output / 'networks').mkdir(exist_ok=True)
  with record.stage('networks'):
    seen = [
      _look(bank, encoder, images, how, kept)
      for encoder in progress.track(bank.encoders, description='Testing maps')
    ]
  with record.stage('report'):
    _write(output, seen)
  record.note('left_out', _BANK.left_out)
  record.finish()
  print(f'Results: {output}')
  return _BANK.report(record)


def main() -> int:
  return _BANK.carry_out(_work, _RECORD)


if __name__ == '__main__':
  cli.run(main, FLAGS)
