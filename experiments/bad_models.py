"""Networks of a bank that fail: they stop a command, or are left out and named.

Whatever is wrong with one network, from a file that is not there to an error of
TensorFlow or a lack of memory, is said of it by name; with
`on_bad_model=skip` the others go on without it.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses

from absl import logging
import numpy as np

from attribution.explainer import Explainer
from attribution.methods import AttributionMethod
from attribution.preprocessing import Preprocessing
from experiments import network_errors, pipeline
from taskonomy_models import bank as banks
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder

ERROR, SKIP = ON_BAD_MODEL = ('error', 'skip')
EXIT_CODE = 3  # Of a command that did its work without some networks.
_SHOWN = 300  # Characters of a reason that is printed.


class Log(pipeline.Observer):
  """Which networks were left out, and why.

  Attributes:
    skips: Whether they may be left out.
    reasons: By name.

  Raises:
    ValueError: If `on_bad_model` is neither `error` nor `skip`.
  """

  def __init__(self, on_bad_model: str = ERROR):
    if on_bad_model not in ON_BAD_MODEL:
      raise ValueError(
        f'No `on_bad_model` {on_bad_model!r}; choose from {ON_BAD_MODEL}.'
      )
    self.skips = on_bad_model == SKIP
    self.reasons: dict[str, str] = {}

  def add(self, reasons: Mapping[str, str]) -> None:
    for reason in reasons.values():
      logging.warning('Left out: %s', reason)
    self.reasons.update(reasons)

  def failed(self, encoder: Encoder, error: ValueError) -> None:
    if not self.skips:
      raise ValueError(
        f'{error} (`resume` with `on_bad_model={SKIP}` goes on without the '
        'network.)'
      ) from error
    self.add({encoder.name: str(error)})

  def without(self, bank: Bank, least: int = 2) -> Bank:
    """Returns a bank without those that were left out.

    Raises:
      ValueError: If too few are left; the message says what is wrong with all.
    """
    kept = tuple(e for e in bank.encoders if e.name not in self.reasons)
    if self.reasons and len(kept) < least:
      raise ValueError(
        f'{len(kept)} of {len(bank.encoders)} networks of the bank '
        f'{bank.name!r} can be used; {least} or more are needed. '
        f'{" ".join(self.reasons.values())}'
      )
    return dataclasses.replace(bank, encoders=kept)


def report(reasons: Mapping[str, str] | None) -> int:
  """Prints which networks were left out, and returns the exit code."""
  for name, reason in (reasons or {}).items():
    reason = ' '.join(reason.split())
    if len(reason) > _SHOWN:
      reason = f'{reason[: _SHOWN - 4]} ...'
    print(f'Left out: {name} ({reason})')
  return EXIT_CODE if reasons else 0


def load(
  name_or_folder: str,
  log: Log,
  names: Collection[str] | None = None,
  least: int = 2,
) -> Bank:
  """Loads a bank; those that cannot be read may be left out.

  Args:
    name_or_folder: See `taskonomy_models.bank.load`.
    log: Says whether, and gets those that are left out.
    names: Only these networks, if not None; others are not looked at.
    least: How many must be left.
  """
  if not log.skips:
    return banks.load(name_or_folder, names=names)
  bank, reasons = banks.load(name_or_folder, False, names), {}
  for encoder in bank.encoders:
    try:
      with network_errors.computing(encoder.name):
        bank.network(encoder.name)
        Preprocessing.parse(encoder.preprocessing)
    except ValueError as error:
      reasons[encoder.name] = str(error)
  log.add(reasons)
  return log.without(bank, least)


def checked(
  bank: Bank,
  projection: pipeline.Projection,
  image_shape: tuple[int, int, int],
  log: Log,
) -> Bank:
  """Returns the networks that can be projected, as far as a look can tell.

  Raises:
    ValueError: If there are others, and they may not be left out.
  """
  refused = pipeline.refusals(bank, projection, image_shape)
  if refused and not log.skips:
    raise ValueError(
      f'{len(refused)} of {len(bank.encoders)} networks cannot be projected '
      f'({", ".join(refused)}). Pass `on_bad_model={SKIP}` to leave them out '
      f'of all methods, or other `methods`. {" ".join(refused.values())}'
    )
  log.add(refused)
  return log.without(bank)


def tried(
  bank: Bank,
  log: Log,
  methods: Sequence[str | AttributionMethod] = ('gradient',),
  batch_size: int = 1,
  least: int = 2,
) -> Bank:
  """Returns the networks that can explain a batch of noise.

  Args:
    bank: The networks.
    log: Gets those that cannot.
    methods: What must be possible with them.
    batch_size: Of the batch.
    least: How many must be left.
  """
  reasons = {}
  for encoder in bank.encoders:
    try:
      with network_errors.computing(encoder.name):
        _explain_noise(bank, encoder, methods, batch_size)
    except ValueError as error:
      reasons[encoder.name] = str(error)
  log.add(reasons)
  return log.without(bank, least)


def _explain_noise(bank: Bank, encoder: Encoder, methods, batch_size) -> None:
  alone = dataclasses.replace(bank, encoders=(encoder,))
  shape = (batch_size, *pipeline.probe_size(alone), 3)
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  with Explainer(
    bank.network(encoder.name),
    preprocessing=encoder.preprocessing,
    methods=list(methods),
    batch_size=batch_size,
  ) as explainer:
    explainer.explain(images)
    if len(images) > 1:
      explainer.refuse_mixing(images[:2])
