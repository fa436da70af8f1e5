"""Makes a bank of the networks of tf.keras.applications.

  python -m taskonomy_models.keras_applications --output=FOLDER
  python -m taskonomy_models.keras_applications --output=FOLDER \\
    --networks=vgg16,resnet50 --weights=random --seed=1

Keras fetches the ImageNet weights and keeps them in ~/.keras. Networks that the
bank has already are not converted again, unless --overwrite.
"""

from collections.abc import Sequence
import os
import sys

from absl import app, flags

from taskonomy_models import bank as banks
from taskonomy_models import conversion, keras_networks
from toolkit_basics import cli, progress

_OUTPUT = flags.DEFINE_string('output', None, 'Folder of the bank.')
_NETWORKS = flags.DEFINE_list(
  'networks',
  list(keras_networks.NETWORKS),
  f'Networks, of {", ".join(keras_networks.NETWORKS)}.',
)
_WEIGHTS = flags.DEFINE_enum(
  'weights', 'imagenet', keras_networks.WEIGHTS, 'Of the networks.'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Of random weights.', lower_bound=0)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Convert networks anew that are there already.'
)


def _present(folder: str) -> tuple[str, ...]:
  if not os.path.exists(os.path.join(folder, 'bank.json')):
    return ()
  return banks.load(folder).names


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  if not _OUTPUT.value:
    raise app.UsageError('--output is needed; see --help.')
  if unknown := set(_NETWORKS.value) - set(keras_networks.NETWORKS):
    raise app.UsageError(
      f'No networks {sorted(unknown)}; there are '
      f'{", ".join(keras_networks.NETWORKS)}.'
    )
  present = () if _OVERWRITE.value else _present(_OUTPUT.value)
  missing = [name for name in _NETWORKS.value if name not in present]
  for name in progress.track(missing, description='Converting networks'):
    encoder = keras_networks.convert(
      name, _OUTPUT.value, _WEIGHTS.value, _SEED.value, _OVERWRITE.value
    )
    print(conversion.describe(encoder), file=sys.stderr)
  print(
    f'{len(missing)} networks were converted, '
    f'{len(_NETWORKS.value) - len(missing)} were there. Compare them: python '
    f'-m experiments.run_taskonomy --bank={_OUTPUT.value}'
  )


if __name__ == '__main__':
  cli.run(main)
