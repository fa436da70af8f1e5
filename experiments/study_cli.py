"""The flags and the `main` that all studies share."""

from collections.abc import Sequence
import os

from absl import app, flags

from attribution import methods
from experiments import study
from experiments.studies import registry
from probe_data import probe_sets
from taskonomy_models import bank as banks
from toolkit_basics import cli

_DEFAULTS = study.Settings()

_BANK = flags.DEFINE_string(
  'bank',
  _DEFAULTS.bank,
  f'Networks: one of {list(banks.NAMED)}, or a folder.',
)
_SECOND_BANK = flags.DEFINE_string(
  'second_bank',
  None,
  'Networks without an oracle, for second_group and merged_groups: a folder, '
  'for example of fetch_zoo or keras_applications.',
)
_PROBES = flags.DEFINE_list(
  'probes',
  list(_DEFAULTS.probes),
  f'Probe sets: of {list(probe_sets.names())}, folders, lists or arrays.',
)
_PROBE_DIR = flags.DEFINE_string(
  'probe_dir', None, 'Folder that holds the images of taskonomy, indoor, coco.'
)
_NUM_IMAGES = flags.DEFINE_integer(
  'num_images',
  _DEFAULTS.num_images,
  'Images of each probe set, or all if there are fewer.',
  lower_bound=2,
)
_IMAGE_SIZE = flags.DEFINE_integer(
  'image_size', 0, 'Side of the images; 0: what suits the bank.', lower_bound=0
)
_METHODS = flags.DEFINE_list(
  'methods',
  list(_DEFAULTS.methods),
  f'Attribution methods, of {list(methods.names())}; the last is the one that '
  'is shown where only one is.',
)
flags.register_validator(
  'methods',
  lambda chosen: bool(chosen) and set(chosen) <= set(methods.names()),
  f'choose from {", ".join(methods.names())}',
)
_EPSILON = flags.DEFINE_float(
  'epsilon', _DEFAULTS.epsilon, 'Stabilizer of epsilon-LRP.', lower_bound=0.0
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size', _DEFAULTS.batch_size, 'Images computed at once.', lower_bound=1
)
_DEVICE = flags.DEFINE_string(
  'device', None, "For example '/GPU:0'; by default TensorFlow's choice."
)
_SEED = flags.DEFINE_integer(
  'seed', _DEFAULTS.seed, 'Of samples and draws.', lower_bound=0
)
_OUTPUT = flags.DEFINE_string(
  'output',
  os.path.join('results', 'paper'),
  'Result folder; studies of the same folder share their model spaces.',
)
_AGAIN = flags.DEFINE_bool(
  'again', False, 'Conduct anew what was conducted under the same settings.'
)


def possible(names: Sequence[str]) -> list[str]:
  """Returns the studies that the flags allow; says which they do not."""
  if _SECOND_BANK.value is not None:
    return list(names)
  print('merged_groups is left out: it needs a --second_bank.')
  return [name for name in names if name != 'merged_groups']


def conduct(
  names: Sequence[str],
) -> tuple[study.Study, dict[str, study.Finding]]:
  """Conducts studies as the flags say, and prints what each found."""
  shared = study.Study(
    _OUTPUT.value,
    study.Settings(
      bank=_BANK.value,
      second_bank=_SECOND_BANK.value,
      probes=tuple(_PROBES.value),
      probe_dir=_PROBE_DIR.value,
      num_images=_NUM_IMAGES.value,
      image_size=_IMAGE_SIZE.value,
      methods=tuple(_METHODS.value),
      epsilon=_EPSILON.value,
      batch_size=_BATCH_SIZE.value,
      seed=_SEED.value,
    ),
    _DEVICE.value,
  )
  findings = {}
  for name in names:
    entry = registry.get(name)
    findings[name] = shared.conduct(name, entry.function, _AGAIN.value)
    print(f'{entry.title}: {findings[name].headline}')
    print(f'Results: {os.path.join(_OUTPUT.value, name)}')
  return shared, findings


def run(name: str) -> None:
  """Runs the command of one study."""

  def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
    conduct([name])

  cli.run(main)
