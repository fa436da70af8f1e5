"""Makes encoders of the second group: fetches weights, fills in, converts."""

import os
import pathlib
import zipfile

import pooch
import tensorflow as tf

from taskonomy_models import conversion, keras_conversion, keras_networks
from taskonomy_models.encoder import Encoder
from taskonomy_models.published import registry, weights
from taskonomy_models.published.registry import Published

WEIGHTS = PUBLISHED, RANDOM = ('published', 'random')
_MAX_BYTES = 2**32
_SECONDS = 30.0  # That a server may be silent.


def listing() -> str:
  """Returns where the weights of each network are, as text."""
  lines = [
    f'{name}: tf.keras.applications.{keras_networks.NETWORKS[name].function}, '
    'fetched by Keras'
    for name in registry.KERAS
  ]
  for network in registry.NETWORKS.values():
    how = 'fetched' if network.is_direct else 'by hand'
    lines.append(
      f'{network.name}: {network.address} ({how}); {network.paper}; '
      f'{network.repository}; {network.licence}. {network.note}'
    )
  return '\n'.join(lines)


def build(
  name: str, source: pathlib.Path, which: str, seed: int = 0
) -> tuple[tf.keras.Model, str]:
  """Returns an encoder that Keras does not have, and its T.

  Args:
    name: One of `registry.NETWORKS`.
    source: Has a folder of this name with the weights, or gets one.
    which: One of WEIGHTS.
    seed: Of random weights.

  Raises:
    ValueError: If the weights are others than those of the network.
    OSError: If they cannot be had; the message says from where, and whereto.
  """
  network = registry.NETWORKS[name]
  model = network.build()
  colour = registry.IMAGENET_AVERAGE
  if which == RANDOM:
    keras_networks.randomise(model, keras_networks.stream(seed, name))
  else:
    found = weights.read(_fetched(network, source / name))
    weights.assign(model, found, network.style, network.prefix)
    colour = weights.average(found) or colour
  return model, network.preprocessing.replace(registry.AVERAGE, repr(colour))


def convert(
  name: str,
  output: str | os.PathLike,
  source: pathlib.Path,
  which: str = PUBLISHED,
  seed: int = 0,
) -> Encoder:
  """Writes a network of the second group into a bank; see `build`."""
  if name in registry.KERAS:
    kind = 'imagenet' if which == PUBLISHED else 'random'
    return keras_conversion.convert(name, os.fspath(output), kind, seed)
  network = registry.NETWORKS[name]
  model, preprocessing = build(name, source, which, seed)
  return conversion.convert(
    model,
    output,
    name=name,
    representation=model.layers[-1].name,
    preprocessing=preprocessing,
    label=network.label,
    group=network.group,
    image_size=224,
    provenance=keras_conversion.provenance(which, seed),
  )


def _fetched(network: Published, folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a network's weights, which is filled if it can be."""
  if folder.is_dir() and any(folder.iterdir()):
    return folder
  if not network.is_direct:
    raise FileNotFoundError(
      f'Its weights must be fetched with a browser: {network.address}. Put the '
      f'files into {folder}. {network.note}'
    )
  pooch.get_logger().setLevel('WARNING')
  try:
    path = pooch.retrieve(
      network.address,
      known_hash=network.sha256 and f'sha256:{network.sha256}',
      fname=network.address.rpartition('/')[2],
      path=folder,
      downloader=pooch.HTTPDownloader(timeout=_SECONDS),
    )
  except (OSError, ValueError) as error:
    raise OSError(
      f'Its weights cannot be fetched ({type(error).__name__}). Fetch '
      f'{network.address} where there is a network, and put it into {folder}, '
      'a .zip unpacked.'
    ) from error
  if zipfile.is_zipfile(path):
    with zipfile.ZipFile(path) as archive:
      size = sum(member.file_size for member in archive.infolist())
      if size > _MAX_BYTES:
        raise ValueError(f'{path} holds {size} bytes, more than {_MAX_BYTES}.')
      for member in archive.namelist():
        name = pathlib.PurePosixPath(member).name
        if name and not member.endswith('/'):
          (folder / name).write_bytes(archive.read(member))
  return folder
