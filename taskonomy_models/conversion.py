"""Brings a network of any format into a bank, as one checked frozen graph.

What can be found out is found out now: the graph is cut to [input,
representation] and checked against the list of allowed operations, T must make
inputs that fit, and the gradient on a picture must be finite and not zero.
"""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import os
import time

import numpy as np
import tensorflow as tf

from attribution import overrides
from attribution.explainer import Explainer
from attribution.preprocessing import Preprocessing
import frozen_graphs
from frozen_graphs import operations, session
from frozen_graphs.errors import (
  GraphError,
  OpenSizeError,
  UnsupportedOpError,
)
from taskonomy_models import pictures, prediction
from taskonomy_models.bank import Folder, check_name
from taskonomy_models.encoder import Encoder, check_shown
from taskonomy_models.sources import registry as sources
from toolkit_basics import memory

# Operations whose gradient does not depend on the values.
LINEAR = operations.KEEPS_GRADIENT - operations.WINNER_TAKES_ALL
LINEAR |= {'Const', 'Placeholder'}
_CHANNELS = {  # What makes so many, where T makes another number.
  1: " For one channel T begins with 'grayscale' or 'lightness'.",
  4: " For a fourth channel T has 'append_channel(VALUE)'.",
}
_SIDE = 224  # Of the picture that a network is tried on, if nothing says.


@dataclasses.dataclass(frozen=True)
class Tried:
  """What became of explaining a picture.

  Attributes:
    faults: By method, what is wrong with its map; empty if nothing is.
    representation_shape: Of one picture.
    seconds: All passes of one picture.
    source: What the network was made of, and how it was compared with that.
  """

  faults: Mapping[str, str]
  representation_shape: tuple[int, ...]
  seconds: float
  source: str = ''


def convert(
  source: object,
  output: str | os.PathLike,
  *,
  name: str,
  preprocessing: str | None = None,
  label: str | None = None,
  group: str | None = None,
  image_size: int | None = None,
  overwrite: bool = False,
  **options,
) -> Encoder:
  """Writes a network into a bank, which is made if there is none.

  Args:
    source: A Keras model, a module of PyTorch, a path, a handle of TensorFlow
      Hub, or a name, as 'timm:resnet18'.
    output: Folder of the bank; gets NAME.pb and an entry in bank.json.
    name: Of the encoder.
    preprocessing: T, from an image to the input, for example
      'resize(224) | range(-1, 1)'; default: what the framework of a named
      network says.
    label: As shown in figures; default: the name.
    group: Colour of its leaf in the similarity tree.
    image_size: Side of probe images that suits the bank, and of the network's
      own, where its file leaves that open and T has no size.
    overwrite: Replace the bank's network of that name, if there is one.
    **options: Of `frozen_graphs.load`, such as `representation` and `input`;
      `prediction`, the tensor that it predicts, if the graph is to go on to
      that (see `prediction.with_prediction`); `provenance`, see `Folder.add`;
      of a named network `pretrained` and `checkpoint`, see
      `sources.registry.describe`.

  Returns:
    The entry.

  Raises:
    ValueError: If an argument is wrong or missing, or the network cannot be
      used; nothing is written then.
    OSError: If a file cannot be read or written.
  """
  return converted(
    source,
    output,
    name=name,
    preprocessing=preprocessing,
    label=label,
    group=group,
    image_size=image_size,
    overwrite=overwrite,
    **options,
  )[0]


def converted(
  source: object,
  output: str | os.PathLike,
  *,
  name: str,
  preprocessing: str | None,
  label: str | None,
  group: str | None,
  image_size: int | None,
  overwrite: bool,
  **options,
) -> tuple[Encoder, Tried]:
  """Returns the entry, and what became of a picture; see `convert`."""
  folder = Folder(output)
  folder.check_free(name, overwrite)
  check_shown(name, label, group)
  if not sources.is_named(source):
    parsed(preprocessing)  # Before anything is loaded.
  predicts = options.pop('prediction', None)
  provenance = options.pop('provenance', None)
  described = sources.describe(
    source,
    preprocessing=preprocessing,
    representation=options.pop('representation', None),
    pretrained=options.pop('pretrained', None),
    checkpoint=options.pop('checkpoint', None),
  )
  t = parsed(described.preprocessing)
  network = load(
    described.network,
    t,
    image_size,
    representation=described.representation,
    **{**described.options, **options},
  )
  check_name(name)
  found = check(network, t, image_size)
  memory.give_back()
  path = str(folder.graph(name))
  encoder = _encoder(network, path, t, name, label, group)
  changes = {
    'provenance': provenance,
    'overwrite': overwrite,
    'image_size': image_size,
  }
  if predicts:
    encoder = prediction.with_prediction(encoder, network, predicts)
    return folder.add(encoder, encoder.graph, **changes), found
  return folder.add(encoder, network.subgraph.serialized(), **changes), found


def load(
  source: object,
  t: Preprocessing | None,
  image_size: int | None = None,
  **options,
) -> frozen_graphs.Network:
  """Loads a network; where its file leaves a size open, T or the images say it.

  Args:
    source: As in `convert`.
    t: The preprocessing; None if it is not known yet.
    image_size: Side of the images.
    **options: Of `frozen_graphs.load`.

  Raises:
    ValueError: If it cannot be loaded, or the size that it needs is nowhere.
    OSError: If a file cannot be read.
  """
  try:
    return frozen_graphs.load(source, **options)
  except OpenSizeError:
    if t is None:
      raise
    sides = (image_size,) if image_size else (_SIDE, 2 * _SIDE)
    sizes = {t.output_shape((side, side, 3))[:2] for side in sides}
    if len(sizes) != 1:
      raise
    return frozen_graphs.load(source, image_size=sizes.pop(), **options)


def encoder_of(
  network: frozen_graphs.Network,
  preprocessing: str | None,
  *,
  name: str,
  label: str | None = None,
  group: str | None = None,
  image_size: int | None = None,
  predicts: str | None = None,
) -> Encoder:
  """Returns a network as an encoder in memory, tried on pictures.

  Args:
    network: With its representation.
    preprocessing: T, from an image to the input.
    name: Of the encoder; `label` and `group` are as in `convert`.
    image_size: Side of the pictures.
    predicts: The tensor that it predicts, if its graph is to go on to that.

  Raises:
    ValueError: If T is missing or does not fit, or the network cannot be
      explained.
  """
  check_name(name)
  t = parsed(preprocessing)
  check(network, t, image_size)
  graph = network.subgraph.graph_def()
  encoder = _encoder(network, graph, t, name, label, group)
  if predicts:
    encoder = prediction.with_prediction(encoder, network, predicts)
  return encoder


def _encoder(
  network: frozen_graphs.Network,
  graph: str | tf.compat.v1.GraphDef,
  t: Preprocessing,
  name: str,
  label: str | None,
  group: str | None,
) -> Encoder:
  return Encoder(
    name=name,
    graph=graph,
    input_tensor=network.subgraph.input_tensor,
    representation_tensor=network.subgraph.representation_tensor,
    preprocessing=str(t),
    label=label or name,
    group=group,
  )


def parsed(preprocessing: str | None) -> Preprocessing:
  """Returns T; raises ValueError if it is missing or wrong."""
  if not preprocessing:
    raise ValueError(
      'The preprocessing is not given. Nothing in a network says which values '
      'it was trained on, and a wrong range fails silently: it gives maps, but '
      'of another function. Say it, for example "resize(224) | range(-1, 1)" '
      'for pictures of 224 pixels with values from -1 to 1.'
    )
  return Preprocessing.parse(preprocessing)


def check(
  network: frozen_graphs.Network, t: Preprocessing, image_size: int | None
) -> Tried:
  """Raises GraphError unless T fits, and pictures have gradients to be maps."""
  side = _side(network, image_size)
  made = t.output_shape((side, side, 3))
  expected = network.input_shape
  if any(e not in (None, n) for e, n in zip(expected, made, strict=True)):
    hint = '' if made[2] == expected[2] else _CHANNELS.get(expected[2], '')
    raise GraphError(
      f'The input {network.subgraph.input_tensor!r} has the shape '
      f'{network.subgraph.input_shape}, but the preprocessing "{t}" makes '
      f'{made} of a picture of {side} pixels.{hint}'
    )
  try:
    found = tried(network, t, ('saliency', 'elrp'), image_size, owned=True)
  except UnsupportedOpError:  # An operation has no rule.
    found = tried(network, t, ('saliency',), image_size, owned=True)
  if found.faults['saliency']:
    raise GraphError(
      f'{network.name}: the gradient of {network.representation_tensor!r} with '
      f'respect to {network.input_tensor!r} is zero or not finite on a '
      'picture. Is the preprocessing right, and is the representation '
      'computed from the image? Right behind a normalisation that was not '
      'trained, the mean over units is a constant.'
    )
  return found


def _side(network: frozen_graphs.Network, image_size: int | None) -> int:
  """Returns the side of a picture that suits a network."""
  sides = [n for n in network.input_shape[:2] if n is not None]
  return image_size or max(sides, default=_SIDE)


def tried(
  network: frozen_graphs.Network,
  t: str | Preprocessing,
  methods: Sequence[str],
  image_size: int | None = None,
  owned: bool = False,
) -> Tried:
  """Explains a picture; the methods share the graph and its forward pass.

  A second one tells whether the pictures of a batch influence each other.

  Args:
    network: With its representation.
    t: The preprocessing.
    methods: Names.
    image_size: Side of the picture.
    owned: Whether nobody else has the graph, so that memory need not hold it
      meanwhile.

  Raises:
    GraphError: If it cannot be explained, or what it gives for a picture
      depends on others of a batch.
  """
  pair = pictures.noise(2, _side(network, image_size))
  with session.for_few_runs(), contextlib.ExitStack() as stack:
    explainer = Explainer(
      network, preprocessing=t, methods=methods, batch_size=1
    )
    if owned:
      stack.enter_context(network.aside())
    stack.enter_context(explainer)
    started = time.monotonic()
    explanation = explainer.explain(pair[:1], may_be_infinite=True)
    seconds = time.monotonic() - started
    explainer.refuse_mixing(pair)
  faults = dict.fromkeys(methods, '')
  for method, values in explanation.maps.items():
    if not np.all(np.isfinite(values)):
      faults[method] = 'the map is not finite'
    elif not np.any(values):
      faults[method] = 'the map is zero'
  shape = explanation.representation.shape[1:]
  return Tried(faults, shape, seconds, network.source)


def describe(encoder: Encoder, found: Tried | None = None) -> str:
  """Returns what a bank's network is, in a few lines.

  Args:
    encoder: Of the bank.
    found: What became of a picture, if it was tried already.
  """
  memory.give_back()
  network = encoder.load()
  try:
    _, ruled = overrides.marked(network)
    rules = ', '.join(f'{kind} {n}' for kind, n in sorted(ruled.items()))
    if found is None:
      found = tried(network, encoder.preprocessing, ('elrp',))
    if found.faults.get('elrp'):
      rules += (
        '; ITS MAP OF A PICTURE IS ZERO OR NOT FINITE (does the network have '
        'trained weights?), use other methods'
      )
  except GraphError as error:
    rules = f'not to be had: {error}'
  source = f'  from {found.source}\n' if found and found.source else ''
  return (
    f'{encoder.name}: {encoder.graph}\n'
    f'{source}'
    f'  input {encoder.input_tensor} '
    f'{network.subgraph.input_shape or "of any shape"}\n'
    f'  representation {encoder.representation_tensor}\n'
    f'  preprocessing {encoder.preprocessing}\n'
    f'  {len(network.subgraph.nodes)} operations; epsilon-LRP rules: {rules}'
  )
