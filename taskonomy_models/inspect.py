"""Inspects a network and proposes an entry of a bank for it.

  python -m taskonomy_models.inspect graph.pb
  python -m taskonomy_models.inspect model.json --representation=out_relu/Relu6
  python -m taskonomy_models.inspect graph.pb --json

GRAPH is a frozen graph, binary or textual, or a model of another format that
`frozen_graphs.formats` reads. See docs/inspecting_a_graph.md.
"""

import json
import pathlib

import toolkit_basics.cli as cli
import frozen_graphs
from frozen_graphs import sandbox
from taskonomy_models import proposal as proposals
from taskonomy_models import proposal_text

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
  network = frozen_graphs.load(
    graph, trust=_TRUST.value, partial=True, image_size=_IMAGE_SIZE.value
  )
  proposal = proposals.propose(
    network,
    input=_INPUT.value,
    representation=_REPRESENTATION.value,
    name=_NAME.value or pathlib.Path(graph).resolve().stem,
    source=graph,
  )
  if _JSON.value:
    print(json.dumps(proposal_text.as_json(proposal), indent=2))
  else:
    print(proposal_text.as_text(proposal))


if __name__ == '__main__':
  cli.run(main, FLAGS)
