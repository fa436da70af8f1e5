"""Checks how relevance flows through a network of your own, and its gradients.

  python -m experiments.check model.onnx
  python -m experiments.check keras:MobileNetV2 --method=lrp_by_kind
  python -m experiments.check autoencoder --bank=mini

Prints how much relevance each stage keeps of what the representation has, by
which rule it is lost, in which operations most, and whether gradients agree
with finite differences. MODEL is a file or folder of any format, a keras:NAME,
or, with --bank, the name of a network there.
"""

from collections.abc import Iterator

import numpy as np

import toolkit_basics.cli as cli
from attribution import conservation, finite_differences
from attribution import methods as methods_lib
from attribution.conservation import Account
from attribution.preprocessing import Preprocessing
from experiments import evaluation, network_errors, pipeline, shared_flags
from taskonomy_models import bank as banks
from taskonomy_models import candidates
from taskonomy_models.bank import Bank

FLAGS = cli.Flags()
_BANK = shared_flags.bank(FLAGS, None, ' MODEL is then the name of one.')
_REPRESENTATION = FLAGS.string(
  'representation',
  'Name of the tensor of the representation; by default one is proposed.',
)
_PREPROCESSING = FLAGS.string(
  'preprocessing',
  "What is done to images first, as 'resize(224) | range(-1, 1)'; by default "
  'what the file or the bank says.',
)
_METHOD = FLAGS.enum(
  'method',
  'Method whose relevance is followed.',
  tuple(n for n in methods_lib.names() if methods_lib.create(n).rule),
  'elrp',
)
_EPSILON = shared_flags.epsilon(FLAGS)
_PROBE = shared_flags.Probe(FLAGS, 'scenes', 4)
_STAGES = FLAGS.integer(
  'stages', 'Stages that are shown, at most.', 16, lower_bound=2
)
# Of gradients and differences: rounding leaves 0.002 to 0.01 in networks of the
# zoo; of a wrong gradient it is about 1.
_AGREES = 0.05
_CANCELS = 0.1  # Of the mean of units, over that of their magnitudes.
_WORST = 5  # Operations that are named.


def _bank(model: str) -> Bank:
  """Returns a bank of the one network."""
  if _BANK.value is not None:
    for flag in (_PREPROCESSING, _REPRESENTATION):
      if flag.value is not None:
        raise ValueError(f'--{flag.name} is of a file; a bank says it itself.')
    return banks.load(_BANK.value, names=[model])
  name = candidates.name_of(model)
  given = [
    None if flag.value is None else {name: flag.value}
    for flag in (_PREPROCESSING, _REPRESENTATION)
  ]
  shelf = candidates.shelf([model], *given)
  for fault in shelf.faults.values():
    raise ValueError(fault)
  return shelf.bank


def _relevance(found: Account, stages: int) -> Iterator[str]:
  """Yields lines on how much each stage keeps, and by what it is lost."""
  total, magnitude = found.total.mean(), found.magnitude.mean()
  yield f'Relevance at the representation: {total:.4g}, the mean of its units.'
  if abs(total) < _CANCELS * magnitude:
    yield (
      f'Units cancel: the mean of their magnitudes is {magnitude:.4g}. Shares '
      'of so small a sum are large; read them with care.'
    )
  names = list(found.stages)
  places = np.linspace(0, len(names) - 1, min(stages, len(names)))
  shown = [names[round(place)] for place in places]
  rows = [['stage', 'keeps']]
  rows += [[name, found.share(found.stages[name])] for name in shown]
  yield evaluation.format_table(rows)
  rows = [['lost by', 'share']]
  rows += [[rule, share] for rule, share in found.lost_by_rule().items()]
  rows.append(['in all', 1 - found.share(found.arrived)])
  yield evaluation.format_table(rows)
  worst = sorted(found.steps, key=lambda step: -abs(step.lost.sum()))[:_WORST]
  rows = [['most in', 'rule', 'share']]
  rows += [[s.name, s.rule, found.share(s.lost)] for s in worst]
  yield evaluation.format_table(rows)


def main(model: str) -> None:
  bank = _bank(model)
  (encoder,) = bank.encoders
  network = bank.network(encoder.name)
  size = pipeline.probe_size(bank)
  (encoder,) = pipeline.resized(bank, size).encoders
  images = _PROBE.load(size).images
  (method,) = methods_lib.create_all([_METHOD.value], epsilon=_EPSILON.value)
  print(f'{encoder.name}: {encoder.preprocessing}, {len(images)} images')
  with network_errors.computing(encoder.name):
    inputs = Preprocessing.parse(encoder.preprocessing)(images)
    network.assume_input_shape((None, *inputs.shape[1:]))
    found = conservation.account(network, inputs, method)
  print('\n'.join(_relevance(found, _STAGES.value)))
  with network_errors.computing(encoder.name):
    errors = finite_differences.disagreement(network, inputs)
  median, largest = np.nanmedian(errors), np.nanmax(errors)
  said = 'agree' if median < _AGREES else 'DO NOT agree'
  print(
    f'Gradients {said} with finite differences: relative error {median:.2g} '
    f'(median), {largest:.2g} (largest of {errors.size} directions).'
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
