"""A network as one frozen graph: what every format is converted to."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class FrozenNetwork:
  """A graph without variables, and where images go in and features come out.

  Attributes:
    graph_def: All weights are constants. It may hold functions, which
      `frozen_graphs.graph.extract` inlines, and more than one needs: it is cut
      to [input, representation] when it is used.
    inputs: Names of the tensors that images can be fed to, for example
      'input:0'; the likeliest first.
    outputs: Names of the tensors that the source calls its outputs.
    source: Format and origin, for messages and for the bank's entry.
    representation: Of the source that was cut there while it was read, and has
      more behind it. Empty if it was not.
    left_out: Why parts of the file are not in the graph, one reason each.
    digest: sha256 of the file, if the graph is one file; else empty.
    size: Bytes of that file; else 0.
  """

  graph_def: tf.compat.v1.GraphDef
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]
  source: str
  digest: str = ''
  size: int = 0
  representation: str = ''
  left_out: tuple[str, ...] = ()
