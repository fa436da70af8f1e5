"""Converts the released Taskonomy encoders to a bank of frozen graphs.

  python -m taskonomy_models.convert_task_bank --source=FOLDER
  python -m taskonomy_models.convert_task_bank --download=pytorch

The folder holds the checkpoints of the original release, or the .pth files of
the PyTorch release, of some or all of the tasks. The bank is written to where
`--bank=task_bank` looks for it, or to --output. What is there already is kept.
"""

from collections.abc import Sequence

from absl import app, flags

from taskonomy_models import bank as banks
from taskonomy_models.task_bank import conversion as task_bank_conversion
from taskonomy_models.task_bank import download as task_bank_download
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from toolkit_basics import cli, progress

_SOURCE = flags.DEFINE_string(
  'source', None, 'Folder with checkpoints or .pth files.'
)
_DOWNLOAD = flags.DEFINE_enum(
  'download',
  None,
  task_bank_download.RELEASES,
  'Fetch this release first (2 GB for PyTorch), into --download_dir.',
)
_DOWNLOAD_DIR = flags.DEFINE_string(
  'download_dir', None, 'Default: a folder in the cache of the user.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder of the bank; default: where --bank=task_bank looks.'
)
_TASKS = flags.DEFINE_list(
  'tasks', [], 'Only these tasks, for example curvature,rgb2depth.'
)
_WEIGHTS_TYPE = flags.DEFINE_enum(
  'weights_type',
  'float32',
  task_bank_encoder.WEIGHTS_TYPES,
  'How the graphs store their kernels; float16 halves them.',
)
_ALLOW_UNKNOWN_DIGESTS = flags.DEFINE_bool(
  'allow_unknown_digests',
  False,
  'Also take a .pth file that is not the released one its name says.',
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}')
  if (_SOURCE.value is None) == (_DOWNLOAD.value is None):
    raise app.UsageError('Pass one of --source and --download.')
  source = _SOURCE.value
  if _DOWNLOAD.value is not None:
    source = _DOWNLOAD_DIR.value or task_bank_download.default_folder(
      _DOWNLOAD.value
    )
    task_bank_download.fetch(
      task_bank_download.files(_DOWNLOAD.value, _TASKS.value),
      source,
      progress.track,
    )
  output = _OUTPUT.value or banks.task_bank_folder()
  report = task_bank_conversion.convert(
    source,
    output,
    only=_TASKS.value,
    weights_type=_WEIGHTS_TYPE.value,
    allow_unknown_digests=_ALLOW_UNKNOWN_DIGESTS.value,
    progress=progress.track,
  )
  number = len(task_bank.encoders()) - len(report.missing)
  print(
    f'{output}: {number} of {len(task_bank.encoders())} tasks; '
    f'{len(report.converted)} converted now, {len(report.kept)} kept.'
  )
  if report.missing:
    print(f'Missing: {", ".join(report.missing)}')
  if report.failed:
    raise ValueError(
      f'{len(report.failed)} not converted: '
      + ' '.join(f'{name}: {why}' for name, why in report.failed.items())
    )


if __name__ == '__main__':
  cli.run(main)
