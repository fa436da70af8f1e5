"""A small bank of one's own, as a user would write it, for tests."""

import csv
import json
import pathlib
from typing import Any

import cv2

from tests import testing

# One encoder is smooth, one sees lightness only, one a part of the image in a
# smaller size.
NAMES = ('alpha', 'beta', 'gamma', 'delta')
_ACTIVATIONS = dict(zip(NAMES, ('relu', 'tanh', 'relu', 'elu'), strict=True))
_PREPROCESSING = {
  'alpha': 'range(-1, 1)',
  'beta': 'clip(0.1, 0.9) | range(-1, 1)',
  'gamma': 'lightness | range(-1, 1)',
  'delta': 'resize(12) | range(-1, 1)',
}
GROUPS = {'alpha': '2d', 'beta': '3d', 'gamma': '2d', 'delta': '3d'}
RANKING = {
  'alpha': ('gamma', 'beta', 'delta'),
  'beta': ('delta', 'alpha', 'gamma'),
  'delta': ('beta', 'gamma', 'alpha'),
}
SIZE = 16


def entry(name: str) -> dict[str, Any]:
  """Returns the entry of an encoder in `bank.json`."""
  return {
    'name': name,
    'label': name.capitalize(),
    'group': GROUPS[name],
    'graph': f'{name}.pb',
    'input': 'input:0',
    'representation': 'representation:0',
    'preprocessing': _PREPROCESSING[name],
  }


def write_json(folder: pathlib.Path, content: Any) -> None:
  """Writes `bank.json`; a text is written as it is."""
  text = content if isinstance(content, str) else json.dumps(content)
  (folder / 'bank.json').write_text(text, encoding='utf-8')


def write(folder: pathlib.Path, oracle: bool = True) -> dict[str, Any]:
  """Writes a bank of four random encoders.

  Returns:
    The content of its `bank.json`.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for seed, name in enumerate(NAMES):
    graph = testing.tiny_graph_def(
      _ACTIVATIONS[name],
      seed=seed,
      size=12 if name == 'delta' else SIZE,
      channels=1 if name == 'gamma' else 3,
    )
    (folder / f'{name}.pb').write_bytes(graph.SerializeToString())
  content = {
    'name': 'small',
    'encoders': [entry(name) for name in NAMES],
  }
  if oracle:
    content['oracle'] = 'oracle.csv'
    with open(folder / 'oracle.csv', 'w', encoding='utf-8', newline='') as file:
      writer = csv.writer(file)
      writer.writerow(['target', 'rank_1', 'rank_2', 'rank_3'])
      writer.writerows([t, *row] for t, row in RANKING.items())
  write_json(folder, content)
  return content


def write_images(
  folder: pathlib.Path, number: int = 10, size: int = 20, seed: int = 0
) -> None:
  """Writes photographs of random texture."""
  folder.mkdir(parents=True, exist_ok=True)
  for i, image in enumerate(testing.images(number, size, seed)):
    cv2.imwrite(str(folder / f'{i:03d}.png'), image)


def tree_bytes(folder: pathlib.Path) -> dict[str, bytes]:
  """Returns the content of every file below a folder, by relative path."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }
