"""What all commands share: flags of their own, and one line for an error.

A command is a module with `FLAGS = Flags()`, its flags, and a function `main`;
what `--help` shows is the module's docstring and the flags. No flag is defined
outside of a command's `FLAGS`, so that any number of commands can be imported
in one process.

Importing this module is the start of a command: see `startup`. So commands
import it first, and libraries do not.
"""

# ruff: noqa: E402 - an interrupt may come while the rest is imported.

from toolkit_basics import startup

startup.begin()

import builtins
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import BrokenExecutor
import contextlib
import inspect
import math
import os
import re
import select
import signal
import sys
import textwrap
from typing import Any, NoReturn

from absl import flags as absl_flags
from absl import logging

from toolkit_basics import claims, texts

Flag = absl_flags.FlagHolder
_Names = Flag[list[str]]
_OF_EVERY_COMMAND = 'debug'
_MOST_SHOWN = 60  # Characters of an argument that is wrong.
# A library's word for one of its arguments, with a value or without.
_ARGUMENT = re.compile(r'`(\w+)(?:=([^`]*))?`')


class _Wrapper(textwrap.TextWrapper):
  """Breaks lines between words and behind the commas of lists, nowhere else."""

  wordsep_simple_re = re.compile(r'(\s+|(?<=\w,)(?=[a-z]))')


def _wrapped(text: str) -> str:
  """Returns the help of a flag in lines that fit the terminal."""
  indent = ' ' * 6
  return _Wrapper(
    width=absl_flags.get_help_width(),
    initial_indent=indent,
    subsequent_indent=indent,
    break_long_words=False,
    break_on_hyphens=False,
  ).fill(text)


class _Path(absl_flags.ArgumentParser):
  def parse(self, argument: str) -> str:
    if not argument:
      raise ValueError("give a path, as '.', or leave the flag out")
    return os.path.expanduser(argument)


class _List(absl_flags.ListParser):
  """Takes an empty list for a mistake, such as a variable without a value."""

  def __init__(self, may_be_empty: bool = False):
    super().__init__()
    self._may_be_empty = may_be_empty

  def parse(self, argument: str | list[str]) -> list[str]:
    items = super().parse(argument)
    if not (items or self._may_be_empty):
      raise ValueError('give one or more, or leave the flag out')
    if '' in items:
      raise ValueError('one of them is empty')
    return items


class _Paths(_List):
  def parse(self, argument: str | list[str]) -> list[str]:
    return [os.path.expanduser(path) for path in super().parse(argument)]


class _SomeOf(absl_flags.ListParser):
  def __init__(self, choices: tuple[str, ...], may_be_empty: bool):
    super().__init__()
    self._choices, self._may_be_empty = choices, may_be_empty

  def parse(self, argument: str | list[str]) -> list[str]:
    names = super().parse(argument)
    if set(names) - set(self._choices) or not (names or self._may_be_empty):
      raise ValueError(f'choose from {", ".join(self._choices)}')
    if len(set(names)) < len(names):
      raise ValueError('give each once')
    return names


def _in_our_words(
  parse: Callable[[Any], Any], argument: Any, fault: str
) -> Any:
  """Returns what an argument means; of a wrong one, says what is wrong."""
  try:
    return parse(argument)
  except (ValueError, OverflowError):
    shown = texts.one_line(str(argument), _MOST_SHOWN)
    raise ValueError(f'{shown!r} {fault}') from None


class _Integer(absl_flags.IntegerParser):
  def convert(self, argument: Any) -> int:
    return _in_our_words(super().convert, argument, 'is no whole number')


class _Float(absl_flags.FloatParser):
  def convert(self, argument: Any) -> float:
    value = _in_our_words(super().convert, argument, 'is no number')
    if not math.isfinite(value):
      raise ValueError(f'{argument!r} is no finite number')
    return value


class _Bool(absl_flags.BooleanParser):
  def parse(self, argument: Any) -> bool:
    return _in_our_words(super().parse, argument, 'is neither true nor false')


class _Integers(_List):
  def __init__(self, **bounds: Any):
    super().__init__()
    self._parser = _Integer(**bounds)

  def parse(self, argument: str | list) -> list:
    return [self._parser.parse(each) for each in super().parse(argument)]


class Flags:
  """The flags of one command.

  `bool`, `integer` and so on define a flag: its name, a sentence that says what
  it means, and its default.
  """

  def __init__(self):
    self._values = absl_flags.FlagValues()
    self._required: list[str] = []
    self._claims: list[Callable[[], str | None]] = []
    self.spell_commands: Callable[[str], str] = str
    self.bool(_OF_EVERY_COMMAND, 'Show where in the code an error came from.')

  def _add(self, parser, name: str, help: str, default: Any) -> Flag:
    default = [*default] if isinstance(default, tuple) else default
    return absl_flags.DEFINE(parser, name, default, help, self._values)

  def bool(self, name: str, help: str, default: bool = False) -> Flag[bool]:
    flag = absl_flags.DEFINE_bool(name, default, help, self._values)
    self._values[name].parser = _Bool()
    return flag

  def integer(self, name, help, default=None, **bounds) -> Flag[int]:
    return self._add(_Integer(**bounds), name, help, default)

  def integers(
    self, name, help, default=None, **bounds
  ) -> Flag[builtins.list[int]]:
    """A flag that is a list of whole numbers."""
    return self._add(_Integers(**bounds), name, help, default)

  def float(self, name, help, default=None, **bounds) -> Flag[builtins.float]:
    return self._add(_Float(**bounds), name, help, default)

  def string(self, name, help, default=None) -> Flag[str]:
    return self._add(absl_flags.ArgumentParser(), name, help, default)

  def strings(self, name: str, help: str) -> _Names:
    """A flag that may be given several times."""
    flag = absl_flags.DEFINE_multi_string(name, [], '', self._values)
    self._values[name].help = help
    return flag

  def list(self, name, help, default=None, may_be_empty=False) -> _Names:
    return self._add(_List(may_be_empty), name, help, default)

  def enum(self, name, help, choices, default=None) -> Flag[str]:
    help = f'{help} There are: {", ".join(choices)}.'
    return self._add(absl_flags.EnumParser(choices), name, help, default)

  def some_of(
    self, name, help, choices, default=(), may_be_empty=False
  ) -> _Names:
    """A flag that is a list of some of the choices."""
    help = f'{help} There are: {", ".join(choices)}.'
    parser = _SomeOf(tuple(choices), may_be_empty)
    return self._add(parser, name, help, default)

  def path(self, name, help, default=None) -> Flag[str]:
    """A flag that is a file or folder, in which ~ is the user's home."""
    return self._add(_Path(), name, help, default)

  def paths(self, name, help, default=None) -> _Names:
    return self._add(_Paths(), name, help, default)

  def require(self, *flags: Flag) -> None:
    """Says which flags, without a default, the command must be given."""
    self._required += [flag.name for flag in flags]

  def claim(self, folder: Callable[[], str | None]) -> None:
    """Says which folder is the command's alone while it runs.

    Args:
      folder: Returns it, when flags have their values; None if there is none.
    """
    self._claims.append(folder)

  def claimed(self) -> builtins.list[str]:
    """Returns the folders that are the command's alone."""
    return [path for claim in self._claims if (path := claim())]

  def __contains__(self, name: object) -> builtins.bool:
    return name in self._values

  def names(self) -> tuple[str, ...]:
    """Returns the names of the command's own flags, as they were defined."""
    return tuple(name for name in self._values if name != _OF_EVERY_COMMAND)

  def values(self, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Returns the values of the command's own flags by name."""
    names = [name for name in self.names() if name not in leave_out]
    return {name: self._values[name].value for name in names}

  @property
  def debug(self) -> builtins.bool:
    return self._values[_OF_EVERY_COMMAND].value

  def parse(self, arguments: Sequence[str]) -> Sequence[str]:
    """Sets the flags; those that are not given get their defaults.

    Returns:
      The arguments that are no flags.

    Raises:
      ValueError: If a flag is wrong.
    """
    for name in self._values:
      self._values[name].unparse()
    try:
      _, *others = self._values(['', *arguments])
    except absl_flags.Error as error:
      raise ValueError(str(error)) from error
    return others

  def check_required(self) -> None:
    """Raises ValueError if a flag is missing that the command must be given."""
    values = self.values()
    missing = [f'--{name}' for name in self._required if values[name] is None]
    if missing:
      verb = 'is' if len(missing) == 1 else 'are'
      raise ValueError(f'{" and ".join(missing)} {verb} needed')

  def help(self) -> str:
    """Returns all flags with their meanings and defaults."""
    shown = []
    for name in (*self.names(), _OF_EVERY_COMMAND):
      flag = self._values[name]
      default = flag.default
      if isinstance(default, list):
        default = ','.join(map(str, default))
      notes = [
        flag.parser.syntactic_help,
        '' if default in (None, '') or flag.boolean else f'default: {default}',
        'required' if name in self._required else '',
      ]
      notes = '; '.join(filter(None, notes))
      text = f'{flag.help} ({notes})' if notes else flag.help
      shown += [
        f'  --{"[no]" if flag.boolean else ""}{name}',
        _wrapped(text),
      ]
    return '\n'.join(shown)

  def in_words_of_user(self, text: str) -> str:
    """Returns a message in the words of who gave the command.

    A library calls its arguments `size` or `size=3`, in backquotes; those of
    which there are flags become --size and --size=3. Other commands are called
    as this one was.
    """

    def spelled(match: re.Match) -> str:
      name, value = match.groups()
      if name not in self:
        return match[0]
      if value in (None, 'True'):
        return f'--{name}'
      return f'--{name}={value.strip(chr(39))}'

    return self.spell_commands(_ARGUMENT.sub(spelled, text))


def _is_unread(error: Exception) -> bool:
  """Whether an error says that nobody reads what is printed, as in `| head`."""
  if not isinstance(error, BrokenPipeError):
    return False
  output = select.poll()
  try:
    output.register(sys.stdout.fileno(), 0)
  except (OSError, ValueError):  # It is no pipe, but of this process.
    return False
  return any(event & select.POLLERR for _, event in output.poll(0))


@contextlib.contextmanager
def for_a_reader() -> Iterator[None]:
  """Ends without a word once nobody reads what is printed."""
  try:
    try:
      yield
    finally:
      sys.stdout.flush()
  except BrokenPipeError as error:
    if not _is_unread(error):
      raise
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)


@for_a_reader()
def run(
  main: Callable[..., int | None],
  flags: Flags,
  arguments: Sequence[str] | None = None,
  spell_commands: Callable[[str], str] = str,
) -> None:
  """Runs a command.

  Wrong flags, ValueError and OSError are the user's to mend, and so are a lack
  of memory and the loss of a worker process: they end in one line on stderr and
  exit code 1.
  --debug shows where an error came from.

  Args:
    main: Gets the arguments that are no flags. The names of its parameters are
      how they are called in messages. What it returns is the exit code, which
      is 0 for None.
    flags: Of the command; `main` reads their values.
    arguments: Those of the process, if None.
    spell_commands: Rewrites text that says `python -m COMMAND`, if commands
      are called otherwise.
  """
  arguments = sys.argv[1:] if arguments is None else list(arguments)
  flags.spell_commands = spell_commands
  if startup.HELP & set(arguments):
    doc = (sys.modules[main.__module__].__doc__ or '').strip()
    print(f'{spell_commands(doc)}\n\nFlags:\n{flags.help()}')
    return
  try:
    others = flags.parse(arguments)
    _check_number(main, others)
    flags.check_required()
  except ValueError as error:
    _fail(f'{error} (see --help)')
  _show_news()
  startup.give_interrupts_back()
  try:
    with startup.terminable(), contextlib.ExitStack() as stack:
      for folder in flags.claimed():
        stack.enter_context(claims.folder(folder))
      code = main(*others)
  except (ValueError, OSError, MemoryError, BrokenExecutor) as error:
    if flags.debug or _is_unread(error):
      raise
    if isinstance(error, MemoryError):
      _fail(f'There is not enough memory. {error}')
    if isinstance(error, BrokenExecutor):
      _fail(
        'A worker process was killed, most likely for lack of memory; free '
        f'some, or use fewer workers, and run the command again. ({error})'
      )
    _fail(flags.in_words_of_user(str(error)))
  except KeyboardInterrupt as interrupt:
    advice = '; pass --resume to go on' if 'resume' in flags else ''
    was_told = isinstance(interrupt, startup.Terminated)
    print(f'{"Ended" if was_told else "Interrupted"}{advice}.', file=sys.stderr)
    sys.exit(128 + (signal.SIGTERM if was_told else signal.SIGINT))
  if code:
    sys.exit(code)


def _check_number(main: Callable[..., Any], given: Sequence[str]) -> None:
  parameters = list(inspect.signature(main).parameters.values())
  rest = inspect.Parameter.VAR_POSITIONAL
  for parameter in parameters[len(given) :]:
    if parameter.default is parameter.empty and parameter.kind is not rest:
      raise ValueError(f'{parameter.name.upper()} is missing')
  takes_any = any(parameter.kind is rest for parameter in parameters)
  if len(given) > len(parameters) and not takes_any:
    raise ValueError(f'Unexpected arguments: {given[len(parameters) :]}')


def _show_news() -> None:
  """Lets absl's log lines appear, as they are, on stderr."""
  absl_flags.FLAGS.mark_as_parsed()  # Of these, logging has some.
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().setFormatter(None)


def _fail(error: str) -> NoReturn:
  print(f'Error: {texts.one_line(error)}', file=sys.stderr)
  sys.exit(1)
