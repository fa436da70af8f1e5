"""Target tasks: labelled images, some to train on and some to test on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import os

import numpy as np
from numpy.typing import ArrayLike

from probe_data import furniture, image_files, images, scene_dataset
from toolkit_basics import memo
from transferability.recommendation.labels import class_limits

_MIN_TRAIN = 8  # Images of a class; those of rarer ones are left out.
_MIN_TEST = 2

# What the largest object of a scene is built of (`probe_data.furniture`).
_SHAPES = {
  'blocks': ('bed', 'sofa', 'cabinet', 'bookshelf'),
  'legged': ('table', 'chair', 'sink'),
  'round': ('lamp', 'plant', 'ball'),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
  """A task.

  Attributes:
    name: Of the task.
    labels: Integers [n] 0..C-1 of the images `rows`; of a regression, its
      quantised values.
    values: float64 [n] that a regression is really trained and scored on.
    rows: Which of the images belong to it, [N] ascending.
    network: Name of the bank's network that was trained for it, if any: the
      label-free measures compare with that.
  """

  name: str
  labels: np.ndarray
  rows: np.ndarray
  values: np.ndarray | None = None
  network: str | None = None

  @property
  def num_classes(self) -> int:
    return int(self.labels.max()) + 1


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
  """Images and what is to be told of them.

  Attributes:
    images: uint8 [N, S, S, 3]; the first `num_train` may be trained on.
    num_train: How many.
    targets: By name.
  """

  images: np.ndarray
  num_train: int
  targets: Mapping[str, Target]

  def digest(self) -> str:
    """Returns a digest of images and labels."""
    return memo.digest([self.images, self.num_train, dict(self.targets)])


def quantise(values: ArrayLike, num_classes: int, num_train: int) -> np.ndarray:
  """Returns a class for each value: equal shares of the training values.

  Huang et al. (ICML 2022) score regression targets by such labels.

  Args:
    values: [N].
    num_classes: At most; equal values fall into one class.
    num_train: How many of the first values set the limits.

  Returns:
    int64 [N], each of 0..C-1 used by the training values.
  """
  values = np.asarray(values, np.float64)
  known = values[:num_train]
  limits = class_limits(known, num_classes)
  labels = np.searchsorted(limits, values, side='right')
  used = np.unique(labels[:num_train])
  # A test value outside of all classes joins the nearest one below.
  return np.maximum(np.searchsorted(used, labels, side='right') - 1, 0)


def classification(
  name: str, labels: ArrayLike, num_train: int, network: str | None = None
) -> Target:
  """Returns the target of telling classes apart; rare ones are left out.

  Raises:
    ValueError: If fewer than two classes have enough images.
  """
  labels = np.asarray(labels, np.int64)
  size = int(labels.max()) + 1
  train = np.bincount(labels[:num_train], minlength=size)
  test = np.bincount(labels[num_train:], minlength=size)
  kept = np.flatnonzero((train >= _MIN_TRAIN) & (test >= _MIN_TEST))
  if len(kept) < 2:
    raise ValueError(
      f'{name}: {len(kept)} of {size} classes have {_MIN_TRAIN} images to '
      f'train on and {_MIN_TEST} to test on; at least 2 must. Pass more images.'
    )
  rows = np.flatnonzero(np.isin(labels, kept))
  return Target(name, np.searchsorted(kept, labels[rows]), rows, None, network)


def regression(
  name: str,
  values: ArrayLike,
  num_train: int,
  num_classes: int,
  network: str | None = None,
) -> Target:
  """Returns the target of predicting a number."""
  values = np.asarray(values, np.float64)
  labels = quantise(values, num_classes, num_train)
  return Target(name, labels, np.arange(len(values)), values, network)


def _shapes(largest: np.ndarray) -> np.ndarray:
  """Returns what the largest objects are built of; the last class is none."""
  kind = {
    label: number
    for number, members in enumerate(_SHAPES.values())
    for label in members
  }
  table = [kind[label] for label in furniture.CLASSES] + [len(_SHAPES)]
  return np.array(table)[largest]


def _depth(labels: Mapping[str, np.ndarray]) -> np.ndarray:
  depths = np.asarray(labels['rgb2depth'], np.float64)
  return depths.reshape(len(depths), -1).mean(axis=1)


_CLASSES: dict[str, tuple[Callable[[Mapping], np.ndarray], str | None]] = {
  'object_class': (lambda labels: labels['class_1000'], 'class_1000'),
  'scene_class': (lambda labels: labels['class_places'], 'class_places'),
  'shape_class': (lambda labels: _shapes(labels['class_1000']), None),
}
_NUMBERS: dict[str, tuple[Callable[[Mapping], np.ndarray], str | None]] = {
  'mean_depth': (_depth, 'rgb2depth'),
  'wall_distance': (lambda labels: labels['room_layout'][:, 3], 'room_layout'),
  'camera_pitch': (
    lambda labels: labels['vanishing_point'][:, 2],
    'vanishing_point',
  ),
}
SCENE_TARGETS = (*_CLASSES, *_NUMBERS)


def scenes(
  folder: str | os.PathLike,
  names: Iterable[str],
  num_train: int,
  num_test: int,
  image_size: tuple[int, int],
  *,
  num_classes: int = 10,
  workers: int = 1,
  progress: Callable[..., Iterable] | None = None,
) -> LabelledImages:
  """Returns targets on procedural scenes that no network was trained on.

  Classes of the largest object, of the room, and of the shape of the largest
  object; numbers: mean log depth, log distance of the wall ahead, pitch of the
  camera. Training scenes are of the split `transfer`, test scenes of `test`.

  Args:
    folder: Where rendered scenes are kept.
    names: Of SCENE_TARGETS.
    num_train: Scenes to score and train on.
    num_test: Scenes to test on.
    image_size: Height and width of the pictures.
    num_classes: Of quantised numbers.
    workers: Processes that render.
    progress: See `scene_dataset.build`.
  """
  names = tuple(names)
  check_names(names)  # Before long work begins.
  splits = [
    scene_dataset.build(
      os.fspath(folder),
      split,
      number,
      max(image_size),
      workers=workers,
      progress=progress,
    )
    for split, number in (('transfer', num_train), ('test', num_test))
  ]
  wanted = ('class_1000', 'class_places', 'rgb2depth')
  wanted += ('room_layout', 'vanishing_point')
  both = {
    key: np.concatenate([split[key] for split in splits])
    for key in ('image', *wanted)
  }
  found = {}
  for name in names:
    if name in _CLASSES:
      label, network = _CLASSES[name]
      found[name] = classification(name, label(both), num_train, network)
    else:
      number, network = _NUMBERS[name]
      found[name] = regression(
        name, number(both), num_train, num_classes, network
      )
  pictures = both['image']
  if pictures.shape[1:3] != tuple(image_size):
    pictures = np.stack([images.fit(p, image_size) for p in pictures])
  return LabelledImages(pictures, num_train, found)


def networks(names: Iterable[str]) -> list[str]:
  """Returns how a bank calls its networks that were trained for targets."""
  check_names(names)
  known = {**_CLASSES, **_NUMBERS}
  found = (known[name][1] for name in names)
  return [network for network in found if network is not None]


def check_names(names: Iterable[str]) -> None:
  """Raises ValueError if a scene target is not known."""
  for name in names:
    if name not in SCENE_TARGETS:
      raise ValueError(
        f'No target {name!r}; choose from {", ".join(SCENE_TARGETS)}.'
      )


def scene_labels(
  name: str, splits: Sequence[Mapping[str, np.ndarray]], num_classes: int
) -> list[np.ndarray]:
  """Returns integers [n] of a scene target for each of several splits.

  Numbers are cut into classes of equal size on the first split.
  """
  check_names([name])
  if name in _CLASSES:
    return [np.asarray(_CLASSES[name][0](split)) for split in splits]
  values = [np.asarray(_NUMBERS[name][0](split)) for split in splits]
  sizes = np.cumsum([len(part) for part in values])
  found = quantise(np.concatenate(values), num_classes, int(sizes[0]))
  return np.split(found, sizes[:-1])


def class_folders(
  train_dir: str | os.PathLike,
  test_dir: str | os.PathLike | None,
  num_images: int,
  image_size: tuple[int, int],
  *,
  test_share: float = 0.3,
  seed: int = 0,
  progress: Callable[..., Iterable] = lambda items, **unused: items,
) -> LabelledImages:
  """Returns the target of telling the folders of images apart.

  Args:
    train_dir: Has a folder for each class.
    test_dir: The same for test images; if None, a share of each class in
      `train_dir` is set aside.
    num_images: At most, of each of the two folders.
    image_size: Height and width that images are cropped and resized to.
    test_share: See `test_dir`.
    seed: Of the draws.
    progress: Wraps the decoded images.

  Raises:
    ValueError: If there are fewer than two classes, images outside of a class,
      or classes that were not trained on; or if both folders are the same.
  """
  drawing = image_files.Drawing(num_images, image_size, seed, 'skip', progress)
  known, pictures, classes = [], [], []
  for folder in _folders(train_dir, test_dir):
    if not os.path.isdir(folder):
      raise ValueError(f'There is no folder {os.fspath(folder)!r}.')
    paths = image_files.find(folder)
    # Of all images: those that are drawn may lack a class.
    known.append({_class_of(name, folder) for name in paths})
    found = image_files.sample(paths, drawing, os.fspath(folder))
    pictures.append(found.pictures)
    classes.append([_class_of(name, folder) for name in found.names])
  names = sorted(known[0])
  if unknown := sorted(set().union(*known[1:]) - known[0]):
    raise ValueError(
      f'{test_dir} has classes that {train_dir} lacks: {unknown[:5]}.'
    )
  labels = [np.array([names.index(c) for c in part]) for part in classes]
  if test_dir is None:
    train, test = _split(labels[0], test_share, seed)
    images = pictures[0][np.concatenate([train, test])]
    both = labels[0][np.concatenate([train, test])]
    number = len(train)
  else:
    images, both = np.concatenate(pictures), np.concatenate(labels)
    number = len(labels[0])
  target = os.path.basename(os.path.normpath(train_dir)) or 'classes'
  return LabelledImages(
    images, number, {target: classification(target, both, number)}
  )


def _folders(
  train_dir: str | os.PathLike, test_dir: str | os.PathLike | None
) -> list[str | os.PathLike]:
  """Returns the folders that are there; raises ValueError if they are one."""
  if test_dir is None:
    return [train_dir]
  if os.path.realpath(train_dir) == os.path.realpath(test_dir):
    raise ValueError(
      f'{test_dir} cannot be both `train_dir` and `test_dir`; without '
      '`test_dir` a share of each class is set aside.'
    )
  return [train_dir, test_dir]


def _class_of(name: str, folder: str | os.PathLike) -> str:
  first, separator, _ = name.partition('/')
  if not separator:
    raise ValueError(
      f'{os.fspath(folder)} holds {name!r} beside the folders of its classes; '
      'put every image into the folder of its class.'
    )
  return first


def _split(
  labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns rows to train and to test on, a share of each class."""
  rng = np.random.default_rng(seed)
  train, test = [], []
  for label in np.unique(labels):
    rows = rng.permutation(np.flatnonzero(labels == label))
    number = round(share * len(rows))
    test.append(rows[:number])
    train.append(rows[number:])
  return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
