"""The images that every network is explained on: a probe set.

A probe set is a registered name ('taskonomy', 'indoor', 'coco', 'photos',
'noise', 'scenes') or a path: a folder, a list of files (.txt) or an array
(.npy).
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import json
import numbers
import os
import pathlib
from typing import Any

import numpy as np
import pooch

from probe_data import image_files, images, noise, photographs
from probe_data.errors import ProbeSetError
from toolkit_basics import files as file_lib
from toolkit_basics.registry import Registry

# The folder that holds a folder for each named set, where no --probe_dir is.
ENVIRONMENT_VARIABLE = 'ATTRIBUTION_TRANSFER_PROBE_DIR'
OF_PYTHON = 'images'  # Name of a set that was given as an array or a list.
ON_BAD_IMAGE = ('skip', 'error')


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeSet:
  """Images in a fixed order, and where they come from.

  Attributes:
    name: As asked for: a registered name, or a path.
    images: uint8 [num_images, height, width, 3], RGB, read-only.
    ids: Of each image: its path relative to the folder or list, its index in
      the array, its photograph and crop, or its scene.
    digests: SHA-256 (hexadecimal) of the bytes of each array in `images`.
    skipped: Path and reason of each unreadable file that was met.
  """

  name: str
  images: np.ndarray = dataclasses.field(repr=False)
  ids: tuple[str, ...]
  digests: tuple[str, ...] = dataclasses.field(repr=False)
  skipped: tuple[tuple[str, str], ...] = ()

  def __len__(self) -> int:
    return len(self.ids)

  def __repr__(self) -> str:
    size = 'x'.join(map(str, self.images.shape[1:3]))
    lost = f', {len(self.skipped)} not readable' if self.skipped else ''
    return f'<Images of {self.name}: {len(self)}, {size}{lost}>'

  @property
  def digest(self) -> str:
    """SHA-256 (hexadecimal) over the ids and digests of all images."""
    return file_lib.sha256(json.dumps([self.ids, self.digests]).encode())


@dataclasses.dataclass(frozen=True)
class Request(image_files.Drawing):
  """What a loader of a registered probe set is asked for; see `load`."""

  name: str
  probe_dir: str | None

  def __post_init__(self):
    if not self.name or self.probe_dir == '':
      raise ProbeSetError(
        f'The probe set {self.name!r} or its probe_dir {self.probe_dir!r} is '
        "empty; say '.' for the current folder."
      )
    if self.on_bad_image not in ON_BAD_IMAGE:
      raise ProbeSetError(
        f'on_bad_image is {self.on_bad_image!r}, but must be one of '
        f'{ON_BAD_IMAGE}.'
      )


# Pictures, uint8 [num_images, height, width, 3], with their names; and what
# makes them of their number, their height and width, and a seed.
Drawn = tuple[np.ndarray, Sequence[str]]
Draw = Callable[[int, tuple[int, int], int], Drawn]

_LOADERS: Registry[Callable[[Request], ProbeSet]] = Registry('probe set')
register_probe_set = _LOADERS.register
names = _LOADERS.names


def load(
  probe: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | np.ndarray,
  *,
  probe_dir: str | os.PathLike[str] | None = None,
  num_images: int = 1000,
  image_size: tuple[int, int] = (64, 64),
  seed: int = 0,
  on_bad_image: str = 'skip',
  progress: Callable[..., Iterable[Any]] | None = None,
) -> ProbeSet:
  """Loads a probe set: the same images in the same order for the same seed.

  Args:
    probe: A registered name; or the path of a folder (searched through,
      following links, without hidden files), of a .txt file with one path a
      line (relative to its folder), or of a .npy file with uint8 [N, H, W, 3].
      A name goes before a folder of that name: say './coco' for the folder.
      From Python also a list of paths of images, or an array of such uint8.
    probe_dir: Where the photographs of 'taskonomy', 'indoor' or 'coco' are: in
      a folder of that name in it, or if there is none, in itself.
    num_images: How many to draw at random (without repetition) from a set that
      has more. Files are drawn in an order that depends only on the seed and
      the sorted paths, and put back in the order of their paths.
    image_size: Height and width; images are cropped to this aspect, resized.
    seed: Of the draw, the crops of 'photos', the rooms of 'scenes' and the
      phases of 'noise'.
    on_bad_image: What to do about a file that holds no complete image: 'skip'
      it, draw another in its place and list it in `skipped`, or raise an
      'error' that lists all in the draw.
    progress: Wraps the iterable of decoded images, called with it and the
      keywords `total` (how many) and `description`.

  Raises:
    ProbeSetError: If an argument has no meaning, nothing is found (the message
      says what to put where), or files are unreadable.
  """
  is_path = isinstance(probe, str | os.PathLike)
  request = Request(
    name=os.fspath(probe) if is_path else OF_PYTHON,
    probe_dir=None if probe_dir is None else os.fspath(probe_dir),
    num_images=_positive(num_images, 'num_images'),
    image_size=checked_size(image_size, 'image_size'),
    seed=_positive(seed, 'seed', minimum=0),
    on_bad_image=on_bad_image,
    progress=progress or (lambda iterable, **_: iterable),
  )
  if not is_path:
    return _load_object(request, probe)
  if request.name in _LOADERS:
    return _LOADERS.get(request.name)(request)
  if request.probe_dir is not None:
    raise ProbeSetError(
      f'probe_dir={request.probe_dir!r} is only for named probe sets, but the '
      f'probe set {request.name!r} is none of {names()}.'
    )
  path = _expanded(request.name).absolute()
  if path.exists():  # So that it is found from other folders, too.
    request = dataclasses.replace(request, name=str(path))
  return _load_path(request)


def _positive(value: Any, name: str, minimum: int = 1) -> int:
  is_integer = isinstance(value, numbers.Integral)
  if not is_integer or isinstance(value, bool) or value < minimum:
    raise ProbeSetError(
      f'{name} is {value!r}, but must be an integer of at least {minimum}.'
    )
  return int(value)


def checked_size(size: Any, name: str) -> tuple[int, int]:
  """Returns height and width; raises ProbeSetError, by name, for no size."""
  try:
    height, width = size
  except (TypeError, ValueError):
    raise ProbeSetError(
      f'{name} is {size!r}, but must be (height, width).'
    ) from None
  height, width = (_positive(side, name) for side in (height, width))
  if height * width > images.MAX_PIXELS:
    raise ProbeSetError(
      f'{name} is {height} x {width}, but may have at most '
      f'{images.MAX_PIXELS:,} pixels.'
    )
  return height, width


def _expanded(path: str) -> pathlib.Path:
  return pathlib.Path(os.path.expanduser(path))


# Named sets of photographs.


def _load_named_folder(request: Request) -> ProbeSet:
  """Finds a set in `probe_dir`, the environment's folder or the cache."""
  if request.probe_dir is not None:
    root = _expanded(request.probe_dir)
    if not root.is_dir():
      raise ProbeSetError(f'probe_dir {request.probe_dir!r} is not a folder.')
    named = root / request.name
    return _load_folder(request, named if named.is_dir() else root)
  cache = pathlib.Path(pooch.os_cache('attribution-transfer')) / 'probe_data'
  roots = [cache]
  if os.environ.get(ENVIRONMENT_VARIABLE):
    roots.insert(0, _expanded(os.environ[ENVIRONMENT_VARIABLE]))
  for root in roots:
    if (root / request.name).is_dir():
      return _load_folder(request, root / request.name)
  raise ProbeSetError(
    f'The photographs of probe set {request.name!r} are not on this machine, '
    'and cannot be downloaded: their owners publish no archive with a known '
    'checksum. Put its image files (JPEG or PNG, any size, about '
    f'{request.num_images:,} are enough) into the folder '
    f'{cache / request.name}, or say where they are with `probe_dir=FOLDER` '
    f'or {ENVIRONMENT_VARIABLE}=FOLDER, where '
    f"FOLDER/{request.name} holds them. Probe sets 'scenes' and 'photos' need "
    'no download.'
  )


for _name in ('taskonomy', 'indoor', 'coco'):
  register_probe_set(_name)(_load_named_folder)


# Sets that are made here.


def register_made(name: str) -> Callable[[Draw], Draw]:
  """Returns a decorator that registers a function which makes a probe set."""

  def add(draw: Draw) -> Draw:
    def load_made(request: Request) -> ProbeSet:
      if request.probe_dir is not None:
        raise ProbeSetError(
          f'Probe set {name!r} is made by this project, so that '
          f'probe_dir={request.probe_dir!r} has no meaning for it; leave it '
          'out, or give the folder itself as the probe set.'
        )
      drawn = draw(request.num_images, request.image_size, request.seed)
      return _probe_set(request, *drawn)

    register_probe_set(name)(load_made)
    return draw

  return add


register_made('photos')(photographs.crops)
register_made('noise')(noise.pictures)


@register_made('scenes')
def _scenes(num_images: int, image_size: tuple[int, int], seed: int) -> Drawn:
  from probe_data import scenes  # The renderer is imported only if needed.

  size = max(image_size)
  pictures, ids = scenes.probe_images(num_images, size, seed)
  if image_size != (size, size):
    pictures = np.stack([images.fit(p, image_size) for p in pictures])
  return pictures, ids


# Paths.


def _load_path(request: Request) -> ProbeSet:
  path = _expanded(request.name)
  if path.is_dir():
    return _load_folder(request, path)
  if path.suffix.lower() == '.npy' and path.is_file():
    return _load_array(request, path)
  if path.suffix.lower() == '.txt' and path.is_file():
    return _load_files(request, image_files.read_list(path), path)
  found = (
    'a file that is neither a list (.txt) nor an array (.npy)'
    if path.exists()
    else 'neither a registered probe set nor a path that exists'
  )
  raise ProbeSetError(
    f'Probe set {request.name!r} is {found}. Choose one of {names()}, a folder '
    'of images, a .txt file with one path a line, or a .npy file.'
  )


def _load_folder(request: Request, folder: pathlib.Path) -> ProbeSet:
  return _load_files(request, image_files.find(folder), folder)


def _load_files(
  request: Request, files: dict[str, str], where: pathlib.Path
) -> ProbeSet:
  sample = image_files.sample(
    files, request, f'Probe set {request.name!r} ({where})'
  )
  return _probe_set(request, sample.pictures, sample.names, sample.skipped)


def _load_object(
  request: Request, probe: np.ndarray | Sequence[str | os.PathLike[str]]
) -> ProbeSet:
  if isinstance(probe, np.ndarray):
    return _fitted(request, probe, 'The array of images', 'image')
  names = [os.fspath(path) for path in probe]
  files = {name: os.fspath(_expanded(name)) for name in names}
  if not files:
    raise ProbeSetError('The list of images is empty.')
  if missing := [n for n, path in files.items() if not os.path.exists(path)]:
    raise ProbeSetError(
      f'{len(missing)} of {len(files)} listed images do not exist: '
      f'{", ".join(missing[:5])}{" ..." if len(missing) > 5 else ""}.'
    )
  return _load_files(request, files, pathlib.Path())


def _load_array(request: Request, path: pathlib.Path) -> ProbeSet:
  try:
    array = np.load(path, mmap_mode='r', allow_pickle=False)
  except (ValueError, OSError, EOFError) as error:
    raise ProbeSetError(
      f'{path} is not a readable .npy file: {error}'
    ) from error
  if not isinstance(array, np.ndarray):
    raise ProbeSetError(f'{path} is an archive of arrays, not one .npy array.')
  return _fitted(request, array, str(path), path.name)


def _fitted(
  request: Request, array: np.ndarray, where: str, name: str
) -> ProbeSet:
  """Returns a sample of an array of images, cropped and resized."""
  if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
    raise ProbeSetError(
      f'{where} holds {array.dtype} {list(array.shape)}, but images must be '
      'uint8 [num_images, height, width, 3] (RGB).'
    )
  if not array.size:
    raise ProbeSetError(f'{where} holds no images: its shape is {array.shape}.')
  rng = np.random.default_rng(request.seed)
  chosen = np.sort(rng.permutation(len(array))[: request.num_images])
  pictures = request.progress(
    (images.fit(array[i], request.image_size) for i in chosen),
    total=len(chosen),
    description=f'Reading {request.name}',
  )
  ids = tuple(f'{name}[{i}]' for i in chosen)
  return _probe_set(request, np.stack(list(pictures)), ids)


def _probe_set(
  request: Request,
  pictures: np.ndarray,
  ids: Sequence[str],
  skipped: tuple[tuple[str, str], ...] = (),
) -> ProbeSet:
  pictures.flags.writeable = False  # Their digests would no longer hold.
  return ProbeSet(
    name=request.name,
    images=pictures,
    ids=tuple(ids),
    digests=tuple(file_lib.sha256(p.tobytes()) for p in pictures),
    skipped=skipped,
  )
