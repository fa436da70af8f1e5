"""A proposal for a graph as text, and as what JSON can hold."""

from collections.abc import Iterable, Mapping
import dataclasses
import json
import shlex
from typing import Any

from frozen_graphs.inspection.inputs import InputCandidate
from taskonomy_models.proposal import Proposal

_SHOWN = 5
_GRAPH_ENDINGS = ('.pb', '.pbtxt', '.prototxt', '.txt')


def bank_of(proposal: Proposal) -> dict[str, Any]:
  """Returns the content of a bank.json with the proposed encoder."""
  return {'name': proposal.entry['name'], 'encoders': [dict(proposal.entry)]}


def as_json(proposal: Proposal) -> dict[str, Any]:
  """Returns the proposal as dictionaries, lists, numbers and texts."""
  content = dataclasses.asdict(proposal)
  content['bank'] = bank_of(proposal)
  return json.loads(json.dumps(content))


def as_text(proposal: Proposal) -> str:
  """Returns the proposal for a terminal."""
  entry, counts = proposal.entry, proposal.operations
  left_out = [f'{why} ({n} times)' for why, n in proposal.left_out.items()]
  outcomes = {
    trial.tensor: ', '.join(map(' '.join, trial.outcomes.items()))
    for trial in proposal.trials
  }
  sections = [
    proposal.source,
    _section('Inputs', map(_input, proposal.inputs[:_SHOWN])),
    f'Tried with inputs of shape {_shape(proposal.input_shape)}.',
    left_out and _section('Not usable behind the input', left_out[:8]),
    _section(
      f'Operations in between ({sum(counts.values())})',
      [', '.join(f'{kind} {number}' for kind, number in counts.items())],
    ),
    _section('Not linear', _named(proposal.nonlinear) or ['none']),
    proposal.no_rule and f'Epsilon-LRP: {proposal.no_rule}',
    _section('Representations', _representations(proposal)),
    _section('Tried on two pictures', _named(outcomes)),
    f'Range of values, A GUESS TO BE CONFIRMED: {proposal.range_reason}. RGB '
    'is assumed; whether a network wants BGR cannot be seen in its graph.',
    f'bank.json:\n{json.dumps(bank_of(proposal), indent=2)}',
    not entry['graph'].endswith(_GRAPH_ENDINGS)
    and f'{entry["graph"]} is not a frozen graph. This makes one, and the '
    f'entry of the bank FOLDER, once T is confirmed:\n{_conversion(proposal)}',
  ]
  return '\n\n'.join(filter(None, sections))


def _conversion(proposal: Proposal) -> str:
  """Returns the command that brings the network into a bank."""
  options = ('name', 'input', 'representation', 'preprocessing')
  given = [f'--{o}={shlex.quote(proposal.entry[o])}' for o in options]
  source = shlex.quote(proposal.source)
  command = ['python -m taskonomy_models.convert', source, '--output=FOLDER']
  return ' '.join(command + given)


def _section(title: str, lines: Iterable[str]) -> str:
  return '\n'.join([f'{title}:', *(f'  {line}' for line in lines)])


def _named(texts: Mapping[str, str]) -> list[str]:
  return [f'{name}: {text}' for name, text in texts.items()]


def _input(candidate: InputCandidate) -> str:
  known = candidate.shape is not None
  shape = _shape(candidate.shape) if known else 'unknown shape'
  text = f'{candidate.tensor}  {candidate.dtype} {shape}'
  if candidate.stands_for:
    text += f', the first image of floats behind {candidate.stands_for}'
  if candidate.why_not:
    return f'{text}: no, {candidate.why_not}'
  return f'{text}, {candidate.weights / 1e6:.2f} M weights behind it'


def _shape(shape) -> str:
  return f'[{", ".join("?" if n is None else str(n) for n in shape)}]'


def _representations(proposal: Proposal) -> list[str]:
  accepted = proposal.entry['representation']
  lines = []
  for number, candidate in enumerate(proposal.representations[:_SHOWN], 1):
    mark = '*' if candidate.tensor == accepted else ' '
    shape, score = _shape(candidate.shape), f'score {candidate.score:.2f}'
    lines.append(f'{number}{mark} {candidate.tensor}  {shape}  {score}')
    lines.append(f'     {"; ".join(candidate.reasons)}')
  return lines
