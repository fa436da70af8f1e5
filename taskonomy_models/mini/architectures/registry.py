"""Architectures by name, and which of them a task of a mixed bank gets."""

from collections.abc import Callable

import tensorflow as tf

from taskonomy_models import tasks
from toolkit_basics.registry import Registry

# Channels of the input and its side, or None, to a model whose output is the
# representation [N, side, side, channels].
Build = Callable[[int, int | None], tf.keras.Model]

_PACKAGE = 'taskonomy_models.mini.architectures'
_ARCHITECTURES: Registry[Build] = Registry('architecture', _PACKAGE)
register = _ARCHITECTURES.register
get = _ARCHITECTURES.get
names = _ARCHITECTURES.names

DEFAULT = 'residual'
MIXED = 'mixed'
_ROTATION = ('residual', 'plain', 'inverted', 'transformer')


def check(name: str) -> None:
  """Raises ValueError if a name is neither an architecture nor MIXED."""
  if name != MIXED:
    get(name)


def assigned(name: str, task: str) -> str:
  """Returns the architecture of a task's network.

  In a mixed bank the tasks, sorted by group and in their canonical order within
  each, take the architectures in turn: five tasks each, and from a group of
  n tasks each takes n / 4, rounded up or down. Fixed before any such bank was
  trained.

  Args:
    name: An architecture, or MIXED.
    task: Name of the task.
  """
  if name != MIXED:
    return name
  order = sorted(tasks.TASKS, key=lambda each: tasks.GROUPS.index(each.group))
  number = [each.name for each in order].index(task)
  return _ROTATION[number % len(_ROTATION)]
