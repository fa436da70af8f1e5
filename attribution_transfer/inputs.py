"""What a comparison is made of: networks, a bank of them, and images."""

from collections.abc import Iterable, Mapping, Sequence
import numbers
import os
from typing import Any

import numpy as np

from experiments import pipeline
from probe_data import probe_sets
from probe_data.probe_sets import ProbeSet
from taskonomy_models import bank as banks
from taskonomy_models import candidates, conversion
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from taskonomy_models.sources import registry as sources

Path = str | os.PathLike
Images = Path | np.ndarray | Sequence[Path] | ProbeSet


def network(
  source: object,
  *,
  representation: str | None = None,
  prediction: str | None = None,
  preprocessing: str | None = None,
  name: str | None = None,
  label: str | None = None,
  group: str | None = None,
  **options,
) -> Encoder:
  """Returns a network to be compared, checked and tried on a picture.

  Longer than a screen, for it explains its arguments.

  Args:
    source: A model of Keras or module of PyTorch; the path of a file or folder;
      a handle of TensorFlow Hub; or a name: 'keras:NAME', 'timm:NAME',
      'torchvision:NAME', 'open_clip:NAME', 'hf:ID' of Hugging Face.
    representation: The tensor whose units are explained, a layer of a Keras
      model, or the path of a module inside one of PyTorch; the end of a name
      is enough if no other has it. Default: the last features before the head.
      Of a named network with tokens: 'features', 'class_token' or 'tokens'.
    prediction: The tensor of what it predicts, behind the representation: a map
      [n, h, w, c] or numbers [n, c]. As the network of a target it then tells
      `recommend` far more. Default: the network ends with its representation.
    preprocessing: From an image to the network's input, for example
      'resize(224) | range(-1, 1)'. Default: what the framework says of it; it
      must be given if that says nothing: a wrong range fails silently.
    name: Unique in its bank; default: what the source is called.
    label: In figures; default: the name.
    group: Of its task, for colours; None if unknown.
    **options: Of `frozen_graphs.load`: `input`, `format`, `constants`, those
      of the format, such as `example_input` of a module of PyTorch. Of a named
      network `pretrained` (False: random weights) and `checkpoint`, a file.

  Raises:
    ValueError: If the network cannot be used; the message says why.
    OSError: If a file cannot be read.
  """
  _check_source(source)
  _check_texts(
    {
      'representation': representation,
      'prediction': prediction,
      'preprocessing': preprocessing,
      'name': name,
      'label': label,
      'group': group,
      'input': options.get('input'),
    }
  )
  name = name or candidates.name_of(source)
  found = sources.describe(
    source,
    preprocessing=preprocessing,
    representation=representation,
    pretrained=options.pop('pretrained', None),
    checkpoint=options.pop('checkpoint', None),
  )
  source, preprocessing = found.network, found.preprocessing
  loaded = conversion.load(
    source,
    conversion.parsed(preprocessing) if preprocessing else None,
    representation=found.representation,
    name=name,
    **{**found.options, **options},
  )
  if not (found.representation and preprocessing):
    described = candidates.described_of(
      source, loaded, preprocessing, found.representation, options.get('input')
    )
    loaded = loaded.at(described.representation, described.input)
    preprocessing = described.preprocessing
  return conversion.encoder_of(
    loaded,
    preprocessing,
    name=name,
    label=label,
    group=group,
    predicts=prediction,
  )


def _check_source(source: object) -> None:
  """Raises ValueError for what cannot be a network, such as None."""
  if source is None or isinstance(source, int | float | list | tuple | dict):
    raise ValueError(
      f'{source!r:.60} is no network; give a model of Keras or PyTorch, the '
      'path of a file or folder, a handle of TensorFlow Hub, or a name: '
      f'{", ".join(f"{kind}:NAME" for kind in sources.names())}.'
    )


def _check_texts(given: Mapping[str, object]) -> None:
  for name, value in given.items():
    if not isinstance(value, str | None):
      raise ValueError(f'{name} must be a text, not {value!r:.60}.')


def check_numbers(given: Mapping[str, Any], **least: int) -> None:
  """Raises ValueError for what is no whole number, or is below its least."""
  for name, value in given.items():
    is_whole = isinstance(value, numbers.Integral)
    if not is_whole or type(value) is bool or value < least.get(name, 0):
      raise ValueError(
        f'{name} is {value!r}, but must be a whole number of at least '
        f'{least.get(name, 0)}.'
      )


def folder(path: Path, argument: str) -> str:
  """Returns a folder that an argument names; raises ValueError for none."""
  if not isinstance(path, str | os.PathLike) or not os.fspath(path):
    raise ValueError(
      f'{argument} must be the path of a folder, not {path!r:.60}; the current '
      "one is '.'."
    )
  return os.path.expanduser(os.fspath(path))


def bank(networks: Bank | Path | Sequence[Encoder], name: str = 'bank') -> Bank:
  """Returns the networks to choose from.

  Args:
    networks: What `network` returns, for a bank in memory; the folder of a
      bank; or 'mini', the embedded one. A bank stays as it is.
    name: Of a bank in memory.

  Raises:
    ValueError: If there are no networks, two have the same name, one was not
      made by `network`, or a folder is no bank.
    FileNotFoundError: If there is no such folder.
  """
  if isinstance(networks, str | os.PathLike):
    return banks.load(os.path.expanduser(os.fspath(networks)))
  if isinstance(networks, Bank):
    return networks
  if isinstance(networks, Encoder):
    networks = [networks]
  if not isinstance(networks, Iterable):
    raise ValueError(
      f'{networks!r:.60} is no bank; give a list of what '
      "attribution_transfer.network returns, the folder of a bank, or 'mini'."
    )
  encoders = tuple(map(checked, networks))
  if not encoders:
    raise ValueError('There are no networks in the bank; give one or more.')
  return Bank(name, encoders)


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

  Files come in the order of their paths, each once; `ids` of what is returned
  says which is which.

  Args:
    source: A folder, a list of files, an array of uint8 [n, height, width, 3]
      (RGB), or the name of a probe set such as 'scenes' and 'photos'. What this
      function returned stays as it is, whatever the other arguments are.
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
  check_images(source)
  if size is None:
    size = _size_for(source, bank)
  size = probe_sets.checked_size(size, 'size')
  return probe_sets.load(
    source, num_images=num_images, image_size=size, seed=seed
  )


def _size_for(source: Images, networks: Bank | None) -> tuple[int, int]:
  if networks is not None:
    return pipeline.probe_size(bank(networks))
  if isinstance(source, np.ndarray) and source.ndim == 4 and source.size:
    return source.shape[1:3]
  return 256, 256


def check_images(source: object) -> None:
  """Raises ValueError for what cannot be images, such as None."""
  if isinstance(source, str | os.PathLike | np.ndarray | ProbeSet):
    return
  if not isinstance(source, Sequence) or not all(
    isinstance(path, str | os.PathLike) for path in source
  ):
    raise ValueError(
      f'{source!r:.60} is no source of images; give a folder, a list of files, '
      'an array of uint8 [n, height, width, 3], or the name of a probe set '
      f'({", ".join(probe_sets.names())}).'
    )
