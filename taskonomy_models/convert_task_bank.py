"""Converts the released Taskonomy encoders to a bank of frozen graphs.

  python -m taskonomy_models.convert_task_bank --source=FOLDER
  python -m taskonomy_models.convert_task_bank --download=pytorch

The folder holds the checkpoints of the original release, or the .pth files of
the PyTorch release, of some or all of the tasks. The bank is written to where
`--bank=task_bank` looks for it, or to --output. What is there already is kept.
"""

import toolkit_basics.cli as cli
from taskonomy_models import bank as banks
from taskonomy_models.task_bank import conversion as task_bank_conversion
from taskonomy_models.task_bank import download as task_bank_download
from taskonomy_models.task_bank import encoder as task_bank_encoder
from taskonomy_models.task_bank import release as task_bank
from toolkit_basics import progress

FLAGS = cli.Flags()
_SOURCE = FLAGS.path(
  'source', 'Folder of the checkpoints or .pth files that you have.'
)
_DOWNLOAD = FLAGS.enum(
  'download',
  'Fetch this release first (2 GB for PyTorch), into --download_dir.',
  task_bank.RELEASES,
)
_DOWNLOAD_DIR = FLAGS.path(
  'download_dir',
  "Folder of what is fetched; by default one in the user's cache.",
)
_OUTPUT = FLAGS.path(
  'output', 'Folder of the bank; by default where --bank=task_bank looks.'
)
_TASKS = FLAGS.list(
  'tasks', 'Only the encoders of these tasks, as curvature,rgb2depth.'
)
_WEIGHTS_TYPE = FLAGS.enum(
  'weights_type',
  'How the graphs store their kernels; float16 takes half the room.',
  task_bank_encoder.WEIGHTS_TYPES,
  'float32',
)
_ALLOW_UNKNOWN_DIGESTS = FLAGS.bool(
  'allow_unknown_digests',
  'Also take a .pth file that is not the released one its name says.',
)


def _folder() -> str:
  return _OUTPUT.value or str(banks.task_bank_folder())


FLAGS.claim(_folder)


def main() -> None:
  if (_SOURCE.value is None) == (_DOWNLOAD.value is None):
    raise ValueError('Pass one of --source and --download.')
  source = _SOURCE.value
  if _DOWNLOAD.value is not None:
    cache = banks.task_bank_folder().with_name('task_bank_release')
    source = _DOWNLOAD_DIR.value or cache / _DOWNLOAD.value
    task_bank_download.fetch(
      task_bank_download.files(_DOWNLOAD.value, _TASKS.value or ()),
      source,
      progress.track,
    )
  output = _folder()
  report = task_bank_conversion.convert(
    source,
    output,
    only=_TASKS.value or (),
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
  cli.run(main, FLAGS)
