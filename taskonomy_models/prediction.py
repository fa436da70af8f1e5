"""Networks with their head: what they predict, beside what they represent."""

import dataclasses

import frozen_graphs
from frozen_graphs.errors import GraphError, about
from taskonomy_models.encoder import Encoder


def with_prediction(
  encoder: Encoder, network: frozen_graphs.Network, prediction: str
) -> Encoder:
  """Returns an encoder whose graph goes on to what the network predicts.

  Args:
    encoder: In memory.
    network: What it was made of.
    prediction: The tensor, a map [n, h, w, c] or numbers [n, c]; the end of a
      name is enough if no other has it.

  Raises:
    GraphError: If the tensor cannot be computed, or the representation is not
      on the way to it.
  """
  with about('prediction'):
    cut = network.at(prediction).subgraph
  found = dataclasses.replace(
    encoder,
    graph=cut.graph_def(),
    input_tensor=cut.input_tensor,
    prediction_tensor=cut.representation_tensor,
  )
  try:
    found.load().subgraph  # noqa: B018
  except GraphError as error:
    raise GraphError(
      f'{encoder.name}: {prediction!r} is not computed from the representation '
      f'{encoder.representation_tensor!r}; name a tensor that is, or give a '
      'representation on the way to it.'
    ) from error
  return found
