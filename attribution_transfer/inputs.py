"""What a comparison is made of: networks, a bank of them, and images."""

from collections.abc import Sequence
import os
import re

import numpy as np

from experiments import pipeline
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models import bank as banks
from taskonomy_models import conversion
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder

Path = str | os.PathLike
Images = Path | np.ndarray | Sequence[Path] | ProbeSet


def network(
  source: object,
  *,
  representation: str,
  preprocessing: str,
  name: str | None = None,
  label: str | None = None,
  group: str | None = None,
  **options,
) -> Encoder:
  """Returns a network to be compared, checked and tried on a picture.

  Args:
    source: A Keras model, the path of a file or folder of any known format, or
      a handle of TensorFlow Hub.
    representation: The tensor whose units are explained, or a layer of a Keras
      model; the end of a name is enough if no other has it.
    preprocessing: From an image to the network's input, for example
      'resize(224) | range(-1, 1)'. A wrong range of values fails silently.
    name: Unique in its bank; default: what the source is called.
    label: As shown in figures; default: the name.
    group: Of its task, for colours; None if unknown.
    **options: Of `frozen_graphs.load`: `input`, `format`, `constants`, those
      of the format.

  Raises:
    ValueError: If the network cannot be used; the message says why.
    OSError: If a file cannot be read.
  """
  name = name or _name_of(source)
  t = conversion.parsed(preprocessing)
  loaded = conversion.load(
    source, t, representation=representation, name=name, **options
  )
  return conversion.encoder_of(
    loaded, preprocessing, name=name, label=label, group=group
  )


def _name_of(source: object) -> str:
  """Returns a name that an encoder may have."""
  if isinstance(source, str | os.PathLike):
    text = re.split(r'[/\\]', os.fspath(source).rstrip('/\\'))[-1]
    text = text.partition('.')[0]
  else:
    text = getattr(source, 'name', None) or 'network'
  return re.sub(r'[^A-Za-z0-9_.+=@-]', '_', text).lstrip('.+=@-') or 'network'


def bank(networks: Path | Sequence[Encoder], name: str = 'bank') -> Bank:
  """Returns the networks to choose from.

  Args:
    networks: What `network` returns, for a bank in memory; the folder of a
      bank; or 'mini', the embedded one.
    name: Of a bank in memory.

  Raises:
    ValueError: If two networks have the same name, one was not made by
      `network`, or a folder is no bank.
    FileNotFoundError: If there is no such folder.
  """
  if isinstance(networks, str | os.PathLike):
    return banks.load(os.fspath(networks))
  return Bank(name, tuple(map(checked, networks)))


def checked(network: Encoder) -> Encoder:
  """Returns a network; raises ValueError if `network` did not make it."""
  if not isinstance(network, Encoder):
    raise ValueError(
      f'{type(network).__qualname__} is no network to be compared; make it one '
      'by attribution_transfer.network(model, representation=..., '
      'preprocessing=...).'
    )
  return network


def images(
  source: Images = 'scenes',
  *,
  num_images: int = 200,
  size: tuple[int, int] | None = None,
  bank: Bank | None = None,
  seed: int = 0,
) -> ProbeSet:
  """Returns the images that networks are compared on.

  Args:
    source: A folder, a list of files, an array of uint8 [n, height, width, 3]
      (RGB), or the name of a probe set such as 'scenes' and 'photos'.
    num_images: How many to draw from a source that has more.
    size: (height, width) that images are cropped and resized to; default: what
      suits `bank`, else that of an array, else (256, 256).
    bank: The networks that will see them.
    seed: Of the draw.

  Raises:
    ValueError: If there are no images, or they cannot be read.
  """
  if isinstance(source, ProbeSet):
    return source
  if size is None and bank is not None:
    size = pipeline.probe_size(bank)
  if size is None:
    size = (256, 256)
    if isinstance(source, np.ndarray) and source.ndim == 4:
      size = source.shape[1:3]
  return probe_sets.load(
    source, num_images=num_images, image_size=size, seed=seed
  )
