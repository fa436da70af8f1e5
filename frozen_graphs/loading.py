"""The one door: any file, folder, handle or object becomes a `Network`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
import dataclasses
import os
from typing import TypeGuard

import tensorflow as tf

from frozen_graphs import budget, control_flow, sandbox
from frozen_graphs.errors import about, at_the_door
from frozen_graphs.formats import registry
from frozen_graphs.network import Network


def load(
  source: object,
  *,
  input: str | None = None,
  representation: str | None = None,
  name: str | None = None,
  format: str | None = None,
  constants: Mapping[str, object] | None = None,
  trust: str | None = None,
  **options,
) -> Network:
  """Loads a network, once; nothing of it is run in this process.

  Args:
    source: The path of a frozen graph, a Keras model, a SavedModel, a
      TensorFlow 1 checkpoint, an ONNX, TensorFlow Lite or TensorFlow.js model,
      a program of PyTorch; a handle of TensorFlow Hub; a Keras model, a module
      of PyTorch or a GraphDef in memory.
    input: The tensor of the images; default: the network's first input. Here
      and below the end of a name is enough, if no other tensor has it.
    representation: The tensor of interest, a layer of a Keras model, or a
      module's path in one of PyTorch. It may be chosen later: `Network.at`.
    name: For messages; default: what the source is called.
    format: One of `registry.FORMATS`; default: what the source looks like.
    constants: Values of other inputs, by their names.
    trust: How far a file is trusted. 'sandbox', the default: it is loaded and
      run on one image in a process of its own first, with bounds on memory and
      time. 'checks': it is checked, as always, and no more. 'code': programs
      of PyTorch may be run. Objects in memory are the caller's own.
    **options: Of the format, such as `signature` or `tags` of a SavedModel.

  Raises:
    GraphError: If the source cannot be read as a network, or an option is
      wrong; UnsafeGraphError if it would do more than compute.
    OSError: If a file cannot be read.
  """
  entry = registry.of(source, format)
  asked = {
    'constants': constants,
    'input': input,
    'representation': representation,
    'trust': sandbox.trust_of(trust),
    **options,
  }
  taken = entry.options(asked)
  if sandbox.trust_of(trust) == 'sandbox' and _is_path(source):
    sandbox.check(source, load, {**asked, 'format': format})
  with (
    _door(source, entry.name),
    budget.Budget(_size(source)).spent(),
  ):
    frozen = entry.load(source, **taken)
    with about(frozen.source):
      if constants and 'constants' not in taken:
        folded = control_flow.fold(frozen.graph_def, constants)
        frozen = dataclasses.replace(frozen, graph_def=folded)
  if 'input' in taken:  # The format has cut the graph there.
    input = None
  representation = frozen.representation or representation  # Cut there.
  return Network(frozen, input, representation, name or frozen.source)


def _door(source: object, format_name: str) -> AbstractContextManager[None]:
  """Returns what turns every error over a source into one of our own."""
  if _is_path(source):
    return at_the_door(_called(source), f'be read as {format_name}')
  return at_the_door(_called(source), 'be converted', damaged=False)


def _is_path(source: object) -> TypeGuard[str | os.PathLike]:
  return isinstance(source, str | os.PathLike)


def _called(source: object) -> str:
  """Returns what a source is called in messages."""
  if _is_path(source):
    return os.fspath(source)
  return f'the {type(source).__qualname__}'


def _size(source: object) -> int:
  """Returns the bytes of a graph in memory; files count when they are read."""
  return source.ByteSize() if isinstance(source, tf.compat.v1.GraphDef) else 0
