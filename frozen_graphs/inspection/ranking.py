"""Ranks the tensors of a flow as representations.

The paper takes the most compact feature map of an encoder (Song et al., 2019):
of a classifier the last one before its head, of an encoder-decoder the
bottleneck before the first up-sampling, of a detector the end of the backbone.
All three are one rule here: among the maps before the first up-sampling, those
with the fewest places; of these the last that everything else goes through,
after an activation if there is one.
"""

from collections.abc import Iterable, Mapping
import dataclasses

from frozen_graphs.inspection import flow as flows
from frozen_graphs.inspection import maps as inspection_maps
from frozen_graphs.inspection.flow import Flow
from frozen_graphs.inspection.inputs import WEIGHTED
from frozen_graphs.inspection.maps import TOKENS, FeatureMap

_FEW_CHANNELS = 4  # Pictures, masks and coordinates, rather than features.
_BOTTLENECK, _DOMINATES, _ENDS_BLOCK, _LATE = 4.0, 2.0, 1.0, 1.0
_LOOKS_LIKE_OUTPUT = -3.0
_OTHER_STAGE = 1.0


@dataclasses.dataclass(frozen=True)
class RankedTensor:
  """A tensor that may be the representation.

  Attributes:
    tensor: Its name.
    shape: With the batch as its first dimension.
    score: Sum of what the reasons count.
    reasons: What speaks for and against it.
  """

  tensor: str
  shape: tuple[int, ...]
  score: float
  reasons: tuple[str, ...]


def rank(flow: Flow) -> list[RankedTensor]:
  """Returns candidates for the representation, the best first."""
  maps = inspection_maps.find(flow)
  firsts, after = inspection_maps.first_upsamplings(flow, maps)
  before = {
    n: m
    for n, m in maps.items()
    if n not in after and m.area > 1 and m.weighted > 0
  }
  if tokens := _tokens(before):
    why = 'tokens of the last transformer block'
    ranked = _stage(flow, tokens, tokens, why)
  else:
    ranked = _of_maps(flow, before, firsts)
  ranked += _vectors(flow)
  best = {}
  for candidate in sorted(ranked, key=lambda c: -c.score):
    best.setdefault(candidate.tensor, candidate)
  return list(best.values())


def _of_maps(
  flow: Flow, before: Mapping[str, FeatureMap], firsts: set[str]
) -> list[RankedTensor]:
  spatial = {n: m for n, m in before.items() if m.layout != TOKENS}
  if not spatial:
    return []
  feeding = flows.ancestors(flow.carriers, firsts)
  scaled = {n: m for n, m in spatial.items() if n in feeding}
  pool = scaled or spatial
  ends = [m for m in pool.values() if m.ends_block] or pool.values()
  areas = sorted({m.area for m in ends})
  why = f'smallest maps before the {"first up-sampling" if scaled else "head"}'
  ranked = []
  for number, area in enumerate(areas[:3]):
    stage = {n: m for n, m in pool.items() if m.area == area}
    everywhere = {n: m for n, m in spatial.items() if m.area == area}
    part = _stage(flow, stage, everywhere, why if number == 0 else '')
    lost = 0 if number == 0 else _BOTTLENECK - _OTHER_STAGE / number
    ranked += [dataclasses.replace(c, score=c.score - lost) for c in part]
  return ranked


def _tokens(before: Mapping[str, FeatureMap]) -> dict[str, FeatureMap]:
  """Returns the last tokens, if most of the network works on tokens."""
  tokens = {n: m for n, m in before.items() if m.layout == TOKENS}
  ends = [m for m in tokens.values() if m.ends_block]
  if not ends:
    return {}
  last = max(ends, key=lambda m: m.weighted)
  spatial = [
    m.weighted for m in before.values() if m.layout != TOKENS and m.ends_block
  ]
  first = min(m.weighted for m in tokens.values() if m.shape == last.shape)
  if last.weighted - first < 2 or last.weighted <= 2 * max(spatial, default=0):
    return {}
  return {n: m for n, m in tokens.items() if m.shape == last.shape}


def _stage(
  flow: Flow,
  stage: Mapping[str, FeatureMap],
  everywhere: Mapping[str, FeatureMap],
  why: str,
) -> list[RankedTensor]:
  """Returns candidates among maps of one size.

  Args:
    flow: Of the network.
    stage: The maps that may be chosen.
    everywhere: All maps of their size before the first up-sampling.
    why: What is special about the size; empty if nothing.
  """
  dominated = _dominated(flow, _exits(flow, stage))
  by_depth = sorted(everywhere, key=lambda name: everywhere[name].weighted)
  place = {name: number for number, name in enumerate(by_depth, start=1)}
  ranked = []
  for name, found in stage.items():
    share, late = dominated.get(name, 0), place[name] / len(place)
    all_of_it = 'all that' if share == 1 else f'{share:.0%} of what'
    counts = [
      (_BOTTLENECK, why and f'{why} ({found.area} places)'),
      (_DOMINATES * share, share and f'{all_of_it} follows goes through it'),
      _end_of_block(flow, name, _ENDS_BLOCK * found.ends_block),
      (_LATE * late, f'after {late:.0%} of the maps of its size'),
    ]
    if found.channels <= _FEW_CHANNELS:
      reason = f'only {found.channels} channels, like an output'
      counts.append((_LOOKS_LIKE_OUTPUT, reason))
    ranked.append(_ranked(name, found.shape, counts))
  return ranked


def _end_of_block(flow: Flow, name: str, count: float) -> tuple[float, str]:
  return count, f'ends a block ({flow.nodes[name].op})' if count else ''


def _ranked(
  name: str, shape: tuple[int, ...], counts: Iterable[tuple[float, str]]
) -> RankedTensor:
  numbers, reasons = zip(*counts, strict=True)
  score = sum(numbers)
  return RankedTensor(f'{name}:0', shape, score, tuple(filter(None, reasons)))


def _exits(flow: Flow, stage: Mapping[str, FeatureMap]) -> set[str]:
  """Returns the maps of a stage from which features leave it for good."""
  leading_back = flows.ancestors(flow.carriers, stage)
  ways = [(n, name) for name in flow.carriers for n, _ in flow.carriers[name]]
  unused = set(stage).difference(producer for producer, _ in ways)
  return unused | {a for a, b in ways if a in stage and b not in leading_back}


def _dominated(flow: Flow, targets: set[str]) -> dict[str, float]:
  """Returns by node the share of `targets` that no way avoids the node to.

  With the immediate dominators of an acyclic graph (Cooper, Harvey and
  Kennedy, 2001): one pass in order is enough.
  """
  parent, depth = {}, {flow.source[0]: 0}

  def common(first: str, second: str) -> str:
    while first != second:
      if depth[first] < depth[second]:
        first, second = second, first
      first = parent[first]
    return first

  for name, inputs in flow.carriers.items():
    nearest = inputs[0][0]
    for producer, _ in inputs[1:]:
      nearest = common(nearest, producer)
    parent[name], depth[name] = nearest, depth[nearest] + 1
  found = {}
  for target in targets:
    while target is not None:
      found[target] = found.get(target, 0) + 1
      target = parent.get(target)
  return {name: count / len(targets) for name, count in found.items()}


def _vectors(flow: Flow) -> list[RankedTensor]:
  """Returns candidates [N, D]: of networks without maps, the hidden layers."""
  ends = inspection_maps.block_ends(flow)
  weighted = inspection_maps.weighted_layers(flow)
  weights = [n for n in flow.carriers if flow.nodes[n].op in WEIGHTED]
  leading_on = flows.ancestors(flow.carriers, weights)
  ranked = []
  deepest = max(weighted.values(), default=0)
  for name in flow.carriers:
    shape = flow.shapes.get((name, 0), ())
    if len(shape) != 2 or shape[0] != flow.input_shape[0] or shape[1] < 2:
      continue
    if not weighted[name]:
      continue
    hidden = name in leading_on
    counts = [
      (weighted[name] / deepest, 'a vector: no rows and columns are left'),
      (hidden, 'a hidden layer' if hidden else 'no weighted layer follows'),
      _end_of_block(flow, name, 0.5 * (name in ends)),
    ]
    ranked.append(_ranked(name, shape, counts))
  return ranked
