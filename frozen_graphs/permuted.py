"""A network's twin that has learned nothing: its weights in another order."""

import dataclasses

import numpy as np
import tensorflow as tf

from frozen_graphs.network import Network


def permuted(network: Network, seed: int = 0) -> Network:
  """Returns a network of the same architecture with its weights shuffled.

  The elements of every floating-point constant change places within it, so
  that each layer keeps the distribution of its weights, and nothing else.

  Args:
    network: What the twin is made of; it is left as it is.
    seed: Of the order.
  """
  rng = np.random.default_rng(seed)
  graph_def = tf.compat.v1.GraphDef()
  graph_def.CopyFrom(network.graph_def)
  for node in graph_def.node:
    if node.op != 'Const':
      continue
    stored = node.attr['value'].tensor
    if not tf.as_dtype(stored.dtype).is_floating:
      continue
    values = tf.make_ndarray(stored)
    if values.size > 1:
      shuffled = rng.permutation(values.ravel()).reshape(values.shape)
      stored.CopyFrom(tf.make_tensor_proto(shuffled))
  frozen = dataclasses.replace(network.frozen, graph_def=graph_def, digest='')
  return Network(
    frozen, network.input_tensor, network.representation_tensor, network.name
  )
