"""Makes a bank of the networks of tf.keras.applications.

  python -m taskonomy_models.keras_applications --output=FOLDER
  python -m taskonomy_models.keras_applications --output=FOLDER \\
    --networks=vgg16,resnet50 --weights=random --seed=1

Keras fetches the ImageNet weights and keeps them in ~/.keras. Networks that the
bank has already are not converted again, unless --overwrite.
"""

import sys

import toolkit_basics.cli as cli
from taskonomy_models import bank as banks
from taskonomy_models import conversion, keras_conversion, keras_networks
from toolkit_basics import progress

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output', 'Folder of the bank; it is made if it is not there.'
)
_NETWORKS = FLAGS.some_of(
  'networks',
  'Which networks are brought into the bank.',
  tuple(keras_networks.NETWORKS),
  tuple(keras_networks.NETWORKS),
)
_WEIGHTS = FLAGS.enum(
  'weights',
  'Whether the networks are those trained on ImageNet, or untrained.',
  keras_networks.WEIGHTS,
  'imagenet',
)
_SEED = FLAGS.integer(
  'seed', 'Random weights are the same for the same number.', 0, lower_bound=0
)
_OVERWRITE = FLAGS.bool(
  'overwrite', 'Convert networks again that the bank has already.'
)
FLAGS.require(_OUTPUT)
FLAGS.claim(lambda: _OUTPUT.value)


def main() -> None:
  folder = banks.Folder(_OUTPUT.value)
  present = () if _OVERWRITE.value else folder.bank().names
  missing = [name for name in _NETWORKS.value if name not in present]
  made_of = keras_conversion.provenance(_WEIGHTS.value, _SEED.value)
  for name in set(_NETWORKS.value).intersection(present):
    folder.check_source(name, made_of)
  for name in progress.track(missing, description='Converting networks'):
    encoder = keras_conversion.convert(
      name, _OUTPUT.value, _WEIGHTS.value, _SEED.value, _OVERWRITE.value
    )
    print(conversion.describe(encoder), file=sys.stderr)
  print(
    FLAGS.in_words_of_user(
      f'{len(missing)} networks were converted, '
      f'{len(_NETWORKS.value) - len(missing)} were there. Compare them: python '
      f'-m experiments.run_taskonomy --bank={_OUTPUT.value}'
    )
  )


if __name__ == '__main__':
  cli.run(main, FLAGS)
