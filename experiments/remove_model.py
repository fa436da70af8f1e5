"""Removes a network from the model spaces of a run.

python -m experiments.remove_model --space=results/taskonomy-scenes \\
    --name=mine

The tables, figures and page of the run are written anew.
"""

import toolkit_basics.cli as cli
from experiments import insertion, shared_flags

FLAGS = cli.Flags()
_SPACE = shared_flags.space(FLAGS)
_NAME = FLAGS.string('name', 'What the network is called.')
_PROBE = shared_flags.SpaceProbe(FLAGS)
FLAGS.require(_NAME)


def main() -> None:
  spaces = insertion.remove(_SPACE.value, _NAME.value, _PROBE.given())
  print(f'{_NAME.value} was removed from the spaces {", ".join(spaces)}.')


if __name__ == '__main__':
  cli.run(main, FLAGS)
