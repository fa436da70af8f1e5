"""Computes what a symmetric matrix can lose against the oracle.

python -m experiments.run_symmetry --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('symmetry')
