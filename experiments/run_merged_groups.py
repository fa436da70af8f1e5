"""Compares the networks of two banks in one space.

python -m experiments.run_merged_groups --second_bank=FOLDER
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('merged_groups')
