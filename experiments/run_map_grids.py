"""Draws attribution maps of images by all networks and methods.

python -m experiments.run_map_grids --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('map_grids')
