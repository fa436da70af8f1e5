"""Compresses a Keras network, and says whether its attributions were kept.

  python -m experiments.compress model.keras --ratio=0.6 --probe=PICTURES
  python -m experiments.compress keras:MobileNet:random --probe=photos
  python -m experiments.compress mini:rgb2depth

The network is a .keras or .h5 file, a network of tf.keras.applications or, as
mini:NAME, an encoder of the mini bank. No labels are needed: it learns to
answer as before on the pictures of --probe, and its maps are held to those
before by --method. Writes compressed.keras, report.html with the maps before
and after beside those of plain compression, and summary.csv.
"""

import numpy as np

import toolkit_basics.cli as cli
from attribution.preprocessing import Preprocessing
from attribution_preservation import compression, networks
from attribution_preservation.compression import Order
from experiments import evaluation, shared_flags
from experiments.compression import loading, reporting
from toolkit_basics import files

_DEFAULT = Order()

FLAGS = cli.Flags()
_SETTING = FLAGS.enum(
  'setting',
  'What goes: whole filters (structured), single weights (unstructured), or '
  'widths, with a network that learns anew (distillation).',
  compression.SETTINGS,
  _DEFAULT.setting,
)
_RATIO = FLAGS.float(
  'ratio',
  'Which share goes, of the filters of each layer, of the weights or of the '
  'widths, as 0.6.',
  _DEFAULT.ratio,
)
_MATCHING = FLAGS.enum(
  'matching',
  'How maps are held to those before compression; naive does not.',
  compression.methods(),
  'sswa',
)
_BETA = FLAGS.float(
  'beta', "How strongly maps are held; by default the matching's own factor."
)
_COMPARE = FLAGS.bool(
  'compare', 'Also compress without holding maps, for comparison.', True
)
_PREPROCESSING = FLAGS.string(
  'preprocessing',
  'From a picture to what the network takes, as "resize(224) | range(-1, 1)"; '
  'by default what Keras says of it.',
)
_LAYER = FLAGS.string(
  'layer',
  'Layer whose feature maps are matched; by default the last one that all of '
  'the rest depends on.',
)
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 500)
_IMAGE_SIZE = shared_flags.image_size(FLAGS)
_EPOCHS = FLAGS.integer(
  'epochs',
  'How often the network sees each picture, in each round.',
  _DEFAULT.epochs,
  lower_bound=1,
)
_ROUNDS = FLAGS.integer(
  'rounds',
  'In how many rounds weights go; only for unstructured.',
  _DEFAULT.rounds,
  lower_bound=1,
)
_LEARNING_RATE = FLAGS.float(
  'learning_rate', 'At which the network learns at first.', 1e-3
)
_BATCH_SIZE = FLAGS.integer(
  'batch_size', 'Pictures of a step of learning.', 32, lower_bound=1
)
_NUM_EXPLAINED = FLAGS.integer(
  'num_explained',
  'Pictures that are left out of learning, and explained.',
  40,
  lower_bound=4,
)
_RECORD = shared_flags.Record(FLAGS, 'results/compress')


def _order() -> Order:
  """Returns what the flags order."""
  if _BETA.value is not None and _MATCHING.value == 'naive':
    raise ValueError('--beta is of maps that are held; naive holds none.')
  return Order(
    setting=_SETTING.value,
    ratio=_RATIO.value,
    epochs=_EPOCHS.value,
    learning_rate=_LEARNING_RATE.value,
    batch_size=_BATCH_SIZE.value,
    rounds=_ROUNDS.value,
    seed=_PROBE.seed.value,
  )


def main(network: str) -> None:
  order, loaded = _order(), loading.load(network, _PREPROCESSING.value)
  side = _IMAGE_SIZE.value or loaded.side
  probe = _PROBE.load((side, side))
  number = min(_NUM_EXPLAINED.value, len(probe) // 2)
  if number < 2:
    raise ValueError(f'{len(probe)} pictures are too few; give four at least.')
  digests = {'network': loaded.digest, 'probe': probe.digest}
  record = _RECORD.open(digests)
  if record.is_finished:
    print(f'{record.output} is finished; nothing was computed again.')
    print(evaluation.table_text(record.output / 'summary.csv'))
    return
  teacher = networks.split(loaded.model, _LAYER.value)
  compression.started(teacher, order)  # It says now what cannot be.
  record.start()
  t = Preprocessing.parse(loaded.preprocessing)
  inputs = t(probe.images).astype(np.float32)
  shown, learned = probe.images[:number], inputs[number:]
  names = [_MATCHING.value]
  if _COMPARE.value and _MATCHING.value != 'naive':
    names = ['naive', *names]
  before = reporting.look(
    teacher.model, loaded.preprocessing, shown, inputs[:number], None
  )
  flat = before.outputs
  flat = flat if flat.ndim == 2 else flat.mean(axis=(1, 2))
  looked = {reporting.BEFORE: before}
  for name in names:
    beta = _BETA.value if name == _MATCHING.value else None
    with record.stage(name):
      student = compression.compress(teacher, learned, order, name, beta)
      looked[name] = reporting.look(
        student.model,
        loaded.preprocessing,
        shown,
        inputs[:number],
        flat.argmax(axis=1),
      )
  loading.save(student.model, record.output / 'compressed.keras', loaded)
  settings = {'network': network, **record.flags}
  paragraphs = reporting.write(
    record.output, looked, _MATCHING.value, shown, settings
  )
  record.note('compressed', files.sha256(record.output / 'compressed.keras'))
  record.finish()
  print(evaluation.format_table(reporting.rows(looked)))
  print('\n'.join(paragraphs))
  print(f'Results: {record.output}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
