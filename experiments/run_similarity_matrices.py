"""Compares SVCCA's matrix of the networks with attribution's.

python -m experiments.run_similarity_matrices --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('similarity_matrices')
