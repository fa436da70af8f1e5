"""Reads the pickles of PyTorch's files as data: nothing in them can be run.

Python's unpickler imports and calls what a file names. The one here is it,
left with the opcodes that `torch.save` writes for tensors and plain containers.
A name in the file is looked up in the tables of `torch_records`; it is never
imported, so that there is nothing to be called.
"""

from collections.abc import Callable
import pickle
import pickletools
from typing import Any, BinaryIO

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import records as torch_records

_MAX_READS = 10_000_000  # An opcode takes one or two.
_MAX_LINE = 4096

# Those that Python's unpickler interprets; four more are interpreted below.
_OPCODES = frozenset({
  'PROTO', 'FRAME', 'STOP', 'MARK', 'GLOBAL', 'STACK_GLOBAL', 'BINPERSID',
  'BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT',
  'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES',
  'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8',
  'NONE', 'NEWTRUE', 'NEWFALSE', 'EMPTY_TUPLE', 'EMPTY_LIST', 'EMPTY_DICT',
  'TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'APPEND', 'APPENDS',
  'MEMOIZE', 'BINPUT', 'LONG_BINPUT', 'BINGET', 'LONG_BINGET',
})  # fmt: skip


class _Dispatch(dict[int, Callable]):
  """What interprets each opcode."""

  def __missing__(self, code: int) -> None:
    opcode = pickletools.code2op.get(chr(code))
    raise GraphError(
      f'it uses the pickle opcode {opcode.name if opcode else code}, which '
      'torch.save never writes for tensors; nothing of it was executed.'
    )


# The one that is written in Python: that in C does not let opcodes be chosen.
class _Unpickler(pickle._Unpickler):
  dispatch = _Dispatch({
    ord(opcode.code): pickle._Unpickler.dispatch[ord(opcode.code)]
    for opcode in pickletools.opcodes
    if opcode.name in _OPCODES
  })  # fmt: skip

  def __init__(self, file: '_Bounded'):
    super().__init__(file, encoding='latin-1')
    self.storages: dict[str, torch_records.Storage] = {}

  def find_class(self, module: str, name: str) -> torch_records.Name:
    text = f'{module} {name}'
    if text not in {*torch_records.CALLS, *torch_records.STORAGE_NAMES}:
      raise GraphError(
        f'it asks for {text.replace(" ", ".")!r}, which is no part of a '
        'tensor or a plain container; it is refused, and nothing of the file '
        f'was executed. {torch_records.SAVE_WEIGHTS}'
      )
    return torch_records.Name(text)

  def persistent_load(self, identity: Any) -> torch_records.Storage:
    storage = torch_records.storage_of(identity)
    self.storages.setdefault(storage.key, storage)
    return storage

  def _reduce(self) -> None:
    arguments, name = self.stack.pop(), self.stack.pop()
    if (
      type(name) is not torch_records.Name
      or name.text not in torch_records.CALLS
      or type(arguments) is not tuple
    ):
      raise GraphError('it calls something that cannot be called.')
    self.append(torch_records.CALLS[name.text](*arguments))

  def _build(self) -> None:
    """Drops the attributes of a dictionary, such as versions of modules."""
    self.stack.pop()
    if type(self.stack[-1]) not in (dict, torch_records.Ignored):
      raise GraphError('it sets attributes of what has none.')

  def _set_item(self) -> None:
    value, key = self.stack.pop(), self.stack.pop()
    torch_records.set_item(self.stack[-1], key, value)

  def _set_items(self) -> None:
    items = self.pop_mark()
    for key, value in zip(items[::2], items[1::2], strict=True):
      torch_records.set_item(self.stack[-1], key, value)

  dispatch[pickle.REDUCE[0]] = _reduce
  dispatch[pickle.BUILD[0]] = _build
  dispatch[pickle.SETITEM[0]] = _set_item
  dispatch[pickle.SETITEMS[0]] = _set_items


class _Bounded:
  """A file that is not read beyond an end, nor in more steps than allowed."""

  def __init__(self, file: BinaryIO, end: int):
    self._file, self._end = file, end
    self._reads = 0

  def read(self, size: int) -> bytes:
    self._reads += 1
    if self._reads > _MAX_READS:
      raise GraphError(f'its pickle takes more than {_MAX_READS} reads.')
    if size > self._end - self._file.tell():
      raise EOFError
    return self._file.read(size)

  def readline(self) -> bytes:
    line = self._file.readline(_MAX_LINE)
    if not line.endswith(b'\n'):
      raise EOFError
    return line


def read(
  file: BinaryIO, end: int
) -> tuple[Any, dict[str, torch_records.Storage]]:
  """Reads the pickle at a file's position.

  Args:
    file: Is left behind the pickle.
    end: Position that the pickle does not go beyond.

  Returns:
    What it describes: plain containers, texts and numbers, `TensorView` and
    `Ignored`. And its storages by key; of those with one key, the first.

  Raises:
    GraphError: If it is damaged, or asks for anything else; the message does
      not name the file.
  """
  unpickler = _Unpickler(_Bounded(file, end))
  try:
    return unpickler.load(), unpickler.storages
  except GraphError:
    raise
  except (
    AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, pickle.UnpicklingError,
  ) as error:  # fmt: skip
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise GraphError(f'its pickle is damaged or cut off ({reason}).') from error
