"""Conducts one experiment of the paper, its rebuttal or its reviews.

  python -m experiments.run_study precision_recall
  python -m experiments.run_study merged_groups --second_bank=FOLDER
  python -m experiments.run_study

The last lists the experiments by name. `python -m experiments.run_paper`
conducts them all, into the same folder, where they share their model spaces.
"""

from collections.abc import Sequence
import os

import toolkit_basics.cli as cli
from experiments import shared_flags, study
from experiments.studies import registry

FLAGS = cli.Flags()
_BANK = shared_flags.UsableBank(FLAGS)
_SECOND_BANK = FLAGS.path(
  'second_bank',
  'Networks without an oracle, for second_group and merged_groups: a folder, '
  'for example of fetch_zoo or keras_applications.',
)
_PROBE = shared_flags.probes(FLAGS, study.Settings().probes)
_PROBE_DIR = shared_flags.probe_dir(FLAGS)
_NUM_IMAGES = shared_flags.num_images(FLAGS, 1000, least=2)
_IMAGE_SIZE = shared_flags.image_size(FLAGS)
_METHODS = shared_flags.methods(FLAGS, '; the last is shown where only one is')
_EPSILON = shared_flags.epsilon(FLAGS)
_BATCH_SIZE = shared_flags.batch_size(FLAGS)
_DEVICE = shared_flags.device(FLAGS)
_PRECISION = shared_flags.precision(FLAGS)
_SEED = shared_flags.seed(FLAGS)
_OUTPUT = shared_flags.output(
  FLAGS, 'results/paper', 'a folder that experiments share'
)
_OVERWRITE = FLAGS.bool(
  'overwrite', 'Conduct again what was conducted under the same settings.'
)


def conduct(
  names: Sequence[str],
) -> tuple[study.Study, dict[str, study.Finding]]:
  """Conducts studies as the flags say, and prints what each found."""
  return _BANK.carry_out(lambda: _conducted(names))


def _conducted(
  names: Sequence[str],
) -> tuple[study.Study, dict[str, study.Finding]]:
  settings = study.Settings(
    bank=_BANK.value,
    second_bank=_SECOND_BANK.value,
    probes=tuple(_PROBE.value),
    probe_dir=_PROBE_DIR.value,
    num_images=_NUM_IMAGES.value,
    image_size=_IMAGE_SIZE.value,
    methods=tuple(_METHODS.value),
    epsilon=_EPSILON.value,
    batch_size=_BATCH_SIZE.value,
    seed=_SEED.value,
    precision=_PRECISION.value,
  )
  entries = [registry.get(name) for name in names]
  how = {'methods': settings.methods, 'batch_size': settings.batch_size}
  # Of two, neither an order nor a tree says anything.
  bank, second = _BANK.load(**how, least=3), None
  if settings.second_bank is not None:
    second = _BANK.open(settings.second_bank, **how)
  shared = study.Study(
    _OUTPUT.value, settings, _DEVICE.value, bank=bank, second_bank=second
  )
  findings = {}
  for entry in entries:
    found = shared.conduct(entry.name, entry.function, _OVERWRITE.value)
    print(f'{entry.title}: {found.headline}')
    print(f'Results: {os.path.join(_OUTPUT.value, entry.name)}')
    findings[entry.name] = found
  return shared, findings


def possible(names: Sequence[str]) -> list[str]:
  """Returns the studies that the flags allow; says which they do not."""
  if _SECOND_BANK.value is not None:
    return list(names)
  print('merged_groups is left out: it needs a --second_bank.')
  return [name for name in names if name != 'merged_groups']


def left_out() -> int:
  """Prints which networks were left out, and returns the exit code."""
  return _BANK.report()


def main(name: str = '') -> int:
  if name:
    conduct([name])
    return left_out()
  for known in registry.names():
    print(f'{known:22}{registry.get(known).title}')
  return 0


if __name__ == '__main__':
  cli.run(main, FLAGS)
