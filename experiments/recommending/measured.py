"""Banks whose transfers were measured, as cases that answers are checked on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools

import numpy as np

from experiments import network_errors
from experiments.recommending import evidence, labelled, looks
from experiments.recommending.looks import LookedAt, Looking
from frozen_graphs import network as networks
from frozen_graphs import permuting
from probe_data import scene_dataset
from taskonomy_models.bank import Bank
from transferability import affinity, history
from transferability.recommendation import floor, scores, situations
from transferability.recommendation import labels as labels_lib
from transferability.recommendation.calibration import MeasuredTarget
from transferability.recommendation.decision import CandidateEvidence
from transferability.recommendation.labels import TargetLabels

_SCENES = 'transfer'  # Scenes that no network of a mini bank was trained on.


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredBank:
  """A bank, its images, and what was seen of them.

  Attributes:
    bank: With `oracle_losses`.
    losses: By target and source, of measured transfers.
    data: Images and labels by task, of the scenes.
    looks: By network, at the grid for labels of pixels.
    untrained: Looks at networks of random weights.
    predictions: By network that has a head, what it predicts of the images.
  """

  bank: Bank
  losses: Mapping[str, Mapping[str, float]]
  data: Mapping[str, np.ndarray]
  looks: Mapping[str, LookedAt]
  untrained: Mapping[str, LookedAt]
  predictions: Mapping[str, TargetLabels] = dataclasses.field(
    default_factory=dict
  )

  @functools.cached_property
  def coarsened(self) -> 'MeasuredBank':
    """Returns it as seen where no labels of pixels are known."""
    seen, untrained = (
      {name: looks.coarsened(look) for name, look in every.items()}
      for every in (self.looks, self.untrained)
    )
    return dataclasses.replace(self, looks=seen, untrained=untrained)


def losses_of(bank: Bank) -> dict[str, dict[str, float]]:
  """Returns losses by target and source, without a target's own network.

  Raises:
    ValueError: If the bank has none, or they are no table of numbers above 0.
  """
  if bank.oracle_losses is None:
    raise ValueError(
      f'The bank {bank.name!r} has no measured losses (oracle_losses).'
    )
  losses, targets, sources = affinity.load_table(bank.oracle_losses)
  found = {
    target: {
      source: float(loss)
      for source, loss in zip(sources, row, strict=True)
      if source != target and source in bank.names
    }
    for target, row in zip(targets, losses, strict=True)
  }
  for target, row in found.items():
    for source, loss in row.items():
      if not 0 < loss < np.inf:
        raise ValueError(
          f'{bank.oracle_losses}: the loss of {source!r} for {target!r} is '
          f'{loss}, not above 0.'
        )
  return found


def scenes(
  data_dir: str, number: int, num_scenes: int, workers: int, track: Callable
) -> dict[str, np.ndarray]:
  """Returns the first scenes of the split, and their labels by task."""
  found = scene_dataset.build(
    data_dir, _SCENES, num_scenes, 64, workers=workers, progress=track
  )
  return {name: np.asarray(values[:number]) for name, values in found.items()}


def see(
  bank: Bank,
  data: Mapping[str, np.ndarray],
  how: Looking,
  num_untrained: int,
  track: Callable[..., Iterable],
) -> MeasuredBank:
  """Looks at all networks of a bank, and at some of random weights."""
  seen, untrained, predictions = {}, {}, {}
  for i, encoder in enumerate(track(bank.encoders, description=bank.name)):
    images = data['image']
    with network_errors.computing(encoder.name):
      network = bank.network(encoder.name)
      seen[encoder.name] = looks.look(encoder, network, images, how)
      if encoder.predictor is not None:
        predicted = looks.predictions(encoder, bank, images, how)
        predictions[encoder.name] = predicted
      if i < num_untrained:
        name = f'untrained_{encoder.name}'
        subgraph = permuting.redrawn(network.subgraph, how.seed + i)
        drawn = networks.of_subgraph(subgraph, 'network', 'untrained')
        untrained[name] = looks.look(encoder, drawn, images, how)
  losses = losses_of(bank)
  return MeasuredBank(bank, losses, data, seen, untrained, predictions)


def evidence_of(
  measured: MeasuredBank,
  situation: situations.Situation,
  num_draws: int,
  track: Callable[..., Iterable],
) -> dict[str, CandidateEvidence]:
  """Returns the evidence about sources by target, where there is any.

  Sources are the outer loop: what concerns one is computed once for all
  targets.
  """
  first = dataclasses.replace(situation, measures=situation.measures[:1])
  if situation.name not in ('labels', 'prediction'):
    measured = measured.coarsened
  every = {**measured.looks, **measured.untrained}
  asked = _scorers(measured, situation)
  drawn = {
    target: evidence.draw(every, scorer, num_draws, 0)
    for target, scorer in asked.items()
  }
  found: dict[str, dict] = {target: {} for target in asked}
  for name in track(every, description=situation.name):
    known: dict = {}
    for target, scorer in asked.items():
      if name not in measured.losses[target] and name in measured.looks:
        continue
      scorer.share(known)
      found[target][name] = evidence.ask(
        name, every[name], first, scorer, drawn[target]
      )
  number = len(measured.data['image'])
  return {
    target: evidence.assemble(first, testimonies, {}, number)
    for target, testimonies in found.items()
  }


def _scorers(
  measured: MeasuredBank, situation: situations.Situation
) -> dict[str, scores.Scorer]:
  """Returns what scores by each target of which there is something."""
  if situation.name == 'prediction':
    return {
      target: scores.ByLabels(measured.predictions[target])
      for target in measured.losses
      if target in measured.predictions
    }
  if situation.name == 'labels':
    return {
      target: scores.ByLabels(labels_lib.of(measured.data[target]))
      for target in measured.losses
      if target in measured.data
    }
  return {
    target: scores.BySimilarity(measured.looks[target].features)
    for target in measured.losses
    if target in measured.looks
  }


def case_of(
  found: CandidateEvidence, measured: MeasuredBank, target: str
) -> MeasuredTarget:
  """Returns the case of a target's real sources."""
  losses = measured.losses[target]
  chosen = [found.names.index(name) for name in losses]
  at = floor.find_by_all(found.own[:, chosen], found.twins[:, chosen])
  return MeasuredTarget(
    target,
    found.scores[found.situation.measures[0]][chosen],
    None if found.draws is None else found.draws[:, chosen],
    at.level,
    np.array(list(losses.values())),
    at.is_below,
  )


def rivals(
  measured: MeasuredBank, names: Sequence[str]
) -> dict[str, list[MeasuredTarget]]:
  """Returns the cases of sources that other similarities rank, by name."""
  measured = measured.coarsened
  found: dict[str, list[MeasuredTarget]] = {name: [] for name in names}
  every = np.arange(len(measured.data['image']))
  known: dict = {}
  for target, losses in measured.losses.items():
    if target not in measured.looks:
      continue
    scorer = scores.BySimilarity(measured.looks[target].features)
    scorer.share(known)
    features = [
      scorer.prepare(measured.looks[source].features) for source in losses
    ]
    truth = np.array(list(losses.values()))
    for name in names:
      values = [scorer.score(name, each, every) for each in features]
      found[name].append(
        MeasuredTarget(target, np.array(values), None, None, truth)
      )
  return found


def history_cases(
  measured_losses: Mapping[str, Mapping[str, float]],
) -> list[MeasuredTarget]:
  """Returns cases of sources by their standing on the other targets."""
  table = labelled.read_history(
    (target, source, -loss)
    for target, losses in measured_losses.items()
    for source, loss in losses.items()
  )
  return [
    MeasuredTarget(
      target,
      history.predict(table, target, list(losses)),
      None,
      None,
      np.array(list(losses.values())),
    )
    for target, losses in measured_losses.items()
  ]


def flagged(
  found: CandidateEvidence, sources: Sequence[str], num_trials: int, seed: int
) -> tuple[int, int, int]:
  """Puts three untrained networks among seven real ones, again and again.

  Returns:
    Trials in which all three were flagged; those in which one of them had the
    best score of all that were not flagged; real networks that were flagged,
    of seven in each trial.
  """
  rng = np.random.default_rng(seed)
  names = np.array(found.names)
  real = np.flatnonzero(np.isin(names, list(sources)))
  drawn = np.flatnonzero(~np.isin(names, list(sources)))
  values = found.scores[found.situation.measures[0]]
  all_three = recommended = lost = 0
  for _ in range(num_trials):
    untrained = rng.permutation(drawn)[:3]
    rows = np.concatenate([rng.permutation(real)[:7], untrained])
    below = floor.find_by_all(found.own[:, rows], found.twins[:, rows]).is_below
    all_three += bool(below[-3:].all())
    lost += int(below[:-3].sum())
    able = np.where(below, -np.inf, values[rows])
    recommended += bool(np.isfinite(able).any() and np.argmax(able) >= 7)
  return all_three, recommended, lost
