"""Ways of computing epsilon-LRP: ours, and those of other libraries.

PyTorch, captum and zennit have to be imported before TensorFlow, which this
module imports: the other way round the process ends without a word.
"""

from collections.abc import Callable
import importlib
from typing import Any

import numpy as np
import tensorflow as tf

from attribution import methods as methods_lib
from attribution import overrides
from frozen_graphs import folding, narrowing, tensors
from frozen_graphs.graph import SubGraph
from frozen_graphs.network import Network
from frozen_graphs.passes import Passes

_EPSILON = 1e-4
Way = Callable[[np.ndarray], np.ndarray]


def in_tensorflow(
  network: Network,
  batch_size: int,
  precision: str = narrowing.SINGLE,
  folded: bool = True,
) -> Way:
  """Returns what makes maps of inputs by epsilon-LRP."""
  method = methods_lib.create('elrp', epsilon=_EPSILON)
  marked, _ = overrides.marked(network)
  passes = Passes(
    folding.fold(marked) if folded else marked,
    rules=[method.rule],
    scope=overrides.active_rule,
    batch_size=batch_size,
    precision=precision,
  )

  def explain(inputs: np.ndarray) -> np.ndarray:
    (gradient,) = passes.run(inputs).gradients.values()
    return method.attribute(inputs, gradient)

  return explain


def torch_module(subgraph: SubGraph, addition: Callable[[], Any]) -> Any:
  """Returns a module of PyTorch that computes the mean over units, [N, 1].

  Args:
    subgraph: A folded graph of convolutions, biases, ReLUs, sums and pooling.
    addition: Makes a module that adds two tensors.
  """
  torch = importlib.import_module('torch')
  source = tensors.split(subgraph.input_tensor)[0]
  constants, plan, layers, units = {}, [], torch.nn.ModuleDict(), 0
  for name, node in subgraph.nodes.items():
    producers = tensors.producers(node)
    taken = [n for n in producers if n not in constants]
    values = [constants[n] for n in producers if n in constants]
    if node.op == 'Const':
      constants[name] = tf.make_ndarray(node.attr['value'].tensor)
    elif node.op == 'BiasAdd':
      layers[str(len(plan) - 1)].bias.data = torch.tensor(values[0])
      plan[-1] = name, *plan[-1][1:]
      units = len(values[0])
    elif name != source:
      layers[str(len(plan))] = _torch_layer(torch.nn, node, values, addition)
      plan.append((name, taken))
  layers['pool'] = torch.nn.AdaptiveAvgPool2d(1)
  layers['mean'] = torch.nn.Linear(units, 1, bias=False)
  layers['mean'].weight.data.fill_(1 / units)

  class Graph(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.layers = layers

    def forward(self, images):
      known = {source: images}
      for number, (name, taken) in enumerate(plan):
        known[name] = self.layers[str(number)](*(known[n] for n in taken))
      pooled = self.layers['pool'](known[plan[-1][0]])
      return self.layers['mean'](pooled.flatten(1))

  return Graph().eval()


def _torch_layer(nn: Any, node, values: list[np.ndarray], addition) -> Any:
  """Returns the module of a node; padded sides are even, or windows of 3."""
  is_same = node.attr['padding'].s == b'SAME'
  step = tuple(node.attr['strides'].list.i)[1:3]
  if node.op == 'Conv2D':
    height, width, inner, outer = values[0].shape
    padding = (height // 2, width // 2) if is_same else 0
    layer = nn.Conv2d(inner, outer, (height, width), step, padding)
    layer.weight.data = layer.weight.data.new_tensor(
      values[0].transpose(3, 2, 0, 1)
    )
    return layer
  if node.op == 'Relu':
    return nn.ReLU()
  if node.op in ('Add', 'AddV2'):
    return addition()
  if node.op == 'Pad':
    _, (top, bottom), (left, right), _ = values[0].tolist()
    return nn.ZeroPad2d((left, right, top, bottom))
  if node.op == 'MaxPool':
    return nn.MaxPool2d(node.attr['ksize'].list.i[1], step, ceil_mode=is_same)
  raise ValueError(f'No module for {node.op} ({node.name}).')


def in_captum(subgraph: SubGraph) -> Way:
  """Returns what makes maps by captum's LRP with its epsilon rule."""
  torch = importlib.import_module('torch')
  attr = importlib.import_module('captum.attr')
  rules = importlib.import_module('captum.attr._utils.lrp_rules')
  custom = importlib.import_module('captum.attr._utils.custom_modules')
  module = torch_module(subgraph, custom.Addition_Module)
  lrp = attr.LRP(module)

  def explain(inputs: np.ndarray) -> np.ndarray:
    for layer in module.layers.values():  # Each call takes them away.
      if not isinstance(layer, torch.nn.ReLU):
        layer.rule = rules.EpsilonRule(_EPSILON)
    images = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
    found = lrp.attribute(images.requires_grad_(), target=0)
    return found.detach().numpy().transpose(0, 2, 3, 1)

  return explain


def in_zennit(subgraph: SubGraph) -> Way:
  """Returns what makes maps by zennit's epsilon rule."""
  torch = importlib.import_module('torch')
  zennit = {
    name: importlib.import_module(f'zennit.{name}')
    for name in ('attribution', 'composites', 'layer', 'rules', 'types')
  }

  class Addition(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.sum = zennit['layer'].Sum()

    def forward(self, first, second):
      return self.sum(torch.stack((first, second), -1))

  rules, kinds = zennit['rules'], zennit['types']
  module = torch_module(subgraph, Addition)
  composite = zennit['composites'].LayerMapComposite(
    [
      (kinds.Activation, rules.Pass()),
      (zennit['layer'].Sum, rules.Norm()),
      (kinds.AvgPool, rules.Norm()),
      (kinds.Linear, rules.Epsilon(epsilon=_EPSILON)),
    ]
  )

  def explain(inputs: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
    attributor = zennit['attribution'].Gradient(module, composite)
    with attributor:
      _, found = attributor(images.requires_grad_(), lambda output: output)
    return found.detach().numpy().transpose(0, 2, 3, 1)

  return explain


def cosine(a: np.ndarray, b: np.ndarray) -> float:
  """Returns the least cosine of the maps of an image, [n, ...]."""
  a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
  norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
  return float(((a * b).sum(1) / norms).min())
