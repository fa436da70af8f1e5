"""Remakes every experiment of the paper, and a page that links the results.

  python -m experiments.run_paper --output=results/paper

A --second_bank adds its networks to `second_group`, and `merged_groups`.
Resumable: started again with the same flags, it goes on where it stopped.
"""

from collections.abc import Sequence

from absl import app

from experiments import paper_index, study_cli
from experiments.studies import registry
from toolkit_basics import cli


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  shared, findings = study_cli.conduct(study_cli.possible(registry.names()))
  print(f'All results: {paper_index.write(shared, findings)}')


if __name__ == '__main__':
  cli.run(main)
