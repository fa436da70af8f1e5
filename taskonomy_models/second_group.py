"""Makes a bank of the paper's second group: eighteen networks, as published.

  python -m taskonomy_models.second_group --output=FOLDER --source=FOLDER
  python -m taskonomy_models.second_group --output=FOLDER --weights=random
  python -m taskonomy_models.second_group --list

Ten come with Keras, which fetches their weights. Those of the others are looked
for in --source, a folder for each network, and fetched into it where their
address is a file; where a person must go there, the message says so. What
cannot be had is named at the end, and the exit code is 1; the same command does
what is missing. Figure 5 is then `python -m experiments.run_study second_group
--second_bank=FOLDER`.
"""

import pathlib
import sys

import toolkit_basics.cli as cli
from taskonomy_models import bank as banks
from taskonomy_models import conversion, keras_conversion
from taskonomy_models.published import making, registry
from toolkit_basics import progress

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output', 'Folder of the bank; it is made if it is not there.'
)
_SOURCE = FLAGS.path(
  'source',
  'Folder of published weights, one in it for each network, as fcrn.',
  'work/second_group',
)
_NETWORKS = FLAGS.some_of(
  'networks',
  'Which networks are brought into the bank.',
  registry.names,
  registry.names,
)
_WEIGHTS = FLAGS.enum(
  'weights',
  'Whether the networks are those that were published, or untrained.',
  making.WEIGHTS,
  making.PUBLISHED,
)
_SEED = FLAGS.integer(
  'seed', 'Random weights are the same for the same number.', 0, lower_bound=0
)
_LIST = FLAGS.bool('list', 'Print where the weights are, and nothing else.')
FLAGS.claim(lambda: _OUTPUT.value)


def main() -> int:
  if _LIST.value:
    print(making.listing())
    return 0
  if _OUTPUT.value is None:
    raise ValueError('Pass `output`, the folder of the bank, or `list`.')
  folder = banks.Folder(_OUTPUT.value)
  present = folder.bank().names
  missing = [name for name in _NETWORKS.value if name not in present]
  made_of = keras_conversion.provenance(_WEIGHTS.value, _SEED.value)
  for name in set(_NETWORKS.value).intersection(present):
    folder.check_source(name, made_of)
  reasons = {}
  for name in progress.track(missing, description='Converting networks'):
    try:
      encoder = making.convert(
        name,
        _OUTPUT.value,
        pathlib.Path(_SOURCE.value),
        _WEIGHTS.value,
        _SEED.value,
      )
      print(conversion.describe(encoder), file=sys.stderr)
    except (OSError, ValueError) as error:
      reasons[name] = str(error)
  done = len(_NETWORKS.value) - len(reasons)
  print(f'{done} of {len(_NETWORKS.value)} networks are in {_OUTPUT.value}.')
  for name, reason in reasons.items():
    print(f'Missing: {name}: {reason}')
  print(
    FLAGS.in_words_of_user(
      'Figure 5: python -m experiments.run_study second_group '
      f'--second_bank={_OUTPUT.value}'
    )
  )
  return 1 if reasons else 0


if __name__ == '__main__':
  cli.run(main, FLAGS)
