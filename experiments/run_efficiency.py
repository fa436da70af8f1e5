"""Measures what attribution costs against training the transfers.

python -m experiments.run_efficiency --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('efficiency')
