"""Correlates affinities with the oracle's own affinities.

python -m experiments.run_direct_comparison --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('direct_comparison')
