"""What a benchmark prints and writes: numbers by key, and the machine."""

from collections.abc import Mapping
import os
import pathlib
import platform

from toolkit_basics import files, processes


def machine() -> dict[str, object]:
  """Returns what numbers of time and memory depend on."""
  name = platform.processor() or platform.machine()
  information = pathlib.Path('/proc/cpuinfo')
  if information.exists():
    for line in information.read_text().splitlines():
      if line.startswith('model name'):
        name = line.partition(':')[2].strip()
        break
  load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else float('nan')
  return {
    'processor': name,
    'cores': processes.cores(),
    'load_before': round(load, 1),
    'python': platform.python_version(),
  }


def tell(
  numbers: Mapping[str, float], path: str | None, before: Mapping[str, object]
) -> None:
  """Prints numbers by key, and writes them as JSON if a path is given.

  Args:
    numbers: By key.
    path: Of the JSON.
    before: What `machine` returned before the measurement.
  """
  described = ', '.join(f'{name} {value}' for name, value in before.items())
  print(f'machine: {described}')
  for key, value in numbers.items():
    print(f'{key:50s} {value:12.4g}')
  if path:
    files.write_json(path, {**numbers, 'machine': dict(before)})
