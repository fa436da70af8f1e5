"""Brings a network of any format into a bank.

  python -m taskonomy_models.convert SOURCE --output=FOLDER --name=mine \\
    --representation=block5_pool --preprocessing='resize(224) | range(-1, 1)'

SOURCE is a frozen graph (.pb), a Keras model (.keras, .h5), a SavedModel's
folder, a handle of TensorFlow Hub, a TensorFlow 1 checkpoint with its .meta, a
TensorFlow.js model (model.json), an .onnx or a .tflite file. Then compare the
bank's networks, or place one among those of a run, as is said at the end.
"""

import ast
from collections.abc import Sequence
import shlex

from absl import app, flags

from frozen_graphs.formats import registry
from taskonomy_models import conversion
from toolkit_basics import cli

_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder of the bank; made if it is not there.'
)
_NAME = flags.DEFINE_string('name', None, 'Of the network in the bank.')
_REPRESENTATION = flags.DEFINE_string(
  'representation', None, 'Tensor, or layer of a Keras model; else they are '
  'listed.',
)  # fmt: skip
_PREPROCESSING = flags.DEFINE_string(
  'preprocessing', None, "T, as 'resize(224) | range(-1, 1)'; say it right."
)
_INPUT = flags.DEFINE_string(
  'input', None, 'Tensor of the images; default: the first input.'
)
_FORMAT = flags.DEFINE_enum(
  'format',
  None,
  registry.FORMATS.names(),
  'Of SOURCE; default: what its name says.',
)
_LABEL = flags.DEFINE_string('label', None, 'As shown in figures.')
_GROUP = flags.DEFINE_string('group', None, 'Colour in the similarity tree.')
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size', None, 'Side of probe images for the bank.', lower_bound=1
)
_CONSTANTS = flags.DEFINE_multi_string(
  'constant', [], 'NAME=VALUE of another input, as is_training=False; may be '
  'repeated.',
)  # fmt: skip
_SIGNATURE = flags.DEFINE_string(
  'signature', None, 'Of a SavedModel or a module of TensorFlow Hub.'
)
_TAGS = flags.DEFINE_list('tags', None, 'Of the graph in a SavedModel.')
_META_GRAPH = flags.DEFINE_string(
  'meta_graph', None, 'File of the graph of a TensorFlow 1 checkpoint.'
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replace the network of that name, if there is one.'
)


def _constant(text: str) -> tuple[str, object]:
  name, equals, value = text.partition('=')
  try:
    if not name or not equals:
      raise ValueError('it is not NAME=VALUE')
    return name, ast.literal_eval(value)
  except (SyntaxError, ValueError) as error:
    raise ValueError(
      f'--constant={text}: {error}. Values are numbers, True, False, or lists.'
    ) from error


def main(argv: Sequence[str]) -> None:
  if len(argv) != 2:
    raise app.UsageError(f'One SOURCE is needed, not {argv[1:]}; see --help.')
  if not _OUTPUT.value or not _NAME.value:
    raise app.UsageError('--output and --name are needed; see --help.')
  encoder = conversion.convert(
    argv[1],
    _OUTPUT.value,
    name=_NAME.value,
    representation=_REPRESENTATION.value,
    preprocessing=_PREPROCESSING.value,
    input=_INPUT.value,
    label=_LABEL.value,
    group=_GROUP.value,
    image_size=_IMAGE_SIZE.value,
    format=_FORMAT.value,
    constants=dict(map(_constant, _CONSTANTS.value)) or None,
    signature=_SIGNATURE.value,
    tags=_TAGS.value,
    meta_graph=_META_GRAPH.value,
    overwrite=_OVERWRITE.value,
  )
  print(conversion.describe(encoder))
  folder = shlex.quote(_OUTPUT.value)
  print(
    'Compare the bank: python -m experiments.run_taskonomy '
    f'--bank={folder}\n'
    'Or place it among the networks of a run: python -m '
    f'experiments.insert_model --space=RUN --bank={folder} '
    f'--name={encoder.name}'
  )


if __name__ == '__main__':
  cli.run(main)
