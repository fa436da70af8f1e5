"""Networks to choose from, as a person names them.

`keras:MobileNetV2` is a network of tf.keras.applications (with ImageNet
weights; `keras:MobileNetV2:random` without), `timm:resnet18` one of timm, and
so on for every module of `sources`; anything else is a file or folder of any
format. What is not said is looked up: T in the framework's own metadata, the
representation in the graph.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import re

import frozen_graphs
from frozen_graphs.errors import GraphError
from taskonomy_models import metadata
from taskonomy_models import proposal as proposals
from taskonomy_models.bank import Bank, check_name
from taskonomy_models.encoder import Encoder
from taskonomy_models.prediction import with_prediction
from taskonomy_models.sources import registry as sources


@dataclasses.dataclass(frozen=True)
class Shelf:
  """Candidates, and those that could not be had.

  Attributes:
    bank: The candidates.
    faults: Of the others, by name, why not.
  """

  bank: Bank
  faults: Mapping[str, str]


def name_of(source: object) -> str:
  """Returns a name that an encoder may have, of what a network is made from."""
  if isinstance(source, str | os.PathLike):
    text = os.fspath(source)
    if sources.is_named(text):
      text = sources.name_of(text)
    else:
      text = re.split(r'[/\\]', text.rstrip('/\\'))[-1].partition('.')[0]
  else:
    text = getattr(source, 'name', None) or 'network'
  return re.sub(r'[^A-Za-z0-9_.+=@-]', '_', text).lstrip('.+=@-') or 'network'


def shelf(
  sources: Sequence[str],
  preprocessing: Mapping[str, str] | None = None,
  representation: Mapping[str, str] | None = None,
  prediction: Mapping[str, str] | None = None,
) -> Shelf:
  """Returns the networks that are named; one that fails does not stop others.

  Args:
    sources: Names and paths, see above.
    preprocessing: T of networks, by name, where it is not to be looked up.
    representation: Tensors of networks, by name.
    prediction: Tensors of what networks predict, by name.

  Raises:
    ValueError: If two have one name, or something is said of a network that is
      not there.
  """
  names = [name_of(source) for source in sources]
  if repeated := sorted({n for n in names if names.count(n) > 1}):
    raise ValueError(
      f'Two candidates would be called {repeated[0]!r}; rename one of the '
      'files.'
    )
  given = {
    'preprocessing': preprocessing,
    'representation': representation,
    'prediction': prediction,
  }
  for what, by_name in given.items():
    if unknown := sorted(set(by_name or ()) - set(names)):
      raise ValueError(
        f'`{what}` names {unknown[0]!r}, but the candidates are '
        f'{", ".join(names)}.'
      )
  found, faults = [], {}
  for name, source in zip(names, sources, strict=True):
    options = {
      what: (by_name or {}).get(name) for what, by_name in given.items()
    }
    try:
      found.append(candidate(source, name=name, **options))
    except (ValueError, OSError) as error:
      faults[name] = ' '.join(str(error).split())
  return Shelf(Bank('candidates', tuple(found)), faults)


def candidate(
  source: object,
  *,
  name: str | None = None,
  preprocessing: str | None = None,
  representation: str | None = None,
  prediction: str | None = None,
) -> Encoder:
  """Returns a network, nothing of which is run.

  Args:
    source: A name or a path, see above, or a model in memory.
    name: Of the encoder; default: what the source is called.
    preprocessing: T; default: what the framework says of it.
    representation: A tensor; default: the likeliest.
    prediction: What it predicts, a tensor; default: the graph ends before that.

  Raises:
    ValueError: If nothing says what T is, or the network cannot be read.
    OSError: If a file cannot be read.
  """
  name = name or name_of(source)
  check_name(name)
  described = sources.describe(
    source, preprocessing=preprocessing, representation=representation
  )
  source, representation = described.network, described.representation
  network = frozen_graphs.load(
    source, name=name, representation=representation, **described.options
  )
  described = described_of(
    source, network, described.preprocessing, representation
  )
  cut = network.at(described.representation, described.input)
  encoder = Encoder(
    name=name,
    graph=cut.subgraph.graph_def(),
    input_tensor=cut.subgraph.input_tensor,
    representation_tensor=cut.subgraph.representation_tensor,
    preprocessing=described.preprocessing,
    label=name,
  )
  return with_prediction(encoder, cut, prediction) if prediction else encoder


def described_of(
  source: object,
  network: frozen_graphs.Network,
  preprocessing: str | None,
  representation: str | None,
  input: str | None = None,
) -> proposals.Glance:
  """Returns input, representation and T; those not given are looked up.

  Raises:
    GraphError: If nothing says what T is, or the graph what the others are.
  """
  preprocessing = preprocessing or metadata.of(source)
  representation = representation or network.frozen.representation or None
  try:
    glance = proposals.glance(
      network, input=input, representation=representation
    )
  except GraphError:
    if not (preprocessing and representation):
      raise
    glance = proposals.Glance(network.input_tensor, representation, '', '')
  text = preprocessing or (glance.range_reason and glance.preprocessing)
  if not text:
    raise GraphError(
      f'{network.name}: the preprocessing is not given, and nothing says which '
      'values the network was trained on. Say it (`preprocessing` of '
      f'{network.name!r}), for example "{glance.preprocessing}" if values from '
      '0 to 1 are right; a wrong range fails silently.'
    )
  return dataclasses.replace(glance, preprocessing=text)
