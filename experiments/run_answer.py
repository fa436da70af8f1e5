"""What a run says in words: which source for each target, and how surely.

The images are a sample. Each target's first source is therefore asked for again
on many resamplings of the images: where another source takes its place, the two
cannot be told apart by these images.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from experiments import figures
from experiments.evaluation import Evaluation
from experiments.report_answer import Answer
from transferability import resampling
from transferability.model_space import Spaces
from transferability.resampling import Resampled

_NUM_DRAWS = 500
# Measures by how far they can be trusted, see docs/beyond_the_mean.md.
TRUSTED = ('spade', 'decodability', 'attribution_span')
_SURE = 0.95  # Of the resamplings in which a source stays the first.
_RIVAL = 0.05  # Of those in which another one is the first.
_MOST_RIVALS = 2
_NOTE = (
  'Stays first: the share of resamplings of the images in which the same '
  'source is the first. Or from: what else is the first in 5 % or more.'
)
# Numbers held at once: of images times pairs, and of draws times pairs.
_MOST_COSINES = 5 * 10**7


@dataclasses.dataclass(frozen=True)
class FirstSource:
  """What is known of the first source of a target.

  Attributes:
    source: Index of the network.
    share: Of the resamplings in which it is the first; NaN if not known.
    rivals: Indices of others that are the first in 5 % or more.
  """

  source: int
  share: float
  rivals: tuple[int, ...]


def first_sources(
  affinity: np.ndarray,
  resampled: Resampled | None,
  targets: Sequence[int],
  seed: int = 0,
) -> dict[int, FirstSource]:
  """Returns the first source of each target, and how surely it is the first.

  Args:
    affinity: [num_models, num_models].
    resampled: The same with its images drawn anew; None if that is not known.
    targets: Indices of networks.
    seed: Of the resamplings.
  """
  affinity = _without_self(affinity)
  firsts = affinity.argmax(axis=1)
  if resampled is None:
    return {t: FirstSource(int(firsts[t]), np.nan, ()) for t in targets}
  pairs = affinity.size
  draws = int(np.clip(_MOST_COSINES // pairs, 20, _NUM_DRAWS))
  drawn = _without_self(resampled.drawn(draws, seed))
  found = {}
  for t in targets:
    counts = np.bincount(drawn[:, t].argmax(axis=1), minlength=len(affinity))
    order = np.argsort(-counts, kind='stable')
    rivals = [
      int(i) for i in order if i != firsts[t] and counts[i] >= _RIVAL * draws
    ]
    share = float(counts[firsts[t]] / draws)
    found[t] = FirstSource(int(firsts[t]), share, tuple(rivals))
  return found


def resampled_of(
  evaluation: Evaluation, spaces: Spaces, method: str
) -> Resampled | None:
  """Returns an affinity with its images drawn anew, if it is not too large."""
  names, known = evaluation.names, evaluation.resampled.get(method)
  if known is not None:
    return known if known.size <= _MOST_COSINES else None
  if method not in spaces:
    return None
  if len(spaces[method].kept_images) * len(names) ** 2 > _MOST_COSINES:
    return None
  return resampling.ImageMeans(spaces[method].image_cosines(names))


def best_of(evaluation: Evaluation, methods: Sequence[str]) -> str:
  """Returns the measure whose ranking is told: the most to be trusted.

  Args:
    evaluation: Of the run.
    methods: The attribution methods; the last stands for all of them.
  """
  known = [name for name in TRUSTED if name in evaluation.affinities]
  return known[0] if known else methods[-1]


def answer(
  evaluation: Evaluation,
  labels: Sequence[str],
  method: str,
  resampled: Resampled | None = None,
) -> Answer:
  """Returns what a run found, in words and as a row for each target.

  Args:
    evaluation: Of the run.
    labels: Of the networks.
    method: The one whose ranking is told.
    resampled: See `first_sources`.
  """
  names = evaluation.names
  targets = [names.index(name) for name in evaluation.rankings[method]]
  affinity = evaluation.affinities[method]
  found = first_sources(affinity, resampled, targets)
  is_resampled = resampled is not None
  header = ['target', 'transfer from', 'affinity']
  header += ['stays first', 'or from'] * is_resampled
  header += ['among the best measured'] * bool(evaluation.relevant)
  rows = []
  for t, first in found.items():
    row = [labels[t], labels[first.source], f'{affinity[t, first.source]:.3g}']
    if is_resampled:
      rivals = [labels[i] for i in first.rivals[:_MOST_RIVALS]]
      row += [f'{100 * first.share:.0f} %', ', '.join(rivals) or '–']
    if evaluation.relevant:
      row.append(_is_relevant(evaluation, t, first))
    rows.append(row)
  paragraphs = tuple(_paragraphs(evaluation, labels, method, found))
  note = _NOTE if is_resampled else ''
  return Answer(paragraphs, [header, *rows], note)


def _without_self(affinities: np.ndarray) -> np.ndarray:
  """Returns a copy in which no network can be its own source."""
  affinities = np.array(affinities, np.float64)
  diagonal = np.arange(affinities.shape[-1])
  affinities[..., diagonal, diagonal] = -np.inf
  return affinities


def _is_relevant(
  evaluation: Evaluation, target: int, first: FirstSource
) -> str:
  best = evaluation.relevant.get(evaluation.names[target])
  if best is None:
    return 'not measured'
  return 'yes' if evaluation.names[first.source] in best else 'no'


def _paragraphs(
  evaluation: Evaluation,
  labels: Sequence[str],
  method: str,
  found: Mapping[int, FirstSource],
):
  """Yields the answer, then how far to trust it."""
  title = figures.method_label(method)
  known = [first for first in found.values() if not np.isnan(first.share)]
  sure = sum(first.share >= _SURE for first in known)
  is_map = method not in TRUSTED
  best = f'the best one by {title}'
  if is_map:
    best = f'the network whose attribution maps ({title}) agree with the '
    best += 'target’s most'
  yield (
    f'The table names a source for each of {len(found)} targets: {best}.'
    + (
      f' {sure} of {len(known)} are sure as far as the images go: they stay '
      f'first in {100 * _SURE:.0f} % of resamplings or more.'
      if known
      else ''
    )
  )
  if method in evaluation.scores:
    yield _measured(evaluation, method, title, found)
  yield from _hub(labels, found)
  yield (
    'What affinity cannot tell: whether a source is good. It says that two '
    + ('networks look at' if is_map else 'networks react to')
    + ' the same things, and an untrained network does so too. Resampling the '
    'images says nothing about that either.'
  )


def _measured(evaluation, method, title, found) -> str:
  scored = [t for t in found if evaluation.names[t] in evaluation.relevant]
  hits = sum(_is_relevant(evaluation, t, found[t]) == 'yes' for t in scored)
  number = len(next(iter(evaluation.relevant.values())))
  text = (
    f'Transfers were measured for {len(scored)} of the targets: the first '
    f'source is among the {number} best for {hits} of them'
  )
  chance = evaluation.scores.get('random')
  if chance is not None:
    expected = float(chance.curve.precision[0]) * len(scored)
    text += f' (by chance {expected:.1f})'
  rival, k = evaluation.scores.get('constant_ranking'), number
  if rival is None or k > len(rival.curve.k):
    return f'{text}.'
  own = float(evaluation.scores[method].curve.precision[k - 1])
  other = float(rival.curve.precision[k - 1])
  relation = 'less than' if own < other else 'no less than'
  return (
    f'{text}. Of the first {k} sources {100 * own:.0f} % are among the best by '
    f'{title}, {relation} the {100 * other:.0f} % of one order for all '
    'targets, read off the measured transfers.'
  )


def _hub(labels: Sequence[str], found: Mapping[int, FirstSource]):
  """Yields a warning if one network is the first source of many targets."""
  counts = np.bincount([f.source for f in found.values()], minlength=1)
  hub = int(counts.argmax())
  if counts[hub] > max(3, len(found) / 4):
    yield (
      f'{labels[hub]} is the first source of {counts[hub]} targets. A network '
      'that is near to many often has smoother gradients than the others, not '
      'better features.'
    )
