"""Which network to transfer from, and how sure that is.

  python -m experiments.recommend --bank=FOLDER --images=DIR --labels=folders
  python -m experiments.recommend --bank=FOLDER --images=DIR --target=NAME
  python -m experiments.recommend --images=DIR --labels=folders --train=3 \\
    --candidates a.onnx b.keras keras:MobileNetV2

With labels of the target (a folder for each class; or a CSV of file and class
or number) candidates are scored by how well a probe of their features predicts
labels that it has not seen; with a network for the target, by how well they
predict what it does, or by how alike they see the images; with a history of
earlier results, by their standing on other targets. With nothing of these the
answer is that it cannot be told. See docs/recommend.md.
"""

from collections.abc import Sequence
import json
import os

import toolkit_basics.cli as cli
from experiments import shared_flags
from experiments.recommending import labelled, page, running
from experiments.recommending.executing import Where
from experiments.recommending.looks import Looking
from experiments.recommending.running import Question, Way
from taskonomy_models import bank as banks
from taskonomy_models import candidates as candidates_lib
from taskonomy_models.encoder import Encoder
from taskonomy_models.sources import registry as sources
from toolkit_basics import progress
from transferability.recommendation import labels as labels_lib

FLAGS = cli.Flags()
_BANK = shared_flags.bank(
  FLAGS, None, ' By default the mini bank, if there are no --candidates.'
)
_CANDIDATES = FLAGS.paths(
  'candidates',
  'Networks by file, or by name, as keras:NAME and timm:NAME; with commas, or '
  'one after the other.',
)
_NETWORKS = shared_flags.networks(FLAGS, None, 'by default all')
_PREPROCESSING = FLAGS.strings(
  'preprocessing',
  'Of a candidate that does not tell it, as NAME="resize(224) | range(-1, 1)"; '
  'it may be given several times.',
)
_REPRESENTATION = FLAGS.strings(
  'representation',
  'The tensor of a candidate whose features are transferred, as NAME=TENSOR; '
  'it may be given several times.',
)
_PREDICTION = FLAGS.strings(
  'prediction',
  'The tensor of what the network of the target predicts, as NAME=TENSOR; a '
  'bank says it itself.',
)
_IMAGES = FLAGS.path(
  'images', 'Images of the target: a folder, a list (.txt), an array (.npy).'
)
_LABELS = FLAGS.path(
  'labels',
  'What is to be told: folders, if each folder of images is a class; a CSV of '
  'file and class or number; or an array (.npy).',
)
_LABEL_KIND = FLAGS.enum(
  'label_kind',
  'What labels are, if their looks mislead.',
  labels_lib.KINDS,
)
_TARGET = FLAGS.path(
  'target',
  'A network that was trained for the target: its name in the bank, a file, or '
  'keras:NAME.',
)
_HISTORY = FLAGS.path(
  'history',
  'Earlier results: a CSV with the columns target, network, score, where more '
  'is better.',
)
_TRAIN = FLAGS.integer(
  'train',
  'From how many of the best candidates a readout is really trained.',
  0,
  lower_bound=0,
)
_NUM_IMAGES = shared_flags.num_images(FLAGS, 200, 3)
_IMAGE_SIZE = shared_flags.image_size(FLAGS)
_NUM_DRAWS = FLAGS.integer(
  'num_draws', 'How often images are drawn anew.', 100, lower_bound=2
)
_TWINS = FLAGS.integer(
  'twins',
  'How many untrained twins each candidate is compared with.',
  5,
  lower_bound=0,
)
_NUM_SOURCE = FLAGS.integer(
  'num_source',
  'With labels, how many images that the candidates were trained on are looked '
  'at, where these are known (the mini bank); 0 leaves them out.',
  200,
  lower_bound=0,
)
_BATCH_SIZE = shared_flags.batch_size(FLAGS)
_DEVICE = shared_flags.device(FLAGS)
_PRECISION = shared_flags.precision(FLAGS)
_EXECUTOR = shared_flags.Executor(FLAGS, has_workers=False)
_SEED = shared_flags.seed(FLAGS)
_JSON = FLAGS.bool('json', 'Print the answer as JSON, for programs.')
_OUTPUT = shared_flags.output(
  FLAGS, 'results/recommend', 'a folder for report.html'
)


# What is said of a network by its name, as `candidates.shelf` takes it.
_SAID = (_PREPROCESSING, _REPRESENTATION, _PREDICTION)


def main(*more: str) -> None:
  question = _question(more)
  way = Way(
    num_images=_NUM_IMAGES.value,
    image_size=_IMAGE_SIZE.value,
    label_kind=_LABEL_KIND.value,
    train=_TRAIN.value,
    num_draws=_NUM_DRAWS.value,
    num_source=_NUM_SOURCE.value,
    looking=Looking(
      num_twins=_TWINS.value,
      batch_size=_BATCH_SIZE.value,
      device=_DEVICE.value,
      precision=_PRECISION.value,
      seed=_SEED.value,
    ),
    where=Where(folder=_OUTPUT.value, **_EXECUTOR.options()),
    seed=_SEED.value,
    track=progress.track,
  )
  answer = running.recommend(question, way)
  if answer.decision is not None:
    flags = FLAGS.values(('json', *_EXECUTOR.NOT_RECORDED))
    answer = page.write(answer, _OUTPUT.value, flags)
  if _JSON.value:
    print(json.dumps(answer.to_dict(), indent=2))
  else:
    print(FLAGS.in_words_of_user(repr(answer)))


def _question(more: Sequence[str]) -> Question:
  """Returns what the flags say.

  Args:
    more: Candidates behind the first.
  """
  if more and not _CANDIDATES.value:
    raise ValueError(f'Unexpected arguments: {list(more)} (see --help)')
  history = _HISTORY.value and labelled.read_history(_HISTORY.value)
  sources = [*(_CANDIDATES.value or ()), *more]
  said, faults = tuple(map(_by_name, _SAID)), {}
  if sources:
    paths = [os.path.expanduser(source) for source in sources]
    names = {candidates_lib.name_of(path) for path in paths}
    target = _TARGET.value and candidates_lib.name_of(_TARGET.value)
    for_shelf = [  # What is said of the target's own file is not for it.
      {n: text for n, text in each.items() if n in names or n != target}
      for each in said
    ]
    shelf = candidates_lib.shelf(paths, *for_shelf)
    bank, faults = shelf.bank, dict(shelf.faults)
    if _BANK.value:
      bank = banks.merge(_bank(_BANK.value), bank)
  else:
    bank = _bank(_BANK.value or 'mini')
    if any(said) and _TARGET.value in (None, *bank.names):
      raise ValueError(
        '--preprocessing, --representation and --prediction are of '
        '--candidates, or a file as --target; a bank says them itself.'
      )
  target = _target(bank)
  bank = _chosen(bank, target)
  return Question(
    bank,
    _IMAGES.value,
    _LABELS.value,
    target,
    history or None,
    _TARGET.value,
    faults,
  )


def _bank(name: str) -> banks.Bank:
  """Returns what is asked for of a bank; files of others may be missing."""
  known = banks.load(name, needs_graphs=False)
  asked = {*(_NETWORKS.value or known.names), _TARGET.value}
  if not _CANDIDATES.value:
    known.only(_NETWORKS.value or ())  # Raises if there is none of a name.
  return banks.load(name, names=[n for n in known.names if n in asked])


def _by_name(flag: cli.Flag[list[str]]) -> dict[str, str]:
  """Returns what is said of networks, by name."""
  found = {}
  for text in flag.value:
    name, separator, value = text.partition('=')
    if not (name and separator and value):
      raise ValueError(
        f'--{flag.name}={text} is not of the form NAME=VALUE (see --help)'
      )
    found[name.strip()] = value.strip()
  return found


def _target(bank: banks.Bank) -> str | Encoder | None:
  """Returns the network of the target, which need not be in the bank."""
  wanted = _TARGET.value
  if wanted is None or wanted in bank.names:
    return wanted
  if sources.is_named(wanted) or os.path.exists(wanted):
    name = candidates_lib.name_of(wanted)
    return candidates_lib.candidate(
      wanted, **{flag.name: _by_name(flag).get(name) for flag in _SAID}
    )
  if _HISTORY.value and _IMAGES.value is None:
    return None  # A name that only the history knows.
  raise ValueError(
    f'--target={wanted} is neither a network of the bank '
    f'({", ".join(bank.names) or "which is empty"}) nor a file.'
  )


def _chosen(bank: banks.Bank, target: str | Encoder | None) -> banks.Bank:
  """Returns the networks that compete, and that of the target."""
  if not _NETWORKS.value:
    return bank
  wanted = list(_NETWORKS.value)
  if unknown := sorted(set(wanted) - set(bank.names)):
    raise ValueError(
      f'The bank {bank.name!r} has no network {unknown[0]!r}; choose from '
      f'{", ".join(bank.names)}.'
    )
  if isinstance(target, str):
    wanted.append(target)
  return banks.Bank(
    bank.name,
    tuple(e for e in bank.encoders if e.name in wanted),
    image_size=bank.image_size,
    folder=bank.folder,
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
