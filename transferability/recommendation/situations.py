"""What a user has, and which measures that allows: one table.

The first measure of a situation ranks the candidates; the others are shown
beside it. The choice follows docs/choosing_a_measure.md and is nowhere else.
"""

from collections.abc import Mapping
import dataclasses
import types


@dataclasses.dataclass(frozen=True)
class Situation:
  """What is known of a target.

  Attributes:
    name: Of the situation; also of its calibration.
    by: What candidates are ranked by, in words.
    measures: The one that ranks, and those beside it; none if nothing can.
    floor: Those by which a candidate is compared with its untrained twins, the
      first of `measures` first.
    evidence: Where it was measured how far the first can be trusted.
  """

  name: str
  by: str
  measures: tuple[str, ...]
  floor: tuple[str, ...]
  evidence: str

  @property
  def of_ranges(self) -> str:
    """Of the floor's, what tells whether another range of values is better.

    LogME has no upper bound, so that there is always room above the floor.
    """
    return 'logme' if 'logme' in self.floor else self.floor[0]


_TABLE = (
  Situation(
    'labels',
    'how well a ridge probe predicts labels that it has not seen',
    ('ridge_probe', 'logme', 'parc'),
    ('ridge_probe', 'logme'),
    'a ridge probe agrees with trained readouts at a weighted tau of 0.86, '
    'LogME of 0.85 (docs/choosing_a_measure.md), which errs between '
    'architectures (docs/recommend.md)',
  ),
  Situation(
    'prediction',
    'how well a ridge probe predicts what the network of the target predicts',
    ('ridge_probe', 'logme', 'parc'),
    ('ridge_probe', 'logme'),
    'what a network of the target predicts stands for labels, and tells more '
    'than what it represents (docs/recommend.md)',
  ),
  Situation(
    'target',
    'how well they predict the features of the network of the target, and '
    'how alike they are (decodability and DDS)',
    ('decodability_dds', 'decodability', 'dds'),
    ('decodability_dds', 'decodability', 'dds'),
    'on the mini bank this puts a source within 5 % of the best first '
    'for 18 of 18 targets (docs/recommend.md); spade, which takes backward '
    'passes too, orders the rest slightly better (docs/beyond_the_mean.md)',
  ),
  Situation(
    'history',
    'standing on the other targets of the history',
    ('standing',),
    ('standing',),
    'standing elsewhere agrees with trained readouts at a weighted tau of '
    'only 0.30 (docs/choosing_a_measure.md)',
  ),
  Situation(
    'nothing', 'nothing', (), (), 'no method works without any of these'
  ),
)
SITUATIONS: Mapping[str, Situation] = types.MappingProxyType(
  {situation.name: situation for situation in _TABLE}
)

# The cheapest ways out of a situation in which nothing can be told.
WAYS = (
  'label a few hundred images of the target and pass them with `labels`: '
  'a ridge probe then ranks the candidates in seconds',
  'pass a network that was trained for the target, even a small or poor one, '
  'as `target`: representations are then compared with it, without labels',
  'pass a table of earlier results (target, network, score) as `history`: '
  'the weakest of the three',
)


def choose(
  labels: bool, target: bool, history: bool, prediction: bool = False
) -> Situation:
  """Returns the best situation that what is there allows.

  Args:
    labels: Of the target, with images.
    target: A network of it, with images.
    history: Results on other targets.
    prediction: Whether it is known what the network of the target predicts.
  """
  for name, is_there in (
    ('labels', labels),
    ('prediction', target and prediction),
    ('target', target),
    ('history', history),
  ):
    if is_there:
      return SITUATIONS[name]
  return SITUATIONS['nothing']
