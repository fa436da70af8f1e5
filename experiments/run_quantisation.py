"""Compares affinities of maps of few bits with those of whole maps.

python -m experiments.run_quantisation --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('quantisation')
