"""One registry for everything that is chosen by a name."""

from collections.abc import Callable, Iterator
import importlib
import pkgutil
from typing import Generic, TypeVar

T = TypeVar('T')


class Registry(Generic[T]):
  """Entries by name, in the order of registration.

  With a package, the modules in it are imported at the first look-up, so that
  an entry is added by adding the file that registers it.
  """

  def __init__(self, kind: str, package: str | None = None):
    """Makes an empty registry.

    Args:
      kind: What an entry is, for messages, such as 'attribution method'.
      package: Name of a package whose modules register entries when imported.
    """
    self._kind, self._package = kind, package
    self._entries: dict[str, T] = {}

  def register(self, name: str) -> Callable[[T], T]:
    """Returns a decorator, or function, that adds its argument as `name`.

    Raises:
      ValueError: If the name is taken by something else.
    """

    def add(entry: T) -> T:
      if self._entries.setdefault(name, entry) is not entry:
        raise ValueError(f'Two entries: {self._kind} {name!r}.')
      return entry

    return add

  def get(self, name: str) -> T:
    """Returns an entry.

    Raises:
      ValueError: If there is none of that name; the message lists them.
    """
    if name not in self._found():
      raise ValueError(
        f'No {self._kind} {name!r}; there are: {", ".join(self._entries)}.'
      )
    return self._entries[name]

  def names(self) -> tuple[str, ...]:
    return tuple(self._found())

  def items(self) -> tuple[tuple[str, T], ...]:
    return tuple(self._found().items())

  def __contains__(self, name: object) -> bool:
    return name in self._found()

  def __iter__(self) -> Iterator[str]:
    return iter(self.names())

  def __len__(self) -> int:
    return len(self._found())

  def _found(self) -> dict[str, T]:
    if self._package is not None:
      package, self._package = importlib.import_module(self._package), None
      for module in sorted(
        m.name for m in pkgutil.iter_modules(package.__path__)
      ):
        importlib.import_module(f'{package.__name__}.{module}')
    return self._entries
