"""The registry of named sources: 'keras:MobileNetV2', 'timm:vit_tiny_...'.

Each module beside this is for one framework, and registers a function of a
`Asked` that returns a `Description`. Packages of frameworks are imported
inside of these functions.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import importlib
import os
import sys
import types
from typing import Any

from frozen_graphs import tensors
from frozen_graphs.errors import GraphError, brief
from frozen_graphs.formats.torch import surgery
from taskonomy_models import metadata
from toolkit_basics.registry import Registry

RANDOM = 'random'


@dataclasses.dataclass(frozen=True)
class Asked:
  """What is asked for.

  Attributes:
    name: Of the network, as its framework calls it.
    weights: Which ones, as the framework calls them; '' for its default, and
      'random' for none that were trained.
    checkpoint: Path of a file of weights, None if they are the framework's.
    representation: What the user wants of it, None if that is to be proposed.
    preprocessing: T as the user says, None if that is to be looked up.
  """

  name: str
  weights: str = ''
  checkpoint: str | None = None
  representation: str | None = None
  preprocessing: str | None = None

  @property
  def is_random(self) -> bool:
    """Whether the framework is to draw weights, not to fetch trained ones."""
    return self.weights == RANDOM or self.checkpoint is not None

  @property
  def tag(self) -> str:
    """Which weights T is of: those named, also where a file has them."""
    return '' if self.weights == RANDOM else self.weights


@dataclasses.dataclass(frozen=True)
class Description:
  """A network, and what its framework says of it.

  Attributes:
    network: What `frozen_graphs.load` takes.
    preprocessing: T; None if nothing says what it is.
    representation: Its name in the network; None if nothing says what it is.
    options: Of `frozen_graphs.load`.
  """

  network: Any
  preprocessing: str | None = None
  representation: str | None = None
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_SOURCES: Registry[Callable[[Asked], Description]] = Registry(
  'source', __package__
)
register = _SOURCES.register
names = _SOURCES.names


def is_named(source: object) -> bool:
  """Returns whether something is a name of a framework's network."""
  if not isinstance(source, str):
    return False
  kind, colon, name = source.partition(':')
  return bool(colon and name) and kind.lower() in _SOURCES


def describe(
  source: Any,
  *,
  representation: str | None = None,
  preprocessing: str | None = None,
  pretrained: bool | None = None,
  checkpoint: str | None = None,
) -> Description:
  """Returns a network, and what is known of it.

  Args:
    source: 'KIND:NAME' or 'KIND:NAME:WEIGHTS' of a framework; or anything else,
      which is returned as it is.
    representation: As the user says.
    preprocessing: As the user says.
    pretrained: False for random weights, as 'KIND:NAME:random'.
    checkpoint: Path of a file of weights for a network of that name.

  Raises:
    ValueError: If there is no such network, or no such weights.
    OSError: If its weights cannot be had.
  """
  if not is_named(source):
    if pretrained is not None or checkpoint is not None:
      raise GraphError(
        '`pretrained` and `checkpoint` are about networks that are named, as '
        f'{", ".join(f"{kind}:NAME" for kind in _SOURCES)}; '
        f'{str(source)!r:.60} has its own weights.'
      )
    if not isinstance(source, str | os.PathLike):
      preprocessing = preprocessing or metadata.of(source)
    return Description(source, preprocessing, representation)
  kind, _, rest = source.partition(':')
  name, _, weights = rest.partition(':')
  if pretrained is False:
    weights = RANDOM
  request = Asked(name, weights, checkpoint, representation, preprocessing)
  found = _SOURCES.get(kind.lower())(request)
  return dataclasses.replace(
    found,
    preprocessing=preprocessing or found.preprocessing,
    representation=found.representation,
  )


def name_of(source: str) -> str:
  """Returns what a network is called, without its framework.

  A folder is called what it is itself, wherever it lies.
  """
  name, _, weights = source.partition(':')[2].partition(':')
  if os.path.isdir(name):
    name = os.path.basename(os.path.abspath(name))
  return '_'.join(filter(None, (name, *weights.split(':'))))


def require(package: str, install: str | None = None) -> types.ModuleType:
  """Returns the package of a framework of PyTorch.

  Raises:
    GraphError: If it is not installed, or PyTorch is not.
  """
  surgery.require()
  try:
    return importlib.import_module(package)
  except ImportError as error:
    raise GraphError(
      f'Its networks need the package {package}: pip install '
      f'{install or package} (this Python is {sys.executable}).'
    ) from error


def unknown(package: str, name: str, known: Sequence[str]) -> GraphError:
  """Returns the refusal of a name that a package does not have.

  Args:
    package: Whose names they are.
    name: What was asked for.
    known: All that it has.
  """
  like = tensors.alike(name, known) or known[:5]
  return GraphError(
    f'{package} has no network {name!r}; there are, among others, '
    f'{", ".join(like)}.'
  )


def untrained(name: str) -> GraphError:
  """Returns the refusal of a network for which there are no trained weights."""
  return GraphError(
    f'{name} has no trained weights; give some of your own '
    '(`checkpoint=FILE`), or take random ones (`pretrained=False`).'
  )


def unmade(name: str, error: BaseException) -> GraphError:
  """Returns the refusal of a network that its framework cannot make."""
  reason = brief(error, 200).rstrip('. ')
  return GraphError(
    f'{name} cannot be made by its framework ({type(error).__name__}: '
    f'{reason}). If it can be made with other arguments, do so in Python, and '
    'give the module (`attribution_transfer.network`).'
  )


_OTHER_WEIGHTS = (
  'a file (`checkpoint=FILE`), or random weights (`pretrained=False`)'
)


def unreachable(
  what: str, error: BaseException, otherwise: str = _OTHER_WEIGHTS
) -> OSError:
  """Returns the error that says that something cannot be fetched.

  Args:
    what: As 'The weights of resnet18'.
    error: Of who fetches it.
    otherwise: What can be used in its place.
  """
  reason = brief(error, 200).rstrip('. ')
  return OSError(
    f'{what} cannot be had ({type(error).__name__}: {reason}). Without a '
    'network connection only what its framework has in its cache can be used, '
    f'or {otherwise}.'
  )
