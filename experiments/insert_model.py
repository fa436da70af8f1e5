"""Places one more network in the model spaces of a run.

  python -m experiments.insert_model --space=results/taskonomy-scenes \\
    --graph=mine.pb --input=input:0 --representation=encoder/relu:0 \\
    --preprocessing='resize(224) | range(-1, 1)'
  python -m experiments.insert_model --space=results/taskonomy-scenes \\
    --bank=my_bank --name=mine

The second takes what it needs to know from a bank's bank.json. Prints the
network's nearest neighbours, and its rank among the sources of every other
network. No other network is computed again; the tables, figures and page of the
run are written anew. `experiments.remove_model` undoes it.
"""

import pathlib

import toolkit_basics.cli as cli
from experiments import insertion, shared_flags
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder

FLAGS = cli.Flags()
_SPACE = shared_flags.space(FLAGS)
_GRAPH = FLAGS.path('graph', "File of the network's frozen graph.")
_INPUT = FLAGS.string(
  'input', 'Name of the tensor that takes the images, as input:0.'
)
_REPRESENTATION = FLAGS.string(
  'representation', 'Name of the tensor of the representation.'
)
_PREPROCESSING = FLAGS.string(
  'preprocessing',
  "What is done to images first, as 'resize(224) | range(-1, 1)'. Nothing "
  'can find out whether it is right.',
)
_BANK = shared_flags.bank(FLAGS, None, ' It replaces the four flags above.')
_NAME = FLAGS.string(
  'name',
  'What the network is called; by default as its file, or as the only one of '
  'the bank.',
)
_PROBE = shared_flags.SpaceProbe(FLAGS)
_BATCH_SIZE = shared_flags.batch_size(FLAGS, None)
_DEVICE = shared_flags.device(FLAGS)
_ON_BAD_MAP = shared_flags.on_bad_map(FLAGS)


def _encoder() -> Encoder:
  """Returns the network that the flags describe."""
  flags = (_GRAPH, _INPUT, _REPRESENTATION, _PREPROCESSING)
  given = [f'--{flag.name}' for flag in flags if flag.value]
  if _BANK.value:
    if given:
      raise ValueError(f'--bank already says what {given} would say.')
    return _of_bank()
  if missing := sorted(f'--{f.name}' for f in flags if not f.value):
    raise ValueError(
      f'{", ".join(missing)} missing; or pass --bank and --name of a network '
      'in a bank.'
    )
  name = _NAME.value or pathlib.Path(_GRAPH.value).stem
  return Encoder(
    name=name,
    graph=_GRAPH.value,
    input_tensor=_INPUT.value,
    representation_tensor=_REPRESENTATION.value,
    preprocessing=_PREPROCESSING.value,
    label=name,
  )


def _of_bank() -> Encoder:
  names = banks.load(_BANK.value, needs_graphs=False).names
  if _NAME.value is None and len(names) > 1:
    raise ValueError(
      f'{_BANK.value} has several networks; --name one of {", ".join(names)}.'
    )
  (encoder,) = banks.load(_BANK.value, names=[_NAME.value or names[0]]).encoders
  return encoder


def main() -> None:
  encoder = _encoder()
  spaces = insertion.insert(
    _SPACE.value,
    encoder,
    _PROBE.given(),
    _BATCH_SIZE.value,
    _DEVICE.value,
    _ON_BAD_MAP.value,
  )
  for name, space in spaces.items():
    print(f'{encoder.name} by {name}, the nearest first:')
    print(insertion.table(space, encoder.name))


if __name__ == '__main__':
  cli.run(main, FLAGS)
