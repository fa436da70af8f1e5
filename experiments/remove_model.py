"""Removes a network from the model spaces of a run.

python -m experiments.remove_model --space=results/taskonomy-scenes \\
    --name=mine
"""

import toolkit_basics.cli as cli
from experiments import insertion, shared_flags

FLAGS = cli.Flags()
_SPACE = shared_flags.space(FLAGS)
_NAME = FLAGS.string('name', 'What the network is called.')
FLAGS.require(_NAME)


def main() -> None:
  methods = insertion.remove(_SPACE.value, _NAME.value)
  print(f'{_NAME.value} was removed from the spaces of {", ".join(methods)}.')


if __name__ == '__main__':
  cli.run(main, FLAGS)
