"""Brings networks of `tf.keras.applications` into a bank."""

from taskonomy_models import conversion, keras_networks
from taskonomy_models.encoder import Encoder


def provenance(weights: str, seed: int) -> dict[str, str]:
  """Returns what a bank keeps of where a network's weights are from."""
  is_random = weights == 'random'
  return {'weights': f'random, of seed {seed}' if is_random else 'published'}


def convert(
  name: str, output: str, weights: str, seed: int = 0, overwrite: bool = False
) -> Encoder:
  """Writes a network; see `keras_networks.build` and `conversion.convert`."""
  network = keras_networks.NETWORKS[name]
  model = keras_networks.build(name, weights, seed)
  return conversion.convert(
    model,
    output,
    name=name,
    representation=network.representation or model.layers[-1].name,
    preprocessing=network.preprocessing,
    label=network.label,
    group='imagenet',
    image_size=224,
    overwrite=overwrite,
    provenance=provenance(weights, seed),
  )
