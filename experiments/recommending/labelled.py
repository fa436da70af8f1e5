"""Images of the target domain, with labels or without."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import dataclasses
import os
import pathlib

from absl import logging
import numpy as np
from numpy.typing import ArrayLike

from probe_data import image_files, probe_sets
from probe_data import images as image_lib
from probe_data.probe_sets import ProbeSet
from toolkit_basics import files
from transferability.history import History
from transferability.ranking_files import duplicates
from transferability.recommendation import labels as labels_lib
from transferability.recommendation.labels import TargetLabels

FOLDERS = 'folders'  # Labels are the folders that images lie in.

Path = str | os.PathLike
Images = Path | np.ndarray | Sequence[Path] | ProbeSet
GivenLabels = str | os.PathLike | ArrayLike | Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Reading:
  """How images are read.

  Attributes:
    num_images: How many are drawn from a source that has more.
    image_size: Height and width that they are cropped and resized to.
    seed: Of the draw.
    kind: Of the labels, see `labels.of`.
    progress: Wraps the iterable of decoded images.
  """

  num_images: int
  image_size: tuple[int, int]
  seed: int = 0
  kind: str | None = None
  progress: Callable[..., Iterable] = lambda items, **unused: items


def read(
  images: Images, labels: GivenLabels | None, reading: Reading
) -> tuple[ProbeSet, TargetLabels | None]:
  """Returns images, and their labels if there are any.

  Args:
    images: A folder, a list of files, an array of uint8 [n, height, width, 3],
      or the name of a probe set.
    labels: None; 'folders', if a folder of images has a folder for each class;
      the path of a CSV (file, class or number; files as in the folder of
      images) or of a .npy array; an array, or a list, of what belongs to each
      of the images; or a mapping of files to it.
    reading: How.

  Raises:
    ValueError: If images or labels cannot be read, or do not fit.
  """
  if labels is None:
    return _unlabelled(images, reading), None
  if isinstance(labels, str) and labels == FOLDERS:
    return _of_folders(images, reading)
  are_texts = isinstance(labels, str | os.PathLike)
  if isinstance(labels, str | os.PathLike):
    labels = _of_file(labels)
  if isinstance(labels, Mapping):
    return _of_mapping(images, labels, reading, are_texts)
  return _in_order(images, labels, reading)


def _unlabelled(images: Images, reading: Reading) -> ProbeSet:
  if isinstance(images, ProbeSet):
    return images
  return probe_sets.load(
    images,
    num_images=reading.num_images,
    image_size=reading.image_size,
    seed=reading.seed,
    progress=reading.progress,
  )


def _of_folders(
  images: Images, reading: Reading
) -> tuple[ProbeSet, TargetLabels]:
  if not isinstance(images, str | os.PathLike) or not os.path.isdir(images):
    raise ValueError(
      f"labels='{FOLDERS}' needs a folder of images that has a folder for each "
      f'class, not {images!r:.80}.'
    )
  found = image_files.find(images)
  classes = {}
  for name in found:
    first, separator, _ = name.partition('/')
    if not separator:
      raise ValueError(
        f'{os.fspath(images)} holds {name!r} beside the folders of its '
        'classes; put every image into the folder of its class.'
      )
    classes[name] = first
  return _drawn(found, classes, dataclasses.replace(reading, kind='classes'))


def _of_file(path: Path) -> Mapping[str, str] | np.ndarray:
  """Returns labels of a .npy array, or of a CSV by file, as texts."""
  path = pathlib.Path(os.path.expanduser(path))
  if not path.is_file():
    raise ValueError(
      f'There is no file {str(path)!r} with `labels`: give a CSV of file and '
      f"class or number, an array (.npy), or '{FOLDERS}'."
    )
  if path.suffix.lower() == '.npy':
    try:
      return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
      raise ValueError(f'{path} is no readable .npy file: {error}') from error
  rows = files.read_csv(path)
  if any(len(row) != 2 for row in rows):
    bad = next(i for i, row in enumerate(rows, 1) if len(row) != 2)
    raise ValueError(
      f'{path}, row {bad}: {rows[bad - 1]} are {len(rows[bad - 1])} columns; a '
      'file and its class or number are expected, with a comma between.'
    )
  first = int(_has_header(rows))
  if len(rows) == first:
    raise ValueError(f'{path} has a header, but no labels.')
  found: dict[str, str] = {}
  for number, (name, value) in enumerate(rows[first:], first + 1):
    if not (name and value):
      raise ValueError(f'{path}, row {number}: no label, or no file: {name!r}.')
    if name in found:
      raise ValueError(f'{path} has {name!r} twice (row {number}).')
    found[name] = value
  return found


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
  """Returns whether the first of rows of file and label names no image."""
  first, *others = (os.path.splitext(row[0])[1].lower() for row in rows)
  return first not in image_lib.EXTENSIONS and first not in others


def _typed(
  texts: Mapping[str, str], kind: str | None
) -> Mapping[str, str | float]:
  """Returns labels of files as numbers, if they are some.

  Raises:
    ValueError: If some are numbers, but no classes, and some are not.
  """
  numbers = {name: _number(text) for name, text in texts.items()}
  others = [name for name, value in numbers.items() if value is None]
  known = [value for value in numbers.values() if value is not None]
  if not others:
    return dict(zip(numbers, known, strict=True))
  if known and (
    kind == 'numbers'
    or (kind is None and not labels_lib.look_like_classes(np.array(known)))
  ):
    raise ValueError(
      f'The label of {others[0]!r} is {texts[others[0]]!r}, where other labels '
      f'are numbers, such as {known[0]}; leave it out, or pass '
      "`label_kind='classes'` if all are names."
    )
  return texts


def _number(text: str) -> float | None:
  """Returns a whole number, or a number, None if a text is none."""
  if '_' in text:  # Python reads 1_0 as 10.
    return None
  for kind in (int, float):
    with contextlib.suppress(ValueError):
      return kind(text)
  return None


def _of_mapping(
  images: Images,
  labels: Mapping[str, object],
  reading: Reading,
  are_texts: bool = False,
) -> tuple[ProbeSet, TargetLabels]:
  if isinstance(images, str | os.PathLike) and os.path.isdir(images):
    known = image_files.find(images)
  elif isinstance(images, Sequence) and not isinstance(images, str):
    known = {os.fspath(path): os.fspath(path) for path in images}
  else:
    raise ValueError(
      'Labels by file need a folder, or a list, of files as the images, not '
      f'{images!r:.80}.'
    )
  if not labels:
    raise ValueError('There are no `labels`: the mapping of files is empty.')
  labels = {os.fspath(name): value for name, value in labels.items()}
  both = {name: path for name, path in known.items() if name in labels}
  if not both:
    raise ValueError(
      f'None of {len(labels)} labelled files, such as {next(iter(labels))!r}, '
      f'is among the {len(known)} images, such as {next(iter(known))!r}; names '
      'must be relative to the folder of the images.'
    )
  missing = sorted(labels.keys() - both.keys())
  if missing:
    logging.warning(
      '%d of the %d labelled files, such as %r, are not among the images.',
      *(len(missing), len(labels), missing[0]),
    )
  values = {name: labels[name] for name in both}
  if are_texts:
    values = _typed(values, reading.kind)
  return _drawn(both, values, reading)


def _drawn(
  paths: Mapping[str, str], values: Mapping[str, object], reading: Reading
) -> tuple[ProbeSet, TargetLabels]:
  drawing = image_files.Drawing(
    reading.num_images,
    reading.image_size,
    reading.seed,
    'skip',
    reading.progress,
  )
  found = image_files.sample(dict(paths), drawing, 'The labelled images')
  digests = tuple(files.sha256(p.tobytes()) for p in found.pictures)
  probe = ProbeSet(
    'labelled images', found.pictures, found.names, digests, found.skipped
  )
  chosen = [values[name] for name in found.names]
  return probe, labels_lib.of(chosen, reading.kind)


def _in_order(
  images: Images, labels: ArrayLike, reading: Reading
) -> tuple[ProbeSet, TargetLabels]:
  """Returns images whose labels stand in their order."""
  values = labels_lib.as_array(labels)
  is_path = isinstance(images, str | os.PathLike)
  if is_path and os.fspath(images).endswith('.npy'):
    images = np.load(images, mmap_mode='r')
  elif is_path:
    raise ValueError(
      'Labels in an array belong to images in an array or a list; for a folder '
      f"give a CSV of file and label, or '{FOLDERS}'."
    )
  number = len(images)
  if values.ndim < 1 or not number or len(values) != number:
    raise ValueError(
      f'{len(values) if values.ndim else 1} labels for {number} images; one is '
      'needed for each.'
    )
  if isinstance(images, ProbeSet):
    return images, labels_lib.of(values, reading.kind)
  if not isinstance(images, np.ndarray):
    names = [os.fspath(path) for path in images]
    if repeated := duplicates(names):
      raise ValueError(f'`images` has {repeated[0]!r} more than once.')
    return _of_mapping(names, dict(zip(names, values, strict=True)), reading)
  rng = np.random.default_rng(reading.seed)
  chosen = np.sort(rng.permutation(number)[: reading.num_images])
  probe = probe_sets.load(
    np.asarray(images[chosen]),
    num_images=len(chosen),
    image_size=reading.image_size,
    progress=reading.progress,
  )
  return probe, labels_lib.of(values[chosen], reading.kind)


def read_history(given: Path | Iterable[tuple[str, str, float]]) -> History:
  """Returns earlier results.

  Args:
    given: The path of a CSV with the columns target, network, score; or such
      tuples. More is better.

  Raises:
    ValueError: If it is neither, is empty, or has a pair twice or a score that
      is none.
    OSError: If a file cannot be read.
  """
  if isinstance(given, str | os.PathLike):
    return History.load(os.path.expanduser(given))
  found: dict[tuple[str, str], float] = {}
  try:
    for target, network, score in given:
      value = float(score)
      if not np.isfinite(value):
        raise ValueError(f'{network!r} has the score {value} for {target!r}')
      if found.setdefault((str(target), str(network)), value) != value:
        raise ValueError(f'{network!r} has two scores for {target!r}')
    if not found:
      raise ValueError('there are none')
  except (TypeError, ValueError) as error:
    raise ValueError(
      'history must be the path of a CSV with the columns target, network, '
      f'score, or tuples of these three ({error}).'
    ) from error
  return History.of_scores(found)
