"""Marks linear layers, so that a rule may say how relevance passes them.

Epsilon-LRP leaves linear operations their gradient. Other rules of LRP change
the weights of a layer z = W a + b for the backward pass. Behind each layer, z
passes through an `IdentityN` beside a. A backward pass under a rule that has a
`layer_gradient` goes straight from z to a by it; any other takes the gradient
of the operations themselves.

A layer is a convolution or matrix product with weights that do not depend on
the input, and the bias that follows it, if that is all that follows. Batch
normalization should be folded into weights before; see `frozen_graphs.folding`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
import dataclasses

import tensorflow as tf

from attribution import overrides
from frozen_graphs import tensors
from frozen_graphs.graph import SubGraph
from frozen_graphs.tensors import NodeDef

_GRADIENT = 'AttributionLayer'
CONVOLUTION, DENSE = KINDS = ('convolution', 'dense')
# By op type: the kind of the layer.
_WEIGHTED = {
  **dict.fromkeys(
    (
      *('Conv2D', 'Conv2DBackpropInput', 'DepthwiseConv2dNative', 'Conv3D'),
      *('DepthwiseConv2dNativeBackpropInput', 'Conv3DBackpropInputV2'),
    ),
    CONVOLUTION,
  ),
  **dict.fromkeys(
    ('MatMul', 'BatchMatMul', 'BatchMatMulV2', 'BatchMatMulV3', 'Einsum'),
    DENSE,
  ),
}
_BIAS = frozenset({'Add', 'AddV2', 'BiasAdd'})
# Between the weights and the bias.
_ARRANGING = frozenset({
  'BatchToSpaceND', 'ExpandDims', 'Reshape', 'Squeeze', 'Transpose',
})  # fmt: skip
_NOT_NEGATIVE = frozenset({'Abs', 'Relu', 'Relu6', 'Sigmoid', 'Softmax'})


def mark_layers(subgraph: SubGraph) -> tuple[SubGraph, Mapping[str, int]]:
  """Returns the graph with its layers marked, and how many there are by kind.

  Args:
    subgraph: A graph whose activations are marked already.
  """
  carriers = overrides.carriers(subgraph)
  uses = tensors.consumers(subgraph.nodes)
  target = tensors.split(subgraph.representation_tensor)[0]
  ends: dict[str, tuple[str, int]] = {}  # Of layers, with what they are given.
  found: Counter[str] = Counter()
  for name, inputs in carriers.items():
    kind = _WEIGHTED.get(subgraph.nodes[name].op)
    if kind and len(inputs) == 1:
      ends[_end(name, subgraph, carriers, uses, target)] = inputs[0]
      found[kind] += 1
  marks = {
    end: tensors.unused_name(f'{end}/layer', subgraph.nodes) for end in ends
  }
  nodes: dict[str, NodeDef] = {}
  for name, node in subgraph.nodes.items():
    copy = NodeDef.FromString(node.SerializeToString())
    for i, tensor in enumerate(tensors.data_inputs(node)):
      copy.input[i] = _behind(tensor, marks)
    nodes[name] = copy
    if name in ends:
      values = [f'{name}:0', _behind(ends[name], marks)]
      kinds = [
        overrides.type_of(subgraph.nodes, tensor)
        for tensor in ((name, 0), ends[name])
      ]
      nodes[marks[name]] = overrides.mark(marks[name], _GRADIENT, kinds, values)
  representation = _behind(tensors.split(subgraph.representation_tensor), marks)
  changed = dataclasses.replace(
    subgraph, nodes=nodes, representation_tensor=representation
  )
  return changed, found


def _behind(tensor: tuple[str, int], marks: Mapping[str, str]) -> str:
  name, number = tensor
  return tensors.name_of((marks.get(name, name), number))


def _end(name: str, subgraph, carriers, uses, target: str) -> str:
  """Returns the node in which the layer of a weighted node ends."""
  end = name
  while end != target and len(after := uses.get(end, [])) == 1:
    end = after[0]
    op = subgraph.nodes[end].op
    if op in _BIAS and len(carriers[end]) == 1:
      return end
    if op not in _ARRANGING or len(carriers[end]) != 1:
      break
  return name


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer of a graph that TensorFlow has: z = W a + b.

  Attributes:
    kind: One of KINDS.
    a: What it is given.
    z: What it makes of it.
    operations: The weighted one first.
  """

  kind: str
  a: tf.Tensor
  z: tf.Tensor
  operations: tuple[tf.Operation, ...]

  @classmethod
  def of(cls, z: tf.Tensor, a: tf.Tensor) -> 'Layer':
    """Returns the layer between two tensors."""
    steps = _way(z.op, a)
    assert steps, (z, a)
    return cls(_WEIGHTED[steps[0].type], a, z, tuple(steps))

  @property
  def is_given_positive(self) -> bool:
    """Whether no element of a can be negative, as behind a ReLU."""
    op = self.a.op
    while op.type == 'IdentityN':
      op = op.inputs[0].op
    return op.type in _NOT_NEGATIVE

  def apply(
    self,
    a: tf.Tensor,
    weights: Callable[[tf.Tensor], tf.Tensor],
    bias: Callable[[tf.Tensor], tf.Tensor],
  ) -> tf.Tensor:
    """Returns what the layer makes of another input with other parameters.

    Args:
      a: The input, of the shape of the layer's own.
      weights: What becomes of W.
      bias: What becomes of b.
    """
    value, before = a, self.a
    for op in self.operations:
      change = weights if op is self.operations[0] else bias
      inputs = [
        value
        if tensor is before
        else change(tensor)
        if tensor.dtype.is_floating
        else tensor
        for tensor in op.inputs
      ]
      made = op.graph.create_op(
        op.type,
        inputs,
        [output.dtype for output in op.outputs],
        attrs={
          key: value
          for key, value in op.node_def.attr.items()
          if not key.startswith('_')
        },
      )
      value, before = made.outputs[0], op.outputs[0]
    return value


def _way(op: tf.Operation, a: tf.Tensor) -> list[tf.Operation]:
  """Returns the operations from `a` to the last one; empty if it is none."""
  if op.type in _WEIGHTED:
    return [op] if any(tensor is a for tensor in op.inputs) else []
  if op.type in _BIAS | _ARRANGING:
    for tensor in op.inputs:
      if steps := _way(tensor.op, a):
        return [*steps, op]
  return []


@tf.RegisterGradient(_GRADIENT)
def _layer_gradient(
  op: tf.Operation, gradient: tf.Tensor, _: tf.Tensor
) -> tuple[tf.Tensor | None, tf.Tensor | None]:
  of_layer = getattr(overrides.current_rule(), 'layer_gradient', None)
  if of_layer is None:
    return gradient, None
  found = of_layer(Layer.of(*op.inputs), gradient)
  return (gradient, None) if found is None else (None, found)
