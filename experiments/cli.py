"""What all entry points share: one clear line for an error of the user."""

from collections.abc import Callable, Sequence
import sys

from absl import app, flags, logging

_DEBUG = flags.DEFINE_bool(
  'debug', False, 'Show where an error came from (a traceback).'
)


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs an entry point's `main` with its flags parsed.

  ValueError and OSError are the user's to mend: they end in one line on
  stderr and exit code 1. --debug shows their traceback.
  """

  def guarded(argv: Sequence[str]) -> None:
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    logging.get_absl_handler().setFormatter(None)
    try:
      main(argv)
    except (ValueError, OSError) as error:
      if _DEBUG.value:
        raise
      message = ' '.join(str(error).split())
      print(f'Error: {message}', file=sys.stderr)
      sys.exit(1)
    except KeyboardInterrupt:
      print('Interrupted; pass --resume to go on.', file=sys.stderr)
      sys.exit(130)

  app.run(guarded)
