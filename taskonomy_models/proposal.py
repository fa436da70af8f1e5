"""Proposes how to use a network that nobody has described: a bank's entry.

Which tensor images go into, which one is the representation, and what is likely
expected of the values; each proposal is tried before it is made.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import re

from attribution import overrides, products
import frozen_graphs
from frozen_graphs import functions, operations
from frozen_graphs.errors import GraphError, UnsupportedOpError
from frozen_graphs.inspection import inputs as inspection_inputs
from frozen_graphs.inspection import ranges as inspection_ranges
from frozen_graphs.inspection import ranking as inspection_ranking
from frozen_graphs.inspection.flow import Flow
from frozen_graphs.inspection.inputs import InputCandidate
from frozen_graphs.inspection.ranking import RankedTensor
from taskonomy_models import conversion

_METHODS = ('gradient_times_input', 'elrp')
_MAX_TRIED = 8  # Candidates, until one can be explained.
_LINEAR = conversion.LINEAR | {'Fill', 'Range', 'Prod'}
_PRODUCTS = {
  products.GATE: 'operands held constant, as gates',
  products.HALF: 'operands that get half of the relevance',
}


@dataclasses.dataclass(frozen=True)
class Trial:
  """What became of explaining two pictures through a candidate.

  Attributes:
    tensor: The candidate.
    outcomes: By method, 'ok' or what went wrong.
  """

  tensor: str
  outcomes: Mapping[str, str]

  @property
  def is_complete(self) -> bool:
    return all(outcome == 'ok' for outcome in self.outcomes.values())

  @property
  def is_useful(self) -> bool:
    return 'ok' in self.outcomes.values()


@dataclasses.dataclass(frozen=True)
class Proposal:
  """What is known of a graph, and what is proposed.

  Attributes:
    source: What was inspected.
    inputs: What images could be fed to, the likeliest first.
    input_shape: Of the first, as the graph was tried.
    operations: Number of nodes by type, between input and representation.
    nonlinear: For each operation that is not linear, how relevance passes it.
    no_rule: What epsilon-LRP says of operations without a rule; empty if none.
    left_out: Why parts of the graph cannot be used, with numbers of nodes.
    representations: Candidates, the best first.
    trials: Of the candidates that were tried, in order.
    range_reason: Why the range in the preprocessing is as it is.
    entry: Of a bank.json.
  """

  source: str
  inputs: tuple[InputCandidate, ...]
  input_shape: tuple[int, ...]
  operations: Mapping[str, int]
  nonlinear: Mapping[str, str]
  no_rule: str
  left_out: Mapping[str, int]
  representations: tuple[RankedTensor, ...]
  trials: tuple[Trial, ...]
  range_reason: str
  entry: Mapping[str, str]


def _trials(
  network: frozen_graphs.Network,
  tensors: list[str],
  input: str,
  preprocessing: str,
  say: Callable[[str], object],
) -> tuple[list[Trial], dict[str, frozen_graphs.Network]]:
  """Tries representations until all is well with one."""
  trials, cut = [], {}
  for tensor in tensors:
    say(f'Trying {tensor} ...')
    cut[tensor] = network.at(tensor, input)
    trials.append(Trial(tensor, _outcomes(cut[tensor], preprocessing)))
    if trials[-1].is_complete:
      break
  return trials, cut


def propose(
  network: object,
  *,
  input: str | None = None,
  representation: str | None = None,
  name: str = 'network',
  source: str = 'graph.pb',
  say: Callable[[str], object] = lambda line: None,
) -> Proposal:
  """Returns what is found in a graph, and an entry of a bank that was tried.

  Args:
    network: A network, or whatever `frozen_graphs.load` makes one of.
    input: Where images go in, if it is known.
    representation: The representation, if it is known.
    name: Of the entry.
    source: File of the graph.
    say: Is told of each step before it is done, in a line.

  Raises:
    GraphError: If images cannot be fed to the graph, or nothing behind can be
      explained; the message says why.
  """
  if not isinstance(network, frozen_graphs.Network):
    network = frozen_graphs.load(network, partial=True)
  nodes = {n.name: n for n in functions.inline_functions(network.graph_def)}
  inputs = _inputs(nodes, input)
  chosen = inputs[0]
  say(f'Following {chosen.tensor} through {len(nodes)} operations ...')
  flow = inspection_inputs.trace(nodes, chosen)
  ranked = _ranked(flow, representation)
  (low, high), reason = inspection_ranges.guess(flow, bool(chosen.stands_for))
  text = preprocessing_text(flow.input_shape, chosen, low, high)
  some = [each.tensor for each in ranked[: 1 if representation else _MAX_TRIED]]
  trials, cut = _trials(network, some, chosen.tensor, text, say)
  accepted = _accepted(trials, chosen.tensor)
  counts, nonlinear, no_rule = _rules(cut[accepted])
  return Proposal(
    source=source,
    inputs=tuple(inputs),
    input_shape=flow.input_shape,
    operations=counts,
    nonlinear=nonlinear,
    no_rule=no_rule,
    left_out=flow.left_out | Counter(network.frozen.left_out),
    representations=tuple(ranked),
    trials=tuple(trials),
    range_reason=reason,
    entry={
      'name': _entry_name(name),
      'graph': os.path.basename(source),
      'input': chosen.tensor,
      'representation': accepted,
      'preprocessing': text,
    },
  )


@dataclasses.dataclass(frozen=True)
class Glance:
  """What a graph alone says, without trying anything.

  Attributes:
    input: The tensor of the images.
    representation: The likeliest.
    preprocessing: T with a guess of the range of values.
    range_reason: Why that range; empty if nothing in the graph tells.
  """

  input: str
  representation: str
  preprocessing: str
  range_reason: str


def glance(
  network: frozen_graphs.Network,
  *,
  input: str | None = None,
  representation: str | None = None,
) -> Glance:
  """Returns what is found in a graph; arguments and errors as of `propose`."""
  nodes = {n.name: n for n in functions.inline_functions(network.graph_def)}
  chosen = _inputs(nodes, input)[0]
  flow = inspection_inputs.trace(nodes, chosen)
  is_integer = bool(chosen.stands_for)
  (low, high), reason = inspection_ranges.guess(flow, is_integer)
  tensor = representation or _ranked(flow, None)[0].tensor
  text = preprocessing_text(flow.input_shape, chosen, low, high)
  is_known = is_integer or reason.startswith(inspection_ranges.BEGINS)
  return Glance(chosen.tensor, tensor, text, reason if is_known else '')


def _inputs(nodes, wanted: str | None) -> list[InputCandidate]:
  found = inspection_inputs.candidates(nodes)
  if wanted is not None:
    chosen = inspection_inputs.of_tensor(nodes, wanted)
    if chosen.why_not:
      raise GraphError(
        f'{chosen.tensor!r} cannot be the input: {chosen.why_not}.'
      )
    return [chosen, *(c for c in found if c.tensor != chosen.tensor)]
  if not found or found[0].why_not:
    reasons = '; '.join(f'{c.tensor!r}: {c.why_not}' for c in found)
    raise GraphError(
      'No tensor was found that images could be fed to'
      + (f' ({reasons}). ' if reasons else ', for there is no Placeholder. ')
      + 'Choose one (`input`): floats [N, height, width, channels].'
    )
  return found


def _ranked(flow: Flow, wanted: str | None) -> list[RankedTensor]:
  """Returns what may be the representation, one that is asked for first."""
  ranked = inspection_ranking.rank(flow)
  if wanted is not None:
    name = wanted if ':' in wanted else f'{wanted}:0'
    asked = RankedTensor(name, (), 0.0, ('as asked for',))
    chosen = next((tensor for tensor in ranked if tensor.tensor == name), asked)
    return [chosen, *(tensor for tensor in ranked if tensor.tensor != name)]
  if not ranked:
    source = '{}:{}'.format(*flow.source)
    raise GraphError(
      f'No representation found behind {source!r}: nothing there has weights '
      'and one result for each image; choose one (`representation`).'
    )
  return ranked


def preprocessing_text(
  input_shape: Sequence[int], chosen: InputCandidate, low: int, high: int
) -> str:
  """Returns T for pictures of three channels, of any size."""
  first = chosen.channels_first
  if first is None:
    first = input_shape[1] < input_shape[3] and input_shape[1] in (1, 3, 4)
  channels = input_shape[1] if first else input_shape[3]
  height, width = input_shape[2:] if first else input_shape[1:3]
  size = f'{height}' if height == width else f'{height}, {width}'
  steps = (
    f'resize({size})',
    'grayscale' if channels == 1 else '',
    f'range({low}, {high})',
    'append_channel(1)' if channels == 4 else '',
    'channels_first' if first else '',
  )
  return ' | '.join(filter(None, steps))


def _outcomes(
  network: frozen_graphs.Network, preprocessing: str
) -> dict[str, str]:
  """Returns by method 'ok', or what went wrong.

  All methods are tried together; if that fails, each by itself.
  """
  try:
    return _tried(network, preprocessing, _METHODS)
  except ValueError:
    return {
      method: outcome
      for name in _METHODS
      for method, outcome in _outcome(network, preprocessing, name).items()
    }


def _outcome(
  network: frozen_graphs.Network, preprocessing: str, method: str
) -> dict[str, str]:
  try:
    return _tried(network, preprocessing, (method,))
  except ValueError as error:
    return {method: ' '.join(str(error).split())}


def _tried(
  network: frozen_graphs.Network, preprocessing: str, methods: Sequence[str]
) -> dict[str, str]:
  found = conversion.tried(network, preprocessing, methods).faults
  return {method: fault or 'ok' for method, fault in found.items()}


def _accepted(trials: Sequence[Trial], input_tensor: str) -> str:
  """Returns the first that all methods explain, or else that one does."""
  for trial in sorted(trials, key=lambda t: not t.is_complete):
    if trial.is_useful:
      return trial.tensor
  reasons = dict.fromkeys(trials[0].outcomes.values())
  raise GraphError(
    f'None of {len(trials)} representations behind {input_tensor!r} can be '
    f'explained; of {trials[0].tensor!r}: {"; ".join(reasons)}'
  )


def _rules(
  network: frozen_graphs.Network,
) -> tuple[dict[str, int], dict[str, str], str]:
  """Returns what stands in a report: operations, nonlinear, no_rule."""
  counts = Counter(network.operations)
  ruled, refusal = {}, ''
  try:
    ruled = dict(overrides.marked(network)[1])
  except UnsupportedOpError as error:
    refusal = str(error)
  nonlinear = {
    f'products ({kind})': f'{ruled.pop(kind)} {text}'
    for kind, text in _PRODUCTS.items()
    if kind in ruled
  }
  for kind, number in ruled.items():
    nonlinear[kind] = f'rule of activations ({number} times)'
  for kind in counts:
    if kind not in nonlinear and kind not in _LINEAR:
      nonlinear[kind] = _way_of(kind, refusal)
  return dict(counts.most_common()), nonlinear, refusal


def _way_of(kind: str, refusal: str) -> str:
  if f'{kind} (node' in refusal or f'{kind} of ' in refusal:
    return 'NO RULE'
  if kind in operations.WINNER_TAKES_ALL:
    return 'relevance follows the winner, as the gradient does'
  if kind in operations.activations() and refusal:
    return 'rule of activations'
  if kind in products.PRODUCTS:
    return 'rule of products'
  return 'part of an activation or gate, or not on a way of the gradient'


def _entry_name(name: str) -> str:
  """Returns a name that a bank accepts."""
  cleaned = re.sub(r'[^A-Za-z0-9_.+=@-]', '_', name)[:128] or 'network'
  return cleaned if re.match(r'[A-Za-z0-9_]', cleaned) else f'_{cleaned[:127]}'
