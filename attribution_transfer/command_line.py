"""The console script `attribution-transfer`: every command by a short name.

It runs the installed packages wherever it is called, whatever the current
folder or PYTHONPATH has under their names; `python -m` would take those.
"""

import ast
import importlib
import importlib.util
import pathlib
import sys

from attribution_transfer import __version__
from toolkit_basics import startup

_NAME = 'attribution-transfer'
COMMANDS = {
  'recommend': 'experiments.recommend',
  'rank': 'experiments.run_taskonomy',
  'zoo': 'experiments.run_zoo',
  'insert': 'experiments.insert_model',
  'remove': 'experiments.remove_model',
  'diagram': 'experiments.run_diagram',
  'select-source': 'experiments.run_source_selection',
  'select-layer': 'experiments.run_layer_selection',
  'select-model': 'experiments.run_model_selection',
  'faithfulness': 'experiments.run_faithfulness',
  'study': 'experiments.run_study',
  'transfer-graph': 'experiments.run_transfer_graph',
  'history': 'experiments.run_history',
  'select-domain': 'experiments.run_domain_selection',
  'beyond-the-mean': 'experiments.run_beyond_the_mean',
  'compress': 'experiments.compress',
  'compression': 'experiments.run_compression',
  'paper': 'experiments.run_paper',
  'calibrate-recommend': 'experiments.calibrate_recommend',
  'inspect': 'taskonomy_models.inspect',
  'check': 'experiments.check',
  'convert': 'taskonomy_models.convert',
  'convert-task-bank': 'taskonomy_models.convert_task_bank',
  'fetch-zoo': 'taskonomy_models.fetch_zoo',
  'second-group': 'taskonomy_models.second_group',
  'keras-applications': 'taskonomy_models.keras_applications',
  'train-mini-bank': 'experiments.train_mini_bank',
  'measure-transfers': 'experiments.measure_transfers',
  'add-heads': 'experiments.add_heads',
  'measure-higher-order': 'experiments.measure_higher_order',
  'compare-recipes': 'experiments.compare_recipes',
}


def _doc(module: str) -> str:
  """Returns a module's docstring without importing it."""
  spec = importlib.util.find_spec(module)
  assert spec and spec.origin, module
  content = pathlib.Path(spec.origin).read_bytes()
  return ast.get_docstring(ast.parse(content)) or ''


def in_short_names(text: str) -> str:
  """Returns a text in which commands have the names of this script."""
  for name, module in sorted(COMMANDS.items(), key=lambda item: -len(item[1])):
    text = text.replace(f'python -m {module}', f'{_NAME} {name}')
  return text


def listing() -> str:
  """Returns the names of the commands, and what each does."""
  width = max(map(len, COMMANDS)) + 2
  lines = [
    f'  {name:{width}}{_doc(module).splitlines()[0]}'
    for name, module in COMMANDS.items()
  ]
  return (
    f'Usage: {_NAME} COMMAND [flags]\n\n' + '\n'.join(lines) + '\n\n'
    f'"{_NAME} COMMAND --help" shows the flags of a command.'
  )


def main() -> None:
  startup.open_streams()
  startup.take_interrupts()
  from toolkit_basics import cli

  root = str(pathlib.Path(__file__).resolve().parents[1])
  sys.path.insert(0, root)
  name, *arguments = sys.argv[1:] or ['--help']
  if name in ('-h', '--help', 'help'):
    with cli.for_a_reader():
      print(listing())
  elif name == '--version':
    print(__version__)
  elif name in COMMANDS:
    if startup.HELP & set(arguments):
      startup.leave_out_libraries()
    module = importlib.import_module(COMMANDS[name])
    cli.run(module.main, module.FLAGS, arguments, in_short_names)
  else:
    sys.exit(f'Error: no command {name!r}; there are {", ".join(COMMANDS)}.')


if __name__ == '__main__':
  main()
