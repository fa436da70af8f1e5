"""Places one more network in the model spaces of a run.

  python -m experiments.insert_model --space=results/taskonomy-scenes \\
    --graph=mine.pb --input=input:0 --representation=encoder/relu:0 \\
    --preprocessing='resize(224) | range(-1, 1)'

Prints its nearest neighbours, and its rank among the sources of every other
network. Nothing else in the spaces is touched; `experiments.remove_model`
undoes it.
"""

from collections.abc import Sequence
import pathlib

from absl import app, flags

from experiments import insertion, pipeline
from taskonomy_models import cli
from taskonomy_models.encoder import Encoder

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
_NAME = flags.DEFINE_string('name', None, 'Of the network; default: its file.')
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
flags.mark_flags_as_required(
  ['space', 'graph', 'input', 'representation', 'preprocessing']
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  name = _NAME.value or pathlib.Path(_GRAPH.value).stem
  encoder = Encoder(
    name=name,
    graph=_GRAPH.value,
    input_tensor=_INPUT.value,
    representation_tensor=_REPRESENTATION.value,
    preprocessing=_PREPROCESSING.value,
    label=name,
  )
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
  for method, space in spaces.items():
    print(f'{name} by {method}, the nearest first:')
    print(insertion.table(space, name))


if __name__ == '__main__':
  cli.run(main)
