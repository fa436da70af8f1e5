"""Compares trees of attribution and SVCCA for networks without an oracle.

python -m experiments.run_second_group --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('second_group')
