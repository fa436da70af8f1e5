"""Lists each target's precision, and how much its oracle can tell.

python -m experiments.run_bad_cases --output=results/paper
"""

from experiments import study_cli

if __name__ == '__main__':
  study_cli.run('bad_cases')
