"""Any file or model object to a checked graph that runs.

network = frozen_graphs.load('model.onnx', representation='Relu_48')
representations = network.run(inputs)
"""

import importlib
from typing import TYPE_CHECKING

from toolkit_basics import quiet

quiet.quieten_tensorflow()

if TYPE_CHECKING:
  from frozen_graphs.errors import (
    GraphError,
    UnsafeGraphError,
    UnsupportedOpError,
    about,
  )
  from frozen_graphs.loading import load
  from frozen_graphs.network import Network
  from frozen_graphs.passes import Passes

__all__ = [
  'GraphError',
  'Network',
  'Passes',
  'UnsafeGraphError',
  'UnsupportedOpError',
  'about',
  'load',
]
_MODULES = {'load': 'loading', 'Network': 'network', 'Passes': 'passes'}


def __getattr__(name: str):
  """Imports what is asked for: TensorFlow only where it is needed."""
  if name not in __all__:
    raise AttributeError(f'{__name__!r} has no attribute {name!r}.')
  module = _MODULES.get(name, 'errors')
  return getattr(importlib.import_module(f'{__name__}.{module}'), name)
