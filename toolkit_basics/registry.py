"""One registry for everything that is chosen by a name."""

from collections.abc import Callable, Iterator
import dataclasses
import importlib
import pkgutil
from typing import Any, Generic, TypeVar

from toolkit_basics import options as options_lib

T = TypeVar('T')


class Registry(Generic[T]):
  """Entries by name, in the order of registration.

  With a package, the modules in it are imported at the first look-up, so that
  an entry is added by adding the file that registers it.
  """

  def __init__(self, kind: str, package: str | None = None):
    """Makes an empty registry.

    An entry is a `kind`, such as 'attribution method', in messages. The modules
    of `package` register entries when they are imported.
    """
    self._kind, self._package = kind, package
    self._entries: dict[str, T] = {}

  def register(self, name: str) -> Callable[[T], T]:
    """Returns a decorator, or function, that adds its argument as `name`.

    Raises:
      ValueError: If the name is taken.
    """

    def add(entry: T) -> T:
      if name in self._entries:
        raise ValueError(f'The {self._kind} {name!r} is there already.')
      self._entries[name] = entry
      return entry

    return add

  def register_class(
    self, name: str, /, **attributes: Any
  ) -> Callable[[type], type]:
    """Returns a decorator of a class, which gets `name` and the attributes."""

    def add(cls: Any) -> Any:
      self.register(name)(cls)
      for key, value in {'name': name, **attributes}.items():
        setattr(cls, key, value)
      return cls

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

  def create(self, name: str, /, **options: Any) -> Any:
    """Returns an instance of an entry that is a dataclass.

    Args:
      name: Of the entry.
      **options: Its fields.

    Raises:
      ValueError: If there is no such entry, or it has no such option, or one
        is of another kind than its annotation says.
    """
    cls: Any = self.get(name)
    known = [field.name for field in dataclasses.fields(cls)]
    if unknown := sorted(set(options) - set(known)):
      raise ValueError(
        f'{name} has no option {", ".join(unknown)}; it has '
        f'{", ".join(known) or "none"}.'
      )
    options_lib.check(cls, options)
    return cls(**options)

  def names(self) -> tuple[str, ...]:
    """Returns all names, in the order of registration."""
    return tuple(self._found())

  def items(self) -> tuple[tuple[str, T], ...]:
    """Returns names and entries, in the order of registration."""
    return tuple(self._found().items())

  def __contains__(self, name: object) -> bool:
    return name in self._found()

  def __iter__(self) -> Iterator[str]:
    return iter(self.names())

  def __len__(self) -> int:
    return len(self._found())

  def _found(self) -> dict[str, T]:
    if self._package is not None:
      # Forgotten first: a module may look up others while it is imported.
      name, self._package = self._package, None
      try:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
          importlib.import_module(f'{name}.{module.name}')
      except BaseException:
        self._package = name  # What is missing is missed the next time too.
        raise
    return self._entries
