"""Random weights of the task bank's encoder, and the graph in float64."""

import numpy as np
import tensorflow as tf


def in_double_precision(
  graph_def: tf.compat.v1.GraphDef,
) -> tf.compat.v1.GraphDef:
  """Returns a frozen float32 graph that computes in float64.

  Batch norm, which TensorFlow lacks in float64, is written out.
  """
  single, double = (t.as_datatype_enum for t in (tf.float32, tf.float64))
  result = tf.compat.v1.GraphDef()
  for node in graph_def.node:
    if node.op == 'FusedBatchNormV3':
      _write_out_batch_norm(node, result)
      continue
    copy = result.node.add()
    copy.CopyFrom(node)
    for value in copy.attr.values():
      if value.type == single:
        value.type = double
    if node.op == 'Const' and node.attr['dtype'].type == single:
      array = tf.make_ndarray(node.attr['value'].tensor).astype(np.float64)
      copy.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(array))
  return result


def _write_out_batch_norm(node, graph_def) -> None:
  x, gamma, beta, mean, variance = node.input
  epsilon = np.float64(node.attr['epsilon'].f)

  def add(name: str, op: str, *inputs: str) -> str:
    new = graph_def.node.add(name=name, op=op, input=inputs)
    new.attr['T'].type = tf.float64.as_datatype_enum
    return name

  constant = graph_def.node.add(name=f'{node.name}/epsilon', op='Const')
  constant.attr['dtype'].type = tf.float64.as_datatype_enum
  constant.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(epsilon))
  variance = add(f'{node.name}/sum', 'AddV2', variance, constant.name)
  scale = add(f'{node.name}/rsqrt', 'Rsqrt', variance)
  scale = add(f'{node.name}/scale', 'Mul', scale, gamma)
  centred = add(f'{node.name}/centred', 'Sub', x, mean)
  scaled = add(f'{node.name}/scaled', 'Mul', centred, scale)
  add(node.name, 'AddV2', scaled, beta)
