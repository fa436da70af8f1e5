"""Which network should I transfer from?

  import attribution_transfer as at
  shelf = at.bank([at.network('a.keras', ...), at.network('b.onnx', ...)])
  print(at.recommend(shelf, images='photos/', target='a'))
  print(at.compare(shelf, at.images('photos/')).rank('a'))

What is computed here is computed by the packages beside this one; this is their
short form. Every result has a repr to be read, `to_dict` and `to_csv`.
"""

import importlib
from typing import TYPE_CHECKING

from toolkit_basics import quiet

quiet.quieten_tensorflow()

if TYPE_CHECKING:
  from attribution_transfer.actions import compare, explain, insert, rank
  from attribution_transfer.advice import Recommendation, recommend
  from attribution_transfer.inputs import bank, images, network
  from attribution_transfer.results import (
    Comparison,
    Maps,
    Placement,
    Ranking,
  )

__version__ = '0.1.0'
_HOMES = {
  'actions': ('compare', 'explain', 'insert', 'rank'),
  'advice': ('Recommendation', 'recommend'),
  'inputs': ('bank', 'images', 'network'),
  'results': ('Comparison', 'Maps', 'Placement', 'Ranking'),
}
__all__ = [
  'Comparison',
  'Maps',
  'Placement',
  'Ranking',
  'Recommendation',
  '__version__',
  'bank',
  'compare',
  'explain',
  'images',
  'insert',
  'network',
  'rank',
  'recommend',
]


def __getattr__(name: str):
  """Imports what is asked for: TensorFlow only where it is needed."""
  for home, names in _HOMES.items():
    if name in names:
      module = importlib.import_module(f'{__name__}.{home}')
      return getattr(module, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return __all__
