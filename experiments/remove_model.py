"""Removes a network from the model spaces of a run.

python -m experiments.remove_model --space=results/taskonomy-scenes \\
    --name=mine
"""

from collections.abc import Sequence

from absl import app, flags

from experiments import insertion
from toolkit_basics import cli

_SPACE = flags.DEFINE_string(
  'space', None, 'Folder of a run, of its model_space/, or of one method of it.'
)
_NAME = flags.DEFINE_string('name', None, 'Of the network.')
flags.mark_flags_as_required(['space', 'name'])


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  methods = insertion.remove(_SPACE.value, _NAME.value)
  print(f'{_NAME.value} was removed from the spaces of {", ".join(methods)}.')


if __name__ == '__main__':
  cli.run(main)
