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

from collections.abc import Sequence
import pathlib

from absl import app, flags

from experiments import insertion, pipeline
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Encoder
from toolkit_basics import cli

_SPACE = flags.DEFINE_string(
  'space', None, 'Folder of a run, of its model_space/, or of one method of it.'
)
_GRAPH = flags.DEFINE_string('graph', None, 'Frozen graph of the encoder.')
_INPUT = flags.DEFINE_string('input', None, 'Name of its input tensor.')
_REPRESENTATION = flags.DEFINE_string(
  'representation', None, 'Name of its representation tensor.'
)
_PREPROCESSING = flags.DEFINE_string(
  'preprocessing',
  None,
  'T, from an image to its input, say it right.',
)
_BANK = flags.DEFINE_string(
  'bank', None, 'Bank that has the network, in place of the four flags above.'
)
_NAME = flags.DEFINE_string(
  'name', None, 'Of the network; default: its file, or the only one of --bank.'
)
_PROBE = flags.DEFINE_string(
  'probe', None, "Images of the spaces; these four: default, the run's own."
)
_PROBE_DIR = flags.DEFINE_string('probe_dir', None, 'Where they are.')
_NUM_IMAGES = flags.DEFINE_integer('num_images', None, 'How many.')
_SEED = flags.DEFINE_integer('seed', None, 'Of their sample.')
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size', 50, 'Images computed at once.', lower_bound=1
)
_DEVICE = flags.DEFINE_string(
  'device', None, "For example '/GPU:0'; by default TensorFlow's choice."
)
_ON_BAD_MAP = flags.DEFINE_enum(
  'on_bad_map',
  'error',
  pipeline.ON_BAD_MAP,
  'What to do where a map is all zero or not finite.',
)
flags.mark_flag_as_required('space')


def _encoder() -> Encoder:
  """Returns the network that the flags describe."""
  described = {
    '--graph': _GRAPH.value,
    '--input': _INPUT.value,
    '--representation': _REPRESENTATION.value,
    '--preprocessing': _PREPROCESSING.value,
  }
  given = [flag for flag, value in described.items() if value]
  if _BANK.value:
    if given:
      raise app.UsageError(f'--bank already says what {given} would say.')
    return _of_bank(banks.load(_BANK.value))
  if missing := sorted(described.keys() - set(given)):
    raise app.UsageError(
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


def _of_bank(bank: banks.Bank) -> Encoder:
  named = {encoder.name: encoder for encoder in bank.encoders}
  name = _NAME.value or (bank.names[0] if len(named) == 1 else None)
  if name not in named:
    wanted = f'no network {name!r}' if name else 'several networks'
    raise app.UsageError(
      f'{_BANK.value} has {wanted}; --name one of {", ".join(named)}.'
    )
  return named[name]


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  encoder = _encoder()
  probe = insertion.Probe(
    _PROBE.value, _PROBE_DIR.value, _NUM_IMAGES.value, _SEED.value
  )
  spaces = insertion.insert(
    _SPACE.value,
    encoder,
    probe,
    _BATCH_SIZE.value,
    _DEVICE.value,
    _ON_BAD_MAP.value,
  )
  for name, space in spaces.items():
    print(f'{encoder.name} by {name}, the nearest first:')
    print(insertion.table(space, encoder.name))


if __name__ == '__main__':
  cli.run(main)
