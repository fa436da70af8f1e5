"""What tests of ONNX share: small models, and the reference evaluator."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
import onnx.reference
import tensorflow as tf

from frozen_graphs.formats.onnx import file as onnx_file
from frozen_graphs.frozen import FrozenNetwork

# Of those that both the installed package and the project know.
NEWEST_OPSET = min(onnx.defs.onnx_opset_version(), onnx_file.OPSETS[-1])


def model(
  nodes: Sequence[onnx.NodeProto],
  inputs: Mapping[str, Sequence[int | str | None]],
  outputs: Sequence[str],
  constants: Mapping[str, np.ndarray] | None = None,
  opset: int = 17,
  types: Mapping[str, np.dtype] | None = None,
) -> onnx.ModelProto:
  """Returns a model; inputs are shapes by name, float32 if not stated."""
  types = types or {}
  values = [
    helper.make_tensor_value_info(
      name,
      helper.np_dtype_to_tensor_dtype(np.dtype(types.get(name, np.float32))),
      shape,
    )
    for name, shape in inputs.items()
  ]
  weights = [
    numpy_helper.from_array(np.asarray(value), name)
    for name, value in (constants or {}).items()
  ]
  results = [onnx.ValueInfoProto(name=name) for name in outputs]
  graph = helper.make_graph(nodes, 'graph', values, results, weights)
  return helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', opset)]
  )


def save(content: onnx.ModelProto | bytes, folder: Any) -> pathlib.Path:
  """Writes a model and returns its path."""
  path = pathlib.Path(str(folder)) / 'model.onnx'
  if not isinstance(content, bytes):
    content = content.SerializeToString()
  path.write_bytes(content)
  return path


def reference(
  content: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
  """Returns what the evaluator of the package `onnx` computes in NumPy."""
  return onnx.reference.ReferenceEvaluator(content).run(None, dict(feeds))


def run(
  network: FrozenNetwork,
  feeds: Mapping[str, np.ndarray],
  fetches: Sequence[str] | None = None,
) -> list[np.ndarray]:
  """Returns what TensorFlow computes, of the graph as it stands."""
  config = tf.compat.v1.ConfigProto(
    intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
  )
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  with tf.Graph().as_default() as graph:
    tf.import_graph_def(network.graph_def, name='')
    with tf.compat.v1.Session(graph=graph, config=config) as session:
      return session.run(list(fetches or network.outputs), dict(feeds))
