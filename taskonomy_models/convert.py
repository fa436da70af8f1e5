"""Brings a network of any format into a bank.

  python -m taskonomy_models.convert SOURCE --output=FOLDER --name=mine \\
    --representation=block5_pool --preprocessing='resize(224) | range(-1, 1)'

SOURCE is a frozen graph (.pb), a Keras model (.keras, .h5), a SavedModel's
folder, a handle of TensorFlow Hub, a TensorFlow 1 checkpoint with its .meta, a
TensorFlow.js model (model.json), an .onnx or a .tflite file, a program of
PyTorch (.pt2, TorchScript); or a name, which says itself what is done to
images: timm:vit_small_patch14_dinov2, torchvision:resnet50,
hf:facebook/dinov2-small, open_clip:ViT-B-32, keras:MobileNetV2. Then compare
the bank's networks, or place one among those of a run, as is said at the end.
"""

import ast
from collections.abc import Mapping
import shlex
from typing import Any

import toolkit_basics.cli as cli
from frozen_graphs import sandbox
from frozen_graphs.formats import registry
from taskonomy_models import candidates, conversion
from taskonomy_models.sources import registry as sources
from toolkit_basics import quiet

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output', 'Folder of the bank; it is made if it is not there.'
)
_NAME = FLAGS.string(
  'name',
  'What the network is called in the bank; by default what SOURCE is called.',
)
_REPRESENTATION = FLAGS.string(
  'representation',
  'Name of the tensor or Keras layer whose output is the representation. '
  'Without it, the candidates are listed. Of a named network of PyTorch: '
  'features (the default, tokens as a map), class_token, tokens, or the path '
  'of a module, as blocks.6.',
)
_PREDICTION = FLAGS.string(
  'prediction',
  'Name of the tensor of what the network predicts, behind the representation. '
  'The graph then goes on to it, and recommend --target asks for it.',
)
_PREPROCESSING = FLAGS.string(
  'preprocessing',
  "What is done to images first, as 'resize(224) | range(-1, 1)'. Nothing "
  'can find out whether it is right. Named networks say it themselves.',
)
_INPUT = FLAGS.string(
  'input',
  'Name of the tensor that takes the images; by default the first input.',
)
_FORMAT = FLAGS.enum(
  'format',
  'Format of SOURCE. By default it is found out from the name.',
  sorted(registry.FORMATS.names()),
)
_LABEL = FLAGS.string(
  'label', 'What figures call the network; by default its name.'
)
_GROUP = FLAGS.string(
  'group',
  'Kind of its task, as 2d. Networks of one group have one colour in figures.',
)
_IMAGE_SIZE = FLAGS.integer(
  'image_size',
  'Height and width, in pixels, of images that suit all networks of the bank.',
  lower_bound=1,
)
_CONSTANTS = FLAGS.strings(
  'constant',
  'Value of another input of the network, as is_training=False; may be given '
  'several times.',
)
_SIGNATURE = FLAGS.string(
  'signature',
  'Name of the signature in a SavedModel or a module of TensorFlow Hub, as '
  'serving_default.',
)
_TAGS = FLAGS.list(
  'tags',
  'Tags of the graph in a SavedModel, as serve.',
  may_be_empty=True,  # A graph may have none.
)
_META_GRAPH = FLAGS.path(
  'meta_graph',
  'File of the graph of a TensorFlow 1 checkpoint; by default the .meta '
  'beside it.',
)
_PRETRAINED = FLAGS.bool(
  'pretrained',
  'Whether a named network gets its trained weights, from the cache of its '
  'framework or fetched by it; else random ones.',
  default=True,
)
_CHECKPOINT = FLAGS.path(
  'checkpoint',
  'Weights of a named network: a .safetensors file, or one of torch.save.',
)
_TRUST = FLAGS.enum(
  'trust',
  'By default it is loaded and run on one image in a process of its own first, '
  'with bounds on memory and time (sandbox); checks goes without; code runs '
  'what a program of PyTorch holds.',
  sandbox.TRUST,
)
_OVERWRITE = FLAGS.bool(
  'overwrite', 'Replace the network of that name, if there is one.'
)
FLAGS.require(_OUTPUT)


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


def main(source: str) -> None:
  trust, name = sandbox.trust_of(_TRUST.value), _NAME.value
  is_named = sources.is_named(source)
  options = dict(
    output=_OUTPUT.value,
    name=name or candidates.name_of(source),
    representation=_REPRESENTATION.value,
    prediction=_PREDICTION.value,
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
    pretrained=None if _PRETRAINED.value else False,
    checkpoint=_CHECKPOINT.value,
    trust='checks' if trust == 'sandbox' else trust,
  )
  # A named network is of the user's own packages.
  if trust == 'sandbox' and not is_named:
    print(sandbox.within(_converted, source, options))
  else:
    print(_converted(source, options))
  folder = shlex.quote(_OUTPUT.value)
  print(
    FLAGS.in_words_of_user(
      'Compare the bank: python -m experiments.run_taskonomy '
      f'--bank={folder}\n'
      'Or place it among the networks of a run: python -m '
      f'experiments.insert_model --space=RUN --bank={folder} '
      f'--name={options["name"]}'
    )
  )


def _converted(source: str, options: Mapping[str, Any]) -> str:
  """Writes the network, and returns what it is."""
  quiet.say(f'Converting {source} ...\n')
  return conversion.describe(*conversion.converted(source, **options))


if __name__ == '__main__':
  cli.run(main, FLAGS)
