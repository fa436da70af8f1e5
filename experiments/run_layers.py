"""Explains every stage of the networks instead of the representation.

python -m experiments.run_layers --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('layers')
