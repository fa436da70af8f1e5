"""Removes a network from the model spaces of a run.

python -m experiments.remove_model --space=results/taskonomy-scenes \\
    --name=mine

The tables, figures and page of the run are written anew.
"""

from collections.abc import Sequence

from absl import app, flags

from experiments import insertion
from toolkit_basics import cli

_SPACE = flags.DEFINE_string(
  'space', None, 'Folder of a run, of its model_space/, or of one method of it.'
)
_NAME = flags.DEFINE_string('name', None, 'Of the network.')
_PROBE = flags.DEFINE_string(
  'probe', None, "Images of the spaces; these four: default, the run's own."
)
_PROBE_DIR = flags.DEFINE_string('probe_dir', None, 'Where they are.')
_NUM_IMAGES = flags.DEFINE_integer('num_images', None, 'How many.')
_SEED = flags.DEFINE_integer('seed', None, 'Of their sample.')
flags.mark_flags_as_required(['space', 'name'])


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  probe = insertion.Probe(
    _PROBE.value, _PROBE_DIR.value, _NUM_IMAGES.value, _SEED.value
  )
  spaces = insertion.remove(_SPACE.value, _NAME.value, probe)
  print(f'{_NAME.value} was removed from the spaces {", ".join(spaces)}.')


if __name__ == '__main__':
  cli.run(main)
