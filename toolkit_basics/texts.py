"""Text that is partly somebody else's, made fit to be shown."""

import re

_COLOURS = re.compile(r'\x1b\[[0-9;]*m')
_BREAKS = re.compile(r'[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+')


def one_line(text: str, most: int = 2000) -> str:
  """Returns a text as one line of bounded length, that moves no cursor.

  Names in files of others may hold line breaks and what terminals obey, and may
  have any length.

  Args:
    text: Any.
    most: Characters; of a longer text, its middle is left out.
  """
  line = _BREAKS.sub(' ', _COLOURS.sub('', text)).strip()
  if len(line) <= most:
    return line
  half = (most - 5) // 2
  return f'{line[:half]} ... {line[-half:]}'
