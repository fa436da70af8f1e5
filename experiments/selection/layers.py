"""The layers of a network that may be transferred."""

import dataclasses

import numpy as np

from taskonomy_models.encoder import Encoder


def activations(encoder: Encoder) -> list[str]:
  """Returns the tensors of all activations, in order, the representation last.

  Those that are not [n, d] or [n, h, w, c] are left out.

  Raises:
    GraphError: If the graph cannot be used.
  """
  network = encoder.load()
  last = network.subgraph.representation_tensor
  found = network.activations().items()
  names = [name for name, shape in found if len(shape) in (2, 4)]
  return [name for name in names if name != last] + [last]


def choose(encoder: Encoder, number: int) -> list[Encoder]:
  """Returns the encoder cut off at so many of its layers, evenly spaced.

  The last one is its representation; fewer if there are fewer activations.
  """
  tensors = activations(encoder)
  chosen = np.linspace(0, len(tensors) - 1, min(number, len(tensors)))
  return [
    dataclasses.replace(encoder, representation_tensor=tensors[round(i)])
    for i in chosen
  ]
