"""Inspects a network and proposes an entry of a bank for it.

  python -m taskonomy_models.inspect graph.pb
  python -m taskonomy_models.inspect model.json --representation=out_relu/Relu6
  python -m taskonomy_models.inspect graph.pb --json

GRAPH is a frozen graph, binary or textual, or a model of another format that
`frozen_graphs.formats` reads. See docs/inspecting_a_graph.md.
"""

import json
import os
import pathlib

import toolkit_basics.cli as cli
import frozen_graphs
from frozen_graphs import sandbox
from taskonomy_models import proposal as proposals
from taskonomy_models import proposal_text
from toolkit_basics import quiet

FLAGS = cli.Flags()
_INPUT = FLAGS.string(
  'input', 'Name of the tensor that takes the images; by default found.'
)
_REPRESENTATION = FLAGS.string(
  'representation',
  'Name of the tensor of the representation; by default one is proposed.',
)
_NAME = FLAGS.string(
  'name', 'What the network is called; by default as its file.'
)
_TRUST = FLAGS.enum(
  'trust',
  'By default it is loaded and run on one image in a process of its own first, '
  'with bounds on memory and time (sandbox); checks goes without.',
  sandbox.TRUST,
)
_IMAGE_SIZE = FLAGS.integer(
  'image_size',
  'Height and width of its images, where the file leaves them open and an '
  'operation needs them.',
  lower_bound=1,
)
_JSON = FLAGS.bool('json', 'Print it as JSON, for programs.')


def main(graph: str) -> None:
  ends = _INPUT.value, _REPRESENTATION.value
  name = _NAME.value or pathlib.Path(os.path.realpath(graph)).stem
  options = *ends, name, _IMAGE_SIZE.value, _JSON.value
  if sandbox.trust_of(_TRUST.value) == 'sandbox':
    print(sandbox.within(_report, graph, *options))
  else:
    print(_report(graph, *options))


def _report(
  graph: str,
  input: str | None,
  representation: str | None,
  name: str,
  image_size: int | None,
  as_json: bool,
) -> str:
  """Returns what is printed of a graph."""
  size = os.path.getsize(graph) / 2**20 if os.path.isfile(graph) else 0
  _say(f'Reading {graph}' + (f' ({size:.1f} MB)' if size else '') + ' ...')
  network = frozen_graphs.load(
    graph, trust='checks', partial=True, image_size=image_size
  )
  proposal = proposals.propose(
    network,
    input=input,
    representation=representation,
    name=name,
    source=graph,
    say=_say,
  )
  if as_json:
    return json.dumps(proposal_text.as_json(proposal), indent=2)
  return proposal_text.as_text(proposal)


def _say(line: str) -> None:
  quiet.say(f'{line}\n')


if __name__ == '__main__':
  cli.run(main, FLAGS)
