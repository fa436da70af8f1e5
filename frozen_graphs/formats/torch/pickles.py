"""Reads the pickles of PyTorch's files as data: nothing in them can be run.

Python's unpickler imports and calls what a file names. The machine here only
interprets the opcodes that `torch.save` writes for tensors and plain
containers. A name in the file is looked up in the tables of `torch_records`; it
is never imported, so that there is nothing to be called.
"""

from collections.abc import Callable, Mapping, Sequence
import pickletools
from typing import Any, BinaryIO

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import records as torch_records

_MAX_OPCODES = 5_000_000
_MAX_LINE = 4096

# Opcodes that put their argument, or a constant, onto the stack.
_LITERALS = frozenset({
  'BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT',
  'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES',
  'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8',
})  # fmt: skip
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
  'NONE': lambda: None,
  'NEWTRUE': lambda: True,
  'NEWFALSE': lambda: False,
  'EMPTY_TUPLE': tuple,
  'EMPTY_LIST': list,
  'EMPTY_DICT': dict,
}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_NO_EFFECT = frozenset({'PROTO', 'FRAME', 'STOP'})


class _Machine:
  """The stack, marks and memo of the pickle language; a method an opcode."""

  def __init__(self):
    self.stack: list[Any] = []
    self.storages: dict[str, torch_records.Storage] = {}
    self._marked: list[list[Any]] = []
    self._memo: dict[int, Any] = {}

  def run(self, opcode: str, argument: Any) -> None:
    """Interprets one opcode."""
    if opcode in _LITERALS:
      self.stack.append(argument)
    elif opcode in _CONSTANTS:
      self.stack.append(_CONSTANTS[opcode]())
    elif opcode in _TUPLES:
      self.stack.append(self._pop(_TUPLES[opcode]))
    elif method := getattr(self, f'_op_{opcode.lower()}', None):
      method(argument)
    elif opcode not in _NO_EFFECT:
      raise GraphError(
        f'it uses the pickle opcode {opcode}, which torch.save never writes '
        'for tensors; nothing of it was executed.'
      )

  def _pop(self, count: int) -> tuple[Any, ...]:
    """Takes some items from the stack, in the order they were put there."""
    return tuple(self.stack.pop() for _ in range(count))[::-1]

  def _since_mark(self) -> list[Any]:
    items, self.stack = self.stack, self._marked.pop()
    return items

  def _op_mark(self, _) -> None:
    self._marked.append(self.stack)
    self.stack = []

  def _op_memoize(self, _) -> None:
    self._memo[len(self._memo)] = self.stack[-1]

  def _op_binput(self, number) -> None:
    self._memo[number] = self.stack[-1]

  _op_long_binput = _op_binput

  def _op_binget(self, number) -> None:
    self.stack.append(self._memo[number])

  _op_long_binget = _op_binget

  def _op_tuple(self, _) -> None:
    items = self._since_mark()
    self.stack.append(tuple(items))

  def _op_append(self, _) -> None:
    self._extend(self._pop(1))

  def _op_appends(self, _) -> None:
    self._extend(self._since_mark())

  def _extend(self, items: Sequence[Any]) -> None:
    if type(self.stack[-1]) is not list:
      raise GraphError('it appends to what is no list.')
    self.stack[-1].extend(items)

  def _op_setitem(self, _) -> None:
    key, value = self._pop(2)
    torch_records.set_item(self.stack[-1], key, value)

  def _op_setitems(self, _) -> None:
    items = self._since_mark()
    for key, value in zip(items[::2], items[1::2], strict=True):
      torch_records.set_item(self.stack[-1], key, value)

  def _op_global(self, text: str) -> None:
    if text not in {*torch_records.CALLS, *torch_records.STORAGE_NAMES}:
      raise GraphError(
        f'it asks for {text.replace(" ", ".")!r}, which is no part of a '
        'tensor or a plain container; it is refused, and nothing of the file '
        f'was executed. {torch_records.SAVE_WEIGHTS}'
      )
    self.stack.append(torch_records.Name(text))

  def _op_stack_global(self, _) -> None:
    module, name = self._pop(2)
    if type(name) is not str or type(module) is not str:
      raise GraphError('it asks for a name that is no text.')
    self._op_global(f'{module} {name}')

  def _op_reduce(self, _) -> None:
    name, arguments = self._pop(2)
    if (
      type(name) is not torch_records.Name
      or name.text not in torch_records.CALLS
      or type(arguments) is not tuple
    ):
      raise GraphError('it calls something that cannot be called.')
    self.stack.append(torch_records.CALLS[name.text](*arguments))

  def _op_build(self, _) -> None:
    """Drops the attributes of a dictionary, such as versions of modules."""
    self.stack.pop()
    if type(self.stack[-1]) not in (dict, torch_records.Ignored):
      raise GraphError('it sets attributes of what has none.')

  def _op_binpersid(self, _) -> None:
    storage = torch_records.storage_of(self.stack.pop())
    self.storages.setdefault(storage.key, storage)
    self.stack.append(storage)


class _Bounded:
  """A file that does not make room for more bytes than there are."""

  def __init__(self, file: BinaryIO, end: int):
    self._file = file
    self._end = end

  def read(self, size: int) -> bytes:
    if size > self._end - self._file.tell():
      raise EOFError
    return self._file.read(size)

  def readline(self) -> bytes:
    return self._file.readline(_MAX_LINE)

  def tell(self) -> int:
    return self._file.tell()


def read(
  file: BinaryIO, end: int
) -> tuple[Any, dict[str, torch_records.Storage]]:
  """Reads the pickle at a file's position.

  Args:
    file: Is left behind the pickle.
    end: Position that the pickle does not go beyond.

  Returns:
    What it describes: plain containers, texts and numbers, `Tensor` and
    `Ignored`. And its storages by key; of those with one key, the first.

  Raises:
    GraphError: If it is damaged, or asks for anything else; the message does
      not name the file.
  """
  machine = _Machine()
  try:
    opcodes = pickletools.genops(_Bounded(file, end))
    for number, (opcode, argument, _) in enumerate(opcodes):
      if number >= _MAX_OPCODES:
        raise GraphError(f'its pickle has more than {_MAX_OPCODES} opcodes.')
      machine.run(opcode.name, argument)
    return machine.stack.pop(), machine.storages
  except GraphError:
    raise
  except (
    EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError,
  ) as error:  # fmt: skip
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise GraphError(f'its pickle is damaged or cut off ({reason}).') from error
