"""Measures how affinities and precision depend on the number of images.

python -m experiments.run_probe_size --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('probe_size')
