"""What is done with networks and images."""

from collections.abc import Iterable, Sequence
import contextlib
import os
import tempfile
from typing import Any

from attribution.explainer import Explainer
from attribution.probes import Probes
from attribution_transfer import inputs
from attribution_transfer.results import Comparison, Maps, Placement, Ranking
from experiments import (
  bad_models,
  evaluation,
  insertion,
  pipeline,
  run_record,
  similarities,
)
from probe_data.probe_sets import ProbeSet
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder
from toolkit_basics import claims
from transferability import resampling

_METHODS = ('elrp',)


def _listed(methods: str | Iterable) -> list:
  """Returns methods as a list, one or more."""
  if isinstance(methods, str):
    return [methods]
  found = list(methods) if isinstance(methods, Iterable) else []
  if not found:
    raise ValueError(
      f'methods must be the name of a method or a list of names, not '
      f'{methods!r:.60}.'
    )
  return found


def _named(methods: str | Iterable[str]) -> list[str]:
  """Returns the names of methods, which must be names."""
  found = _listed(methods)
  for method in found:
    if not isinstance(method, str):
      raise ValueError(
        f'{method!r:.60} is no name of a method; give one or more, such as '
        "'elrp'."
      )
  return found


def explain(
  network: Encoder,
  images: inputs.Images,
  methods: str | Sequence[str] = _METHODS,
  *,
  num_images: int | None = None,
  batch_size: int = 32,
) -> Maps:
  """Returns the attribution maps of a network.

  Args:
    network: What `attribution_transfer.network` returns.
    images: See `attribution_transfer.images`.
    methods: Of 'saliency', 'gradient_times_input', 'elrp' and others that are
      registered, or methods themselves; all share one forward pass.
    num_images: How many images to draw from a source that has more; default:
      all of an array or a list, 200 of a folder or a probe set.
    batch_size: Images computed at once, at most.

  Returns:
    Maps, float32 [n, height, width, 3] in the coordinates of the images.

  Raises:
    ValueError: If the network cannot be explained, or an argument is wrong.
  """
  chosen = _listed(methods)
  inputs.check_numbers({'batch_size': batch_size}, batch_size=1)
  bank = inputs.bank([network])
  if num_images is None:
    inputs.check_images(images)
    num_images = 200
    if not isinstance(images, str | os.PathLike):
      num_images = max(1, len(images))
  probe = inputs.images(images, num_images=num_images, bank=bank)
  with Explainer(
    network.load(),
    preprocessing=network.preprocessing,
    methods=chosen,
    batch_size=min(batch_size, len(probe)),  # A batch is always full.
  ) as explainer:
    found = explainer.explain(probe.images)
  return Maps(network.name, probe.ids, probe.images, dict(found.maps))


def _evaluated(
  bank: Bank,
  probe: ProbeSet,
  projection: pipeline.Projection,
  measures: tuple[list[str], list[str]],
  folder: str,
  log: bad_models.Log,
) -> evaluation.Evaluation:
  """Projects a bank into a folder and compares its good networks."""
  maps, others = measures
  if log.skips:
    bank = bad_models.checked(bank, projection, probe.images.shape[1:], log)
  observer = log if log.skips else None
  spaces = pipeline.project(bank, probe, projection, folder, observer=observer)
  bank = log.without(bank)
  images_say = similarities.image_scores(others, bank.names, spaces)
  kept: dict[str, Any] = dict.fromkeys(bank.names)
  if projection.keep_representations:
    kept = similarities.load(folder, bank.names, spaces)
  return evaluation.evaluate(
    bank,
    {name: spaces[name] for name in maps},
    similarities=similarities.matrices(others, kept, spaces, images_say),
    resampled={
      name: resampling.ImageMeans(v) for name, v in images_say.items()
    },
  )


def compare(
  bank: Bank | Sequence[Encoder],
  images: inputs.Images = 'scenes',
  methods: str | Sequence[str] = _METHODS,
  *,
  num_images: int = 200,
  batch_size: int = 50,
  output: str | os.PathLike | None = None,
  on_bad_model: str = bad_models.ERROR,
) -> Comparison:
  """Returns how much the networks of a bank look at the same things.

  Args:
    bank: Two networks or more.
    images: See `attribution_transfer.images`.
    methods: Attribution methods, or other measures that need no labels, such
      as `attribution_span`, `decodability` or `svcca`; a matrix for each. Those
      with a direction have targets as rows and sources as columns.
    num_images: How many images to draw from a source that has more.
    batch_size: Images computed at once, at most.
    output: A folder that keeps the model spaces: what is there already is not
      computed again. Default: nothing is kept.
    on_bad_model: What to do if a network cannot be explained: `error`, or
      `skip`, which leaves it out; the result's `left_out` says why.

  Raises:
    ValueError: If a network cannot be explained, in a message that names it, or
      an argument is wrong.
  """
  chosen = _named(methods)
  inputs.check_numbers({'batch_size': batch_size}, batch_size=1)
  log = bad_models.Log(on_bad_model)
  bank = inputs.bank(bank)
  probe = inputs.images(images, num_images=num_images, bank=bank)
  others = [name for name in chosen if name in similarities.names()]
  maps = [name for name in chosen if name not in others]
  similarities.check(others, maps)
  projection = pipeline.Projection(
    # Without a method, the gradient stands for the images that are in use.
    pipeline.method_objects(maps or ['gradient']),
    batch_size=min(batch_size, len(probe)),  # A batch is always full.
    keep_representations=similarities.takes(others, 'representations'),
    probes=Probes() if similarities.takes(others, 'probes') else None,
  )
  with contextlib.ExitStack() as stack:
    if output is None:
      output = stack.enter_context(tempfile.TemporaryDirectory())
    folder = inputs.folder(output, 'output')
    stack.enter_context(claims.folder(folder))
    found = _evaluated(bank, probe, projection, (maps, others), folder, log)
  return Comparison(log.without(bank), found, log.reasons)


def rank(
  target: str,
  bank: Bank | Sequence[Encoder],
  images: inputs.Images = 'scenes',
  method: str = 'elrp',
  **options,
) -> Ranking:
  """Returns the other networks as sources for a target, the best first.

  Args:
    target: Name of the network of the target task, one of the bank.
    bank: Two networks or more.
    images: See `attribution_transfer.images`.
    method: An attribution method, or another measure of `compare`.
    **options: Of `compare`.

  Raises:
    ValueError: If there is no such network, or one cannot be explained.
  """
  bank = inputs.bank(bank)
  if target not in bank.names:  # An error now, not behind the work.
    raise ValueError(f'No network {target!r}; there are {list(bank.names)}.')
  return compare(bank, images, [method], **options).rank(target, method)


def insert(
  run: str | os.PathLike,
  network: Encoder,
  images: inputs.Images | None = None,
  *,
  batch_size: int | None = None,
) -> Placement:
  """Places one more network among those of a run; the others stay.

  Args:
    run: The folder of a run, or of `compare`'s output.
    network: What `attribution_transfer.network` returns.
    images: Those of the run, where they were an array or a list, of which it
      keeps no copy; default: what the run says of them.
    batch_size: Images computed at once, at most; default: as for the others.

  Raises:
    ValueError: If the network does not fit the run's model spaces, or the
      images are others or are not known.
    FileNotFoundError: If there is no model space.
  """
  folder = inputs.folder(run, 'run')
  if batch_size is not None:
    inputs.check_numbers({'batch_size': batch_size}, batch_size=1)
  probe = None
  if images is not None:
    inputs.check_images(images)
    probe = {'probe': images}
  with claims.folder(run_record.folder_of(folder) or folder):
    spaces = insertion.insert(
      folder, inputs.checked(network), probe, batch_size
    )
  placements = {
    name: insertion.placement(space, network.name)
    for name, space in spaces.items()
  }
  return Placement(network.name, placements)
