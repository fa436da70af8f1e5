"""A model is data, not code: what is known of one frozen encoder."""

import dataclasses

import tensorflow as tf

import frozen_graphs


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A frozen encoder.

  Attributes:
    name: Unique in its bank; also names its files in the results.
    graph: Path of the frozen GraphDef, or the GraphDef itself.
    input_tensor: For example 'input:0'.
    representation_tensor: For example 'representation:0'.
    preprocessing: T, from probe images to the input, as
      `attribution.preprocessing` reads it. A wrong range fails silently.
    label: As shown in figures.
    group: Colour of its leaf in the similarity tree; None if unknown.
    sha256: Hex digest that the graph file must have; None if unknown.
  """

  name: str
  graph: str | tf.compat.v1.GraphDef = dataclasses.field(hash=False)
  input_tensor: str
  representation_tensor: str
  preprocessing: str
  label: str
  group: str | None = None
  sha256: str | None = None

  def load(self) -> frozen_graphs.Network:
    """Reads the graph, once, and checks that it is the one described.

    Raises:
      ValueError: If the file is not the one that the bank describes, or no
        frozen graph; the message names the encoder.
      OSError: If it cannot be read.
    """
    with frozen_graphs.about(self.name):
      network = frozen_graphs.load(
        self.graph,
        input=self.input_tensor,
        representation=self.representation_tensor,
        name=self.name,
        format='frozen_graph',
      )
      if self.sha256 not in (None, network.digest):
        raise ValueError(
          f'the sha256 of {self.graph} is {network.digest}, but the bank says '
          f'{self.sha256}. The file was changed or is damaged; get it anew.'
        )
    return network
