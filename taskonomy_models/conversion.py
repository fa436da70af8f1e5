"""Brings a network of any format into a bank, as one checked frozen graph.

What can be found out is found out now: the graph is cut to [input,
representation] and checked against the list of allowed operations, T must make
inputs that fit, and the gradient on a picture must be finite and not zero.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import fcntl
import math
import os
import pathlib

import numpy as np
import tensorflow as tf

from attribution import explainer as explainers
from attribution import overrides
from attribution.preprocessing import Preprocessing
from frozen_graphs import folding as control_flow
from frozen_graphs import graph, graph_ends, inference, precision
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import registry
from frozen_graphs.frozen import FrozenNetwork
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import files

GraphDef = tf.compat.v1.GraphDef
Path = str | os.PathLike

_SIDE = 224  # Of the picture that a network is tried on, if nothing says.
_LISTED = 12


def convert(
  source: tf.keras.Model | Path,
  output: Path,
  *,
  name: str,
  representation: str | None = None,
  preprocessing: str | None = None,
  input: str | None = None,
  label: str | None = None,
  group: str | None = None,
  image_size: int | None = None,
  format: str | None = None,
  constants: Mapping[str, object] | None = None,
  overwrite: bool = False,
  **options,
) -> Encoder:
  """Writes a network into a bank, which is made if there is none.

  Args:
    source: A Keras model, a path, or a handle of TensorFlow Hub.
    output: Folder of the bank; gets NAME.pb and an entry in bank.json.
    name: Of the encoder.
    representation: A tensor of the network, or a layer of a Keras model. An
      end of a tensor's name is enough, if no other has it.
    preprocessing: T, from an image to the input, for example
      'resize(224) | range(-1, 1)'.
    input: The tensor of the images; default: the network's first input.
    label: As shown in figures; default: the name.
    group: Colour of its leaf in the similarity tree.
    image_size: Side of probe images that suits the bank.
    format: Of the source, one of `formats.registry.NAMES`; default: what its
      name says.
    constants: Values of other inputs, by their names.
    overwrite: Replace the bank's network of that name, if there is one.
    **options: Of the format's `load`, such as `signature` or `tags`.

  Returns:
    The entry.

  Raises:
    ValueError: If an argument is wrong or missing, or the network cannot be
      used; nothing is written then.
    OSError: If a file cannot be read or written.
  """
  banks.check_name(name)
  _check_free(_opened(pathlib.Path(output)), name, overwrite)
  preprocess = _parsed(preprocessing)
  options['representation'] = representation
  frozen = _load(source, format, constants, input, options)
  if representation is None:
    raise GraphError(_missing_representation(frozen))
  subgraph = _cut(frozen, representation)
  side = _side(subgraph, image_size)
  _check_shape(subgraph, preprocess, side)
  graph_def = subgraph.graph_def()
  encoder = Encoder(
    name=name,
    graph=os.path.join(output, f'{name}.pb'),
    input_tensor=subgraph.input_tensor,
    representation_tensor=subgraph.representation_tensor,
    preprocessing=str(preprocess),
    label=label or name,
    group=group,
  )
  _try(graph_def, encoder, side)
  return _add(encoder, graph_def, image_size, overwrite)


def _parsed(preprocessing: str | None) -> Preprocessing:
  if not preprocessing:
    raise ValueError(
      'The preprocessing is not given. Nothing in a network says which values '
      'it was trained on, and a wrong range fails silently: it gives maps, but '
      'of another function. Say it, for example "resize(224) | range(-1, 1)" '
      'for pictures of 224 pixels with values from -1 to 1.'
    )
  return Preprocessing.parse(preprocessing)


def _load(source, format, constants, input, options) -> FrozenNetwork:
  """Returns a network whose graph is folded, the images' tensor first."""
  kind = format or registry.detect(source)
  chosen = registry.options(
    kind, {'constants': constants, 'input': input, **options}
  )
  frozen = registry.module(kind).load(source, **chosen)
  try:
    folded = control_flow.fold(
      frozen.graph_def, None if 'constants' in chosen else constants
    )
    inputs = frozen.inputs
    if input is not None and 'input' not in chosen:
      nodes = {node.name: node for node in folded.node}
      inputs = (graph_ends.full_name(nodes, input), *inputs)
  except GraphError as error:
    raise type(error)(f'{frozen.source}: {error}') from error
  if not inputs:
    raise GraphError(
      f'{frozen.source}: nothing says where images go in; name the tensor '
      '(--input).'
    )
  return dataclasses.replace(frozen, graph_def=folded, inputs=inputs)


def _missing_representation(frozen: FrozenNetwork) -> str:
  layers = [n.name for n in frozen.graph_def.node if n.name.endswith('_out')]
  listed = [f'{n}:0' for n in layers[-_LISTED:]] or frozen.outputs[:_LISTED]
  return (
    f'{frozen.source}: the representation is not given. Choose the most '
    'compact tensor between the part that sees the image and the part that '
    f'answers. The last ones are: {", ".join(listed)}. `python -m '
    'taskonomy_models.inspect` ranks all tensors of a graph.'
  )


def _cut(frozen: FrozenNetwork, target: str) -> graph.SubGraph:
  """Returns the checked graph between input and representation."""
  graph_def, source = frozen.graph_def, frozen.inputs[0]
  nodes = {node.name: node for node in graph_def.node}
  try:
    target = graph_ends.full_name(nodes, target)
    inference.check(graph_def, source, target)
    subgraph = graph.extract(graph_def, source, target, overrides.op_types())
  except GraphError as error:
    raise type(error)(f'{frozen.source}: {error}') from error
  precision.widen(subgraph.nodes.values())
  name = subgraph.input_tensor.rpartition(':')[0]
  kind = subgraph.nodes[name].attr['dtype'].type
  return dataclasses.replace(subgraph, input_type=tf.as_dtype(kind))


def _check_shape(
  subgraph: graph.SubGraph, preprocess: Preprocessing, side: int
) -> None:
  """Raises ValueError if T makes no inputs that fit."""
  expected = subgraph.input_shape
  made = preprocess.output_shape((side, side, 3))
  if expected is not None and (
    len(expected) != 4
    or any(e not in (None, n) for e, n in zip(expected[1:], made, strict=True))
  ):
    raise GraphError(
      f'The input {subgraph.input_tensor!r} has the shape {expected}, but the '
      f'preprocessing "{preprocess}" makes {made} of a picture of {side} '
      'pixels.'
    )


def _side(subgraph: graph.SubGraph, image_size: int | None) -> int:
  """Returns the side of a picture that suits a network."""
  sides = [n for n in (subgraph.input_shape or ())[1:3] if n is not None]
  return image_size or max(sides, default=_SIDE)


def _try(graph_def: GraphDef, encoder: Encoder, side: int) -> None:
  """Raises GraphError unless a picture has a gradient that can be a map."""
  if not _is_usable(graph_def, encoder, side, 'saliency'):
    raise GraphError(
      f'{encoder.name}: the gradient of {encoder.representation_tensor!r} with '
      f'respect to {encoder.input_tensor!r} is zero or not finite on a '
      'picture. Is the preprocessing right, and is the representation '
      'computed from the image?'
    )


def _is_usable(
  graph_def: GraphDef | str, encoder: Encoder, side: int, method: str
) -> bool:
  """Returns whether the map of a picture is finite and not zero."""
  coarse = np.random.default_rng(0).integers(
    0, 256, (1, math.ceil(side / 8), math.ceil(side / 8), 3), np.uint8
  )
  picture = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :side, :side]
  with explainers.Explainer(
    graph_def,
    input_tensor=encoder.input_tensor,
    representation_tensor=encoder.representation_tensor,
    preprocessing=encoder.preprocessing,
    methods=(method,),
    batch_size=1,
    name=encoder.name,
  ) as explainer:
    found = explainer.explain(picture).maps[method]
  return bool(np.all(np.isfinite(found)) and np.any(found))


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
  """Keeps other conversions out of a bank while one adds to it."""
  folder.mkdir(parents=True, exist_ok=True)
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
  finally:
    os.close(descriptor)


def _opened(folder: pathlib.Path) -> Bank:
  """Returns the bank in a folder, an empty one if there is none."""
  if (folder / 'bank.json').exists():
    return banks.load(str(folder))
  return Bank(name=folder.resolve().name or 'bank', encoders=())


def _check_free(bank: Bank, name: str, overwrite: bool) -> None:
  """Raises ValueError if a bank cannot take a network of a name."""
  for other in bank.names:
    if other == name and not overwrite:
      raise ValueError(
        f'{bank.folder} has a network {name!r} already. Choose another --name, '
        'or replace it with --overwrite.'
      )
    if other != name and other.lower() == name.lower():
      raise ValueError(
        f'{bank.folder} has a network {other!r}; {name!r} differs in case '
        'only, which some file systems do not tell apart.'
      )


def _add(
  encoder: Encoder,
  graph_def: GraphDef,
  image_size: int | None,
  overwrite: bool,
) -> Encoder:
  """Writes a graph and its bank's entry; returns the entry with its digest."""
  path = pathlib.Path(encoder.graph)
  folder = path.parent
  with _locked(folder):
    bank = _opened(folder)
    _check_free(bank, encoder.name, overwrite)
    content = graph_def.SerializeToString(deterministic=True)
    files.write_atomically(path, content)
    encoder = dataclasses.replace(encoder, sha256=encoder.digest())
    entries = {each.name: each for each in bank.encoders}
    entries[encoder.name] = encoder
    banks.save(
      dataclasses.replace(
        bank,
        encoders=tuple(entries.values()),
        folder=str(folder),
        image_size=image_size or bank.image_size,
      )
    )
  return encoder


def describe(encoder: Encoder) -> str:
  """Returns what a bank's network is, in a few lines."""
  subgraph = graph.extract(
    graph.load_graph_def(encoder.graph),
    encoder.input_tensor,
    encoder.representation_tensor,
    overrides.op_types(),
  )
  try:
    _, ruled = overrides.mark_activations(subgraph)
    rules = ', '.join(f'{kind} {n}' for kind, n in sorted(ruled.items()))
    side = _side(subgraph, None)
    if not _is_usable(encoder.graph, encoder, side, 'elrp'):
      rules += (
        '; ITS MAP OF A PICTURE IS ZERO OR NOT FINITE (does the network have '
        'trained weights?), use other methods'
      )
  except GraphError as error:
    rules = f'not to be had: {error}'
  return (
    f'{encoder.name}: {encoder.graph}\n'
    f'  input {encoder.input_tensor} {subgraph.input_shape or "of any shape"}\n'
    f'  representation {encoder.representation_tensor}\n'
    f'  preprocessing {encoder.preprocessing}\n'
    f'  {len(subgraph.nodes)} operations; epsilon-LRP rules: {rules}'
  )
