"""Scores all measures against the oracle, on all probe sets.

python -m experiments.run_precision_recall --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('precision_recall')
