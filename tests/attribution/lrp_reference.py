"""Relevance by zennit and by lxt; run in a process without TensorFlow.

  python -m tests.attribution.lrp_reference FILE

FILE is an .npz of `what`, options and weights; `relevance` is put beside it,
as .npy.
"""

import importlib
import pathlib
import sys
import types

import numpy as np


def of_zennit(given, convolution: float, dense: float, epsilon: float):
  """Returns relevance [N, H, W, 3] of a small convolutional network.

  Args:
    given: `x`, and weights and biases as TensorFlow has them.
    convolution: Gamma of convolutions; 0 for the epsilon rule.
    dense: Gamma of the dense layer.
    epsilon: The stabilizer of both.
  """
  torch = importlib.import_module('torch')
  composites = importlib.import_module('zennit.composites')
  rules = importlib.import_module('zennit.rules')

  class Corner(torch.nn.Module):
    def forward(self, x):
      # As TensorFlow flattens it: channels last.
      return x[:, :, :2, :2].permute(0, 2, 3, 1).flatten(1)

  def rule(gamma):
    if gamma:
      return rules.Gamma(gamma, stabilizer=epsilon)
    return rules.Epsilon(epsilon=epsilon)

  layers = []
  for number, stride in enumerate((1, 2)):
    kernel = given[f'kernel{number}']
    layer = torch.nn.Conv2d(*kernel.shape[2:], 3, stride)
    layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
    layer.bias.data = torch.tensor(given[f'bias{number}'])
    layers += [layer, torch.nn.ReLU()]
  last = torch.nn.Linear(*given['kernel2'].shape)
  last.weight.data = torch.tensor(given['kernel2'].T.copy())
  last.bias.data = torch.tensor(given['bias2'])
  model = torch.nn.Sequential(*layers, Corner(), last, torch.nn.ReLU())
  composite = composites.LayerMapComposite(
    [
      (torch.nn.ReLU, rules.Pass()),
      (torch.nn.Conv2d, rule(convolution)),
      (torch.nn.Linear, rule(dense)),
    ]
  )
  x = torch.tensor(given['x'].transpose(0, 3, 1, 2).copy(), requires_grad=True)
  with composite.context(model) as modified:
    out = modified(x)
    out.backward(out.detach() / out.shape[1])  # Relevance at the units.
  return x.grad.numpy().transpose(0, 2, 3, 1)


def of_lxt(given, is_gated: bool):
  """Returns relevance [N, H, W, 3] of a transformer block, pre-norm.

  Attention weights are constants (its rule for CP-LRP).

  Args:
    given: `x`, the weights of the block, `scale` and `shift` of its norms.
    is_gated: Whether the perceptron is gated.
  """
  torch, lxt = (importlib.import_module(name) for name in ('torch', 'lxt'))
  # The __init__ of this part asks for language models of some version.
  package = types.ModuleType('lxt.efficient')
  package.__path__ = [str(pathlib.Path(lxt.__path__[0]) / 'efficient')]
  sys.modules['lxt.efficient'] = package
  patches = importlib.import_module('lxt.efficient.patches')
  rules = importlib.import_module('lxt.efficient.rules')

  weights = {name: torch.tensor(given[name]) for name in given}
  width = len(given['scale'])
  norm = torch.nn.LayerNorm(width, eps=1e-5)
  norm.weight.data, norm.bias.data = weights['scale'], weights['shift']

  def normed(x):
    return patches.layer_norm_forward(norm, x)

  image = weights['x'].clone().requires_grad_()
  x = image.reshape(-1, 4, 2, 4, 2, 3).permute(0, 1, 3, 2, 4, 5)
  x = x.reshape(len(image), 16, 12) @ weights['patch']
  y = normed(x)
  query, key = (
    rules.stop_gradient(y @ weights[name]) for name in ('query', 'key')
  )
  attention = torch.softmax(query @ key.transpose(1, 2) / width**0.5, -1)
  x = x + attention @ (y @ weights['value']) @ weights['out']
  y = normed(x)
  z = rules.identity_rule_implicit(
    torch.nn.functional.gelu, y @ weights['grow']
  )
  if is_gated:
    z = rules.divide_gradient(z * (y @ weights['gate']), 2)
  out = normed(x + z @ weights['shrink'])
  out.mean(dim=(1, 2)).sum().backward()
  return (image * image.grad).detach().numpy()


def main(path: str) -> None:
  with np.load(path) as file:
    given = dict(file)
  what = str(given.pop('what'))
  options = [value.item() for value in (given.pop('options'))]
  found = {'zennit': of_zennit, 'lxt': of_lxt}[what](given, *options)
  np.save(pathlib.Path(path).with_name('relevance.npy'), found)


if __name__ == '__main__':
  main(*sys.argv[1:])
