"""What all entry points share: one clear line for an error of the user.

Importing it also keeps TensorFlow's start-up messages away, if TensorFlow is
not imported yet; so entry points import it, and libraries do not.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import BrokenExecutor
import sys
from typing import Any, NoReturn

from absl import app, flags, logging

from toolkit_basics import quiet

quiet.quieten_tensorflow()

_DEBUG = flags.DEFINE_bool(
  'debug', False, 'Show where an error came from (a traceback).'
)


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs an entry point's `main` with its flags parsed.

  Wrong flags, ValueError and OSError are the user's to mend, and so is the
  loss of a worker process: they end in one line on stderr and exit code 1.
  --debug shows where an error came from.
  """

  def guarded(argv: Sequence[str]) -> None:
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    logging.get_absl_handler().setFormatter(None)
    try:
      main(argv)
    except app.UsageError as error:
      _fail(error)
    except (ValueError, OSError) as error:
      if _DEBUG.value:
        raise
      _fail(error)
    except BrokenExecutor as error:
      if _DEBUG.value:
        raise
      _fail(
        'A worker process was killed, most likely for lack of memory; free '
        f'some, or use fewer workers, and run the command again. ({error})'
      )
    except KeyboardInterrupt:
      print('Interrupted; pass --resume to go on.', file=sys.stderr)
      sys.exit(130)

  app.run(guarded, flags_parser=_parse_flags)


def flag_values(
  holder: flags.FlagHolder, leave_out: Collection[str] = ()
) -> dict[str, Any]:
  """Returns all flags of the module that defines one of them, by name."""
  module = flags.FLAGS.find_module_defining_flag(holder.name)
  own = flags.FLAGS.flags_by_module_dict()[module]
  return {flag.name: flag.value for flag in own if flag.name not in leave_out}


def _parse_flags(argv: Sequence[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    _fail(f'{error} (see --help)')


def _fail(error: Exception | str) -> NoReturn:
  message = ' '.join(str(error).split())
  print(f'Error: {message}', file=sys.stderr)
  sys.exit(1)
