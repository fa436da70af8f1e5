"""Inspects a network and proposes an entry of a bank for it.

  python -m taskonomy_models.inspect graph.pb
  python -m taskonomy_models.inspect model.json --representation=out_relu/Relu6
  python -m taskonomy_models.inspect graph.pb --json

GRAPH is a frozen graph, binary or textual, or a model of another format that
`frozen_graphs.formats` reads. See docs/inspecting_a_graph.md.
"""

from collections.abc import Sequence
import json
import pathlib

from absl import app, flags

import frozen_graphs
from taskonomy_models import proposal as proposals
from taskonomy_models import proposal_text
from toolkit_basics import cli

_INPUT = flags.DEFINE_string(
  'input', None, 'Tensor that images go into; default: found.'
)
_REPRESENTATION = flags.DEFINE_string(
  'representation', None, 'Tensor of the representation; default: proposed.'
)
_NAME = flags.DEFINE_string(
  'name', None, 'Of the entry; default: that of the file.'
)
_JSON = flags.DEFINE_bool('json', False, 'Print it as JSON.')


def main(argv: Sequence[str]) -> None:
  if len(argv) != 2:
    raise app.UsageError(
      'One graph is needed: python -m taskonomy_models.inspect GRAPH'
    )
  network = frozen_graphs.load(argv[1])
  proposal = proposals.propose(
    network,
    input_tensor=_INPUT.value,
    representation_tensor=_REPRESENTATION.value,
    name=_NAME.value or pathlib.Path(argv[1]).resolve().stem,
    source=argv[1],
  )
  if _JSON.value:
    print(json.dumps(proposal_text.as_json(proposal), indent=2))
  else:
    print(proposal_text.as_text(proposal))


if __name__ == '__main__':
  cli.run(main)
