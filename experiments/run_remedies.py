"""Tries what may be done to maps and affinities beside the paper's protocol.

python -m experiments.run_remedies --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('remedies')
