"""Remakes every experiment of the paper, and a page that links the results.

  python -m experiments.run_paper --output=results/paper

A --second_bank adds its networks to `second_group`, and `merged_groups`.
Resumable: started again with the same flags, it goes on where it stopped.
"""

import toolkit_basics.cli as cli
from experiments import paper_index, run_study
from experiments.studies import registry

FLAGS = run_study.FLAGS


def main() -> int:
  shared, findings = run_study.conduct(run_study.possible(registry.names()))
  print(f'All results: {paper_index.write(shared, findings)}')
  return run_study.left_out()


if __name__ == '__main__':
  cli.run(main, FLAGS)
