"""What both tests of maps look at: networks, their maps, and their kind."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from attribution import overrides
from attribution.explainer import Explainer
from attribution.methods import AttributionMethod
from frozen_graphs.errors import GraphError
from frozen_graphs.network import Network
from taskonomy_models.encoder import Encoder

# By which maps are judged at all: what a network may be, the most particular
# kind first.
KINDS = ('attention', 'gated', 'smooth', 'relu', 'linear')
_PIECEWISE = frozenset({
  'Relu', 'Relu6', 'LeakyRelu', 'Abs', 'Maximum', 'Minimum', 'ClipByValue',
})  # fmt: skip
_NO_ACTIVATION = frozenset({'normaliser', 'half', 'Pow', 'Sqrt', 'gate'})


@dataclasses.dataclass(frozen=True)
class Explaining:
  """How networks are run and explained.

  Attributes:
    methods: The attribution methods.
    batch_size: Images computed at once.
    device: For example '/GPU:0'; None is TensorFlow's choice.
  """

  methods: tuple[AttributionMethod, ...]
  batch_size: int = 50
  device: str | None = None


def kind_of(network: Network) -> str:
  """Returns which of KINDS a network is.

  `attention`: it has a softmax; `gated`: branches are multiplied by gates, as
  in squeeze-and-excite; `smooth`: some activation is not piecewise linear, as
  ELU, SiLU or GELU; `relu`: all are; `linear`: there are none.

  Raises:
    GraphError: If the graph cannot be used.
  """
  found = set(network.operations)
  if 'Softmax' in found:
    return 'attention'
  try:
    _, ruled = overrides.marked(network)
  except GraphError:  # An operation without a rule; what is known must do.
    ruled = {name: 1 for name in found & set(overrides.activations())}
  if 'gate' in ruled:
    return 'gated'
  activations = set(ruled) - _NO_ACTIVATION
  if activations - _PIECEWISE:
    return 'smooth'
  return 'relu' if activations else 'linear'


def maps_of(
  network: Network,
  encoder: Encoder,
  images: np.ndarray,
  how: Explaining,
  may_be_infinite: bool = False,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Returns the maps of a network, and why methods have none.

  Args:
    network: The network.
    encoder: Says its preprocessing.
    images: uint8 [N, H, W, 3].
    how: See `Explaining`.
    may_be_infinite: Whether maps that are not finite are returned too.

  Returns:
    By method, float32 [N, H, W, 3] in the coordinates of the images; and, by
    method, why the network is refused.
  """
  maps: dict[str, np.ndarray] = {}
  refused: dict[str, str] = {}
  for methods in _groups(how.methods):
    try:
      maps |= _explained(
        network, encoder, images, how, methods, may_be_infinite
      )
    except ValueError as error:
      if len(methods) == 1:
        refused[methods[0].name] = str(error)
        continue
      for method in methods:
        alone = dataclasses.replace(how, methods=(method,))
        found = maps_of(network, encoder, images, alone, may_be_infinite)
        maps |= found[0]
        refused |= found[1]
  order = [method.name for method in how.methods]
  return {name: maps[name] for name in order if name in maps}, refused


def _groups(
  methods: Sequence[AttributionMethod],
) -> list[list[AttributionMethod]]:
  """Returns methods that can share an explainer, together."""
  groups: dict[Any, list[AttributionMethod]] = {}
  for method in methods:
    groups.setdefault(method.products if method.rule else None, []).append(
      method
    )
  plain = groups.pop(None, [])
  first = next(iter(groups.values()), None)
  if first is None:
    return [plain]
  first += plain
  return list(groups.values())


def _explained(
  network, encoder, images, how, methods, may_be_infinite
) -> Mapping[str, np.ndarray]:
  with Explainer(
    network,
    preprocessing=encoder.preprocessing,
    methods=methods,
    batch_size=how.batch_size,
    device=how.device,
  ) as explainer:
    found = explainer.explain(images, may_be_infinite=may_be_infinite)
  return found.maps


def packed(
  arrays: Mapping[str, np.ndarray], words: Mapping[str, str]
) -> dict[str, np.ndarray]:
  """Returns arrays, and texts as arrays of one text each, by `text/NAME`."""
  return {**arrays, **{f'text/{k}': np.array(v) for k, v in words.items()}}


def unpacked(
  found: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Returns the two arguments of `packed`."""
  words = {
    name.removeprefix('text/'): str(values)
    for name, values in found.items()
    if name.startswith('text/')
  }
  arrays = {n: v for n, v in found.items() if not n.startswith('text/')}
  return arrays, words


Track = Callable[..., Any]
