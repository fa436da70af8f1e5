"""Turns the files of a network of the zoo into a checked graph of a bank."""

from collections.abc import Mapping
import json
import pathlib

import numpy as np
import tensorflow as tf

from attribution import overrides
from attribution.preprocessing import Preprocessing
import frozen_graphs
from frozen_graphs.errors import UnsupportedOpError
from taskonomy_models import conversion
from taskonomy_models.encoder import Encoder
from taskonomy_models.zoo.networks import Package, ZooNetwork
from taskonomy_models.zoo.table import Row
from toolkit_basics import files as file_lib

_SIDE = 224  # Of the pictures a network is tried on.
# What a row repeats of the zoo.
_OF_NETWORK = ('label', 'group', 'task', 'architecture', 'family')


def definition(network: ZooNetwork, package: Package) -> str:
  """Returns a digest of all that the zoo says about how a graph is made."""
  parts = (
    package.sha256,
    network.members,
    network.format,
    network.builder,
    *([network.options] if network.options else []),
    network.input,
    network.representation,
    network.preprocessing,
  )
  return file_lib.sha256(json.dumps(parts).encode())[:16]


def load(network: ZooNetwork, files: pathlib.Path) -> frozen_graphs.Network:
  """Returns a network of its package's files, which are below a folder."""
  options = dict(network.options)
  if 'fixed_inputs' in options:
    options['fixed_inputs'] = {
      name: np.asarray(value, np.float32)
      for name, value in options['fixed_inputs'].items()
    }
  if network.builder:
    options['builder'] = network.builder
  return frozen_graphs.load(
    files / network.members[0],
    input=network.input,
    representation=network.representation,
    name=network.name,
    format=network.format,
    trust='checks',  # Its package has the digest that is known.
    **options,
  )


def convert(
  network: ZooNetwork, package: Package, files: pathlib.Path
) -> tuple[Encoder, tf.compat.v1.GraphDef, Row]:
  """Returns a network's graph, cut to input and representation and tried.

  Args:
    network: Which.
    package: Where it comes from.
    files: Folder with its unpacked files.

  Raises:
    ValueError: If it cannot be read, cut or differentiated; GraphError where
      the graph is the reason.
    OSError: If a file cannot be read or written.
  """
  loaded = load(network, files)
  # A graph that is cut behind its input states no shape. Such graphs were made
  # for one image; an explainer opens the batch of those that can take more.
  t = Preprocessing.parse(network.preprocessing)
  loaded.assume_input_shape((1, *t.output_shape((_SIDE, _SIDE, 3))))
  trial = conversion.check(loaded, t, _SIDE)
  subgraph = loaded.subgraph
  encoder = Encoder(
    name=network.name,
    graph='',
    input_tensor=subgraph.input_tensor,
    representation_tensor=subgraph.representation_tensor,
    preprocessing=network.preprocessing,
    label=network.label,
    group=network.group,
  )
  types = [node.op for node in subgraph.nodes.values()]
  ruled, rules = _rules(loaded)
  row = Row(
    network=network.name,
    **{name: getattr(network, name) for name in _OF_NETWORK},
    package=f'{package.name} {package.version}',
    licence=package.licence,
    input_shape=_shape(loaded.input_shape),
    representation_shape=_shape(trial.representation_shape),
    nodes=len(types),
    nonlinear=sum(kind not in conversion.LINEAR for kind in types),
    ruled=ruled,
    rules=rules,
    parameters=_parameters(subgraph.nodes),
    seconds=round(trial.seconds, 3),
    definition=definition(network, package),
  )
  return encoder, subgraph.graph_def(), row


def _rules(loaded: frozen_graphs.Network) -> tuple[int, str]:
  try:
    _, ruled = overrides.marked(loaded)
  except UnsupportedOpError as error:
    return -1, str(error)
  text = ', '.join(f'{name} {count}' for name, count in sorted(ruled.items()))
  return sum(ruled.values()), text


def _parameters(nodes: Mapping[str, tf.compat.v1.NodeDef]) -> int:
  """Returns how many floating-point numbers the constants hold."""
  total = 0
  for node in nodes.values():
    if node.op == 'Const':
      tensor = node.attr['value'].tensor
      if tf.as_dtype(tensor.dtype).is_floating:
        total += int(np.prod([d.size for d in tensor.tensor_shape.dim]))
  return total


def _shape(dimensions: tuple[int | None, ...]) -> str:
  return 'x'.join('?' if n is None else str(n) for n in dimensions)
