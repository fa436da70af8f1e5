"""A report on a graph as text, and as what JSON can hold."""

from collections.abc import Mapping
import dataclasses
import json
import shlex
from typing import Any

from frozen_graphs.inspection.inputs import InputCandidate
from frozen_graphs.inspection.report import Report

_SHOWN = 5
_GRAPH_ENDINGS = ('.pb', '.pbtxt', '.prototxt', '.txt')


def bank_of(report: Report) -> dict[str, Any]:
  """Returns the content of a bank.json with the proposed encoder."""
  return {'name': report.entry['name'], 'encoders': [dict(report.entry)]}


def as_json(report: Report) -> dict[str, Any]:
  """Returns the report as dictionaries, lists, numbers and texts."""
  content = dataclasses.asdict(report)
  content['bank'] = bank_of(report)
  return json.loads(json.dumps(content))


def as_text(report: Report) -> str:
  """Returns the report for a terminal."""
  sections = [
    f'{report.source}',
    _section('Inputs', [_input(c) for c in report.inputs[:_SHOWN]]),
    f'Tried with inputs of shape {_shape(report.input_shape)}.',
  ]
  if report.left_out:
    sections.append(
      _section('Not usable behind the input', _counts(report.left_out))
    )
  sections += [
    _section(
      f'Operations in between ({sum(report.operations.values())})',
      [', '.join(f'{k} {n}' for k, n in report.operations.items())],
    ),
    _section(
      'Not linear',
      [f'{name}: {way}' for name, way in report.nonlinear.items()] or ['none'],
    ),
  ]
  if report.no_rule:
    sections.append(f'Epsilon-LRP: {report.no_rule}')
  sections += [
    _section('Representations', _representations(report)),
    _section('Tried on two pictures', _trials(report)),
    f'Range of values, A GUESS TO BE CONFIRMED: {report.range_reason}. RGB '
    'is assumed; whether a network wants BGR cannot be seen in its graph.',
    f'bank.json:\n{json.dumps(bank_of(report), indent=2)}',
  ]
  if not report.entry['graph'].endswith(_GRAPH_ENDINGS):
    sections.append(
      f'{report.entry["graph"]} is not a frozen graph. This makes one, and the '
      f'entry of the bank FOLDER, once T is confirmed:\n{_conversion(report)}'
    )
  return '\n\n'.join(sections)


def _conversion(report: Report) -> str:
  """Returns the command that brings the network into a bank."""
  entry = report.entry
  options = ('name', 'input', 'representation', 'preprocessing')
  return ' '.join(
    [
      'python -m taskonomy_models.convert',
      shlex.quote(report.source),
      '--output=FOLDER',
      *(f'--{key}={shlex.quote(entry[key])}' for key in options),
    ]
  )


def _section(title: str, lines: list[str]) -> str:
  return '\n'.join([f'{title}:', *(f'  {line}' for line in lines)])


def _input(candidate: InputCandidate) -> str:
  shape = (
    'unknown shape' if candidate.shape is None else _shape(candidate.shape)
  )
  text = f'{candidate.tensor}  {candidate.dtype} {shape}'
  if candidate.stands_for:
    text += f', the first image of floats behind {candidate.stands_for}'
  if candidate.why_not:
    return f'{text}: no, {candidate.why_not}'
  return f'{text}, {candidate.weights / 1e6:.2f} M weights behind it'


def _shape(shape) -> str:
  return f'[{", ".join("?" if n is None else str(n) for n in shape)}]'


def _counts(counts: Mapping[str, int]) -> list[str]:
  return [
    f'{reason} ({number} times)' for reason, number in list(counts.items())[:8]
  ]


def _representations(report: Report) -> list[str]:
  accepted = report.entry['representation']
  lines = []
  for number, candidate in enumerate(report.representations[:_SHOWN], start=1):
    mark = '*' if candidate.tensor == accepted else ' '
    lines.append(
      f'{number}{mark} {candidate.tensor}  {_shape(candidate.shape)}  '
      f'score {candidate.score:.2f}'
    )
    lines.append(f'     {"; ".join(candidate.reasons)}')
  return lines


def _trials(report: Report) -> list[str]:
  return [
    f'{trial.tensor}: '
    + ', '.join(f'{name} {outcome}' for name, outcome in trial.outcomes.items())
    for trial in report.trials
  ]
