"""Which data to train on: do source-data measures predict what it gives?

  python -m experiments.run_domain_selection

Types of rooms are domains that share labels. For each type as the target, a
head is trained on each other type, on the features of a frozen network, and
tested on the target; the table says how far the order of each source-data
measure is that of measured accuracy, beside the accuracy on the few labelled
samples that the measures see, and a static order. A killed run goes on with
--resume.
"""

import toolkit_basics.cli as cli
from experiments import evaluation, shared_flags
from experiments.selection import (
  domains,
  report,
  source_samples,
  study,
  targets,
)
from probe_data import rooms
from taskonomy_models.mini import building
from toolkit_basics import files, progress

FLAGS = cli.Flags()
_BANK = shared_flags.UsableBank(FLAGS)
_NETWORKS = shared_flags.networks(
  FLAGS, ('autoencoder', 'segmentsemantic'), 'whose features are used'
)
_TARGETS = FLAGS.list(
  'targets',
  f'What is read off scenes, of {", ".join(targets.SCENE_TARGETS)}.',
  domains.Design().tasks,
)
_NUM_SOURCE = FLAGS.integer(
  'num_source', 'Scenes of a source, at most.', 300, lower_bound=20
)
_NUM_TARGET = FLAGS.integer(
  'num_target', 'Labelled scenes of the target, at most.', 60, lower_bound=10
)
_NUM_TEST = FLAGS.integer(
  'num_test', 'Scenes that are tested on, of all rooms.', 1000, lower_bound=20
)
_NUM_DRAWS = shared_flags.num_draws(FLAGS, 'sources')
_COMPUTING = shared_flags.Computing(FLAGS)
_RECORD = shared_flags.Record(FLAGS, 'results/domain_selection')


def _sizes() -> list[tuple[str, int]]:
  """Returns how many scenes have enough of each room, with room to spare."""
  rooms_in_all = 1.5 * len(rooms.ROOM_TYPES)
  return [
    ('train', round(rooms_in_all * _NUM_SOURCE.value)),
    ('transfer', round(2 * rooms_in_all * _NUM_TARGET.value)),
    ('test', _NUM_TEST.value),
  ]


def _work() -> int:
  bank = _BANK.load(_NETWORKS.value, batch_size=_COMPUTING.batch_size, least=1)
  targets.check_names(_TARGETS.value)
  record = _RECORD.open(bank.digests(), _COMPUTING.NOT_RECORDED)
  output = record.output
  if record.is_finished:
    print(f'{output} is finished; nothing was computed again.')
    print(evaluation.table_text(output / 'summary.csv'))
    return _BANK.report(record)
  record.start()
  with record.stage('images'):
    splits = [
      source_samples.first_scenes(
        *(_COMPUTING.data_dir, split, number, building.IMAGE_SIZE),
        *(_COMPUTING.workers, progress.track),
      )
      for split, number in _sizes()
    ]
  design = domains.Design(
    tasks=tuple(_TARGETS.value),
    num_source=_NUM_SOURCE.value,
    num_target=_NUM_TARGET.value,
  )
  with record.stage('domains'):
    outcomes = domains.with_static_order(
      [
        outcome
        for encoder in bank.encoders
        for outcome in domains.compare(
          *(encoder, splits, design, output, progress.track),
          **_COMPUTING.options(),
        )
      ]
    )
  families = dict.fromkeys(outcomes[0].scores, 'source data')
  families[domains.FEW_SHOT] = report.LABELS
  compared = {o.case.name: study.compare(o, _NUM_DRAWS.value) for o in outcomes}
  files.write_csv(output / 'scores.csv', report.score_rows(outcomes))
  summary = report.summarise(compared, families)
  files.write_csv(output / 'summary.csv', summary)
  record.note('left_out', _BANK.left_out)
  record.finish()
  print(evaluation.format_table(summary))
  print(f'Results: {output}')
  return _BANK.report(record)


def main() -> int:
  return _BANK.carry_out(_work, _RECORD)


if __name__ == '__main__':
  cli.run(main, FLAGS)
