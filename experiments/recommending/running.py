"""From a question to its answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import math
import os
from typing import Any

from absl import logging
import numpy as np

from experiments import network_errors, pipeline
from experiments.recommending import evidence as evidence_lib
from experiments.recommending import (
  executing,
  labelled,
  looks,
  sources,
  training,
)
from experiments.recommending.answer import Cost, Recommendation
from experiments.recommending.executing import Where
from experiments.recommending.looks import LookedAt, Looking
from experiments.selection import source_samples
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import progress
from transferability import history
from transferability.history import History
from transferability.recommendation import (
  calibration,
  decision,
  scores,
  situations,
)
from transferability.recommendation.decision import CandidateEvidence
from transferability.recommendation.labels import TargetLabels


@dataclasses.dataclass(frozen=True, eq=False)
class Question:
  """What is known.

  Attributes:
    bank: The candidates, and perhaps the network of the target among them.
    images: Of the target domain, see `labelled.read`; None if there are none.
    labels: Of the images, see `labelled.read`.
    target: The network of the target: its name in the bank, or itself.
    history: Earlier results on other targets.
    history_target: What the history calls the target; its rows do not count.
    faults: Of candidates that could not be loaded, why.
  """

  bank: Bank
  images: labelled.Images | None = None
  labels: labelled.GivenLabels | None = None
  target: str | Encoder | None = None
  history: History | None = None
  history_target: str | None = None
  faults: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Way:
  """How the answer is found.

  Attributes:
    num_images: How many images are drawn from a source that has more.
    image_size: Side of the images; 0 is what suits the networks.
    label_kind: 'classes' or 'numbers', if labels do not tell.
    train: From how many of the best a readout is really trained.
    num_draws: Of the images, for intervals.
    looking: At the candidates.
    where: They are looked at.
    num_source: How many training images of the candidates are looked at, with
      labels, where these are known; 0 leaves them out.
    seed: Of images and draws.
    track: Shows progress.
  """

  num_images: int = 200
  image_size: int = 0
  label_kind: str | None = None
  train: int = 0
  num_draws: int = 100
  looking: Looking = Looking()
  where: Where = Where()
  num_source: int = 0
  seed: int = 0
  track: Callable[..., Iterable] = progress.track


def recommend(question: Question, way: Way = Way()) -> Recommendation:
  """Returns the answer.

  Raises:
    ValueError: If something given cannot be read, or does not fit; what fails
      with one candidate only is a part of the answer.
  """
  target, candidates = _split(question)
  situation = situations.choose(
    question.labels is not None,
    target is not None and question.images is not None,
    question.history is not None,
    target is not None and target.predictor is not None,
  )
  _check(question, way, target, candidates)
  names = tuple(encoder.name for encoder in candidates)
  shared = {
    'names': (*names, *question.faults),
    'labels': {e.name: e.label for e in question.bank.encoders},
    'groups': question.bank.groups,
    'target': target and target.name,
  }
  if situation.name in ('nothing', 'history'):
    return _without_images(question, situation, names, shared)
  return _by_images(question, way, situation, target, candidates, shared)


def _check(
  question: Question,
  way: Way,
  target: Encoder | None,
  candidates: Sequence[Encoder],
) -> None:
  """Raises ValueError for what has no answer."""
  if not candidates:
    reasons = ' '.join(question.faults.values())
    raise ValueError(
      f'There are no candidates{": " if reasons else "."}{reasons}'
    )
  if way.train and question.labels is None:
    raise ValueError('`train` needs `labels`: there is nothing to train on.')
  has_images = question.images is not None
  if target is not None and not (has_images or question.history):
    raise ValueError(
      '`target` needs `images`, on which the candidates are compared with it; '
      "'scenes' are rendered rooms, if you have none."
    )


def _by_images(
  question: Question,
  way: Way,
  situation: situations.Situation,
  target: Encoder | None,
  candidates: Sequence[Encoder],
  shared: Mapping[str, Any],
) -> Recommendation:
  """Returns the answer that looking at the candidates gives."""
  probe, labels = _mixed(*_read(question, way), way.seed)
  if situation.name == 'prediction':
    labels = looks.predictions(target, question.bank, probe.images, way.looking)
  if labels is not None and labels.are_dense:
    looking = dataclasses.replace(way.looking, grid=looks.FINE_GRID)
    way = dataclasses.replace(way, looking=looking)
  extra = _features_of(target, question.bank, probe, way)
  classes, samples = sources.classes_of(labels), None
  if classes is not None and way.num_source:
    samples = _samples(question.bank, probe, way)
  looked, faults, of_source = _look(
    question.bank, candidates, probe, way, samples
  )
  if not looked:
    reasons = ' '.join(faults.values())
    raise ValueError(f'None of the candidates can be used. {reasons}')
  if labels is not None:
    scorer: scores.Scorer = scores.ByLabels(labels, way.seed)
  else:
    scorer = scores.BySimilarity(extra[shared['target']])
  found = evidence_lib.gather(
    situation,
    looked,
    scorer,
    {**question.faults, **faults},
    num_draws=way.num_draws,
    seed=way.seed,
    track=way.track,
  )
  if samples is not None:
    found = sources.add(found, looked, classes, samples, of_source)
  known = calibration.of(situation.name, looks.are_mixed(looked))
  decided = decision.decide(found, known.noise, way.seed)
  if way.train and labels is not None:
    trained = _train(decided, looked, labels, way)
    found = dataclasses.replace(found, trained=trained)
    decided = decision.decide(found, known.noise, way.seed)
  return Recommendation(
    decision=decided,
    costs={n: Cost(s.milliseconds, s.megabytes) for n, s in looked.items()},
    calibration=known,
    question=_asked(
      *(len(candidates), len(probe), labels, target),
      are_predicted=situation.name == 'prediction',
    ),
    warnings=_warnings(decided, found, probe),
    features={**{n: s.features for n, s in looked.items()}, **extra},
    **shared,
  )


def _features_of(
  target: Encoder | None, bank: Bank, probe: ProbeSet, way: Way
) -> dict[str, np.ndarray]:
  """Returns the features of the network of the target, if there is one."""
  if target is None:
    return {}
  plain = dataclasses.replace(way.looking, num_twins=0, tries_ranges=False)
  with network_errors.computing(target.name):
    seen = looks.look(target, bank.networks.get(target), probe.images, plain)
  return {target.name: seen.features}


def _split(question: Question) -> tuple[Encoder | None, list[Encoder]]:
  """Returns the network of the target, if any, and the candidates."""
  bank, target = question.bank, question.target
  if isinstance(target, str):
    known = {encoder.name: encoder for encoder in bank.encoders}
    if target not in known:
      raise ValueError(
        f'No network {target!r} for `target`; there are '
        f'{", ".join(known) or "none"}.'
      )
    target = known[target]
  name = target.name if target is not None else None
  return target, [e for e in bank.encoders if e.name != name]


def _asked(
  number: int,
  num_images: int,
  labels: TargetLabels | None,
  target: Encoder | None,
  are_predicted: bool,
) -> str:
  text = f'{number} candidates, {num_images} images'
  if labels is not None and not are_predicted:
    text += f' with labels ({labels.described})'
  if target is not None:
    text += f', the network {target.name} of the target'
  if labels is not None and are_predicted:
    text += f', which predicts {labels.described}'
  return text


def _without_images(
  question: Question,
  situation: situations.Situation,
  names: tuple[str, ...],
  shared: Mapping,
) -> Recommendation:
  """Returns what can be said without looking at the candidates."""
  asked = f'{len(names)} candidates'
  if question.history is None:
    return Recommendation(
      None,
      costs={},
      calibration=None,
      question=asked,
      warnings=_about_folders(question.images),
      **shared,
    )
  omitted = question.history_target or shared['target']
  values = history.predict(question.history, omitted or '', names)
  lost = {
    name: f'{name}: the history has no result of it.'
    for name, value in zip(names, values, strict=True)
    if math.isnan(value)
  }
  evidence = CandidateEvidence(
    situation=situation,
    names=names,
    scores={situation.measures[0]: values},
    draws=None,
    own=np.full((1, len(names)), np.nan),
    twins=np.zeros((1, len(names), 0)),
    notes={},
    faults={**question.faults, **lost},
    trained={},
    num_images=0,
  )
  known = calibration.stored()[situation.name]
  others = len(set(question.history.targets) - {omitted})
  return Recommendation(
    decision.decide(evidence, known.noise),
    costs={},
    calibration=known,
    question=f'{asked}, results of {others} other targets',
    warnings=(
      'a network that is good for other targets is a poor guess; labels of '
      'the target, or a network for it, tell far more.',
    ),
    **shared,
  )


def _about_folders(images: labelled.Images | None) -> tuple[str, ...]:
  """Returns a hint if the images look as if they were labelled."""
  if not isinstance(images, str | os.PathLike) or not os.path.isdir(images):
    return ()
  with os.scandir(images) as entries:
    number = sum(e.is_dir() and not e.name.startswith('.') for e in entries)
  if number < 2:
    return ()
  return (
    f'the images lie in {number} folders; if each is a class, pass '
    f'`labels={labelled.FOLDERS!r}`.',
  )


def _read(question: Question, way: Way) -> tuple[ProbeSet, TargetLabels | None]:
  images, labels = question.images, question.labels
  if images is None and isinstance(labels, str | os.PathLike):
    if os.fspath(labels).endswith('.csv') and os.path.isfile(labels):
      images = os.path.dirname(os.path.abspath(labels))
  if images is None:
    raise ValueError('There are `labels`, but no `images` that they belong to.')
  size = pipeline.probe_size(question.bank, way.image_size)
  reading = labelled.Reading(
    way.num_images, size, way.seed, way.label_kind, way.track
  )
  return labelled.read(images, labels, reading)


def _mixed(
  probe: ProbeSet, labels: TargetLabels | None, seed: int
) -> tuple[ProbeSet, TargetLabels | None]:
  """Returns the images in random order, so that the first few are as all are.

  Of classes, each comes as early as the others.
  """
  order = np.random.default_rng([seed, 5]).permutation(len(probe))
  if labels is not None and labels.strata is not None:
    turn = np.empty(len(order))
    for label in np.unique(labels.strata):
      rows = labels.strata[order] == label
      turn[rows] = np.arange(rows.sum())
    order = order[np.argsort(turn, kind='stable')]
  mixed = dataclasses.replace(
    probe,
    images=probe.images[order],
    ids=tuple(probe.ids[i] for i in order),
    digests=tuple(probe.digests[i] for i in order),
  )
  return mixed, None if labels is None else labels.at(order)


def _samples(
  bank: Bank, probe: ProbeSet, way: Way
) -> source_samples.SourceSamples | None:
  """Returns what the candidates were trained on, if that is known."""
  if not source_samples.has_samples(bank):
    return None
  size = probe.images.shape[1:3]
  return source_samples.render(bank, way.num_source, size, way.track)


def _look(
  bank: Bank,
  candidates: Sequence[Encoder],
  probe: ProbeSet,
  way: Way,
  samples: source_samples.SourceSamples | None = None,
) -> tuple[dict[str, LookedAt], dict[str, str], dict[str, np.ndarray]]:
  """Returns what was seen of each candidate, and why others failed.

  Last, their features of the images that they were trained on, if given.
  """
  seen, faults, of_source = {}, {}, {}
  source = None if samples is None else samples.images
  sought = executing.Sought(probe.images, source, way.looking)
  for encoder, found in executing.sights(
    candidates, bank.networks, sought, way.where, way.track
  ):
    if isinstance(found, ValueError):
      faults[encoder.name] = ' '.join(str(found).split())
      logging.warning('Left out: %s', faults[encoder.name])
      continue
    seen[encoder.name], trained = found
    if trained is not None:
      of_source[encoder.name] = trained
  return seen, faults, of_source


def _train(
  decided: decision.Decision,
  looked: Mapping[str, LookedAt],
  labels: TargetLabels,
  way: Way,
) -> dict[str, float]:
  able = [row.name for row in decided.rows if not row.is_untrained]
  chosen = {name: looked[name].features for name in able[: way.train]}
  return training.train(chosen, labels, way.seed) if chosen else {}


def _warnings(
  decided: decision.Decision, found: CandidateEvidence, probe: ProbeSet
) -> tuple[str, ...]:
  said = []
  if found.num_images < decision.FEW_IMAGES:
    said.append(
      f'{found.num_images} images are few; '
      + (
        'no intervals are given, and '
        if found.num_images < evidence_lib.FEWEST_DRAWN
        else ''
      )
      + 'a few hundred would tell more.'
    )
  if probe.skipped:
    said.append(f'{len(probe.skipped)} images could not be read.')
  for row in decided.rows:
    said += [note if note[-1] in '.?' else f'{note}.' for note in row.notes]
  return tuple(said)
