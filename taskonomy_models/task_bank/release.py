"""The original Taskonomy task bank: what is known of each released encoder.

Taskonomy (Zamir et al., CVPR 2018) released one encoder for each of its tasks,
as TensorFlow checkpoints (StanfordVL/taskonomy, folder taskbank) and, converted
by its authors, as PyTorch files (alexsax/visual-prior). All have the
architecture that `task_bank_encoder` builds.

T is what the taskbank's demo feeds the encoders (taskbank/tools/
run_img_task.py), and what the authors of "Deep Model Transferability from
Attribution Maps" repeated: fourteen tasks see colours clipped to [0.1, 0.9].
The training of `denoise` adds noise; its inference does not.
"""

from collections.abc import Mapping
import dataclasses
import functools
import pathlib
import types

from taskonomy_models import tasks
from toolkit_basics import files

IMAGE_SIZE = 256
RELEASES = ('pytorch', 'tensorflow')

_TABLE = pathlib.Path(__file__).with_name('release.csv')
_TENSORFLOW_URL = (
  'http://downloads.cs.stanford.edu/downloads/taskonomy_taskbankv1_models/'
)
# Two addresses of the same file in the branch `networks` of the repository.
_PYTORCH_URLS = (
  'https://github.com/alexsax/visual-prior/raw/networks/assets/pytorch/',
  'https://raw.githubusercontent.com/alexsax/visual-prior/networks/assets/'
  'pytorch/',
)
CHECKPOINT = 'model.permanent-ckpt'


@dataclasses.dataclass(frozen=True)
class File:
  """A file of the release.

  Attributes:
    path: Below the folder of the release.
    urls: Where it can be fetched, the likeliest first.
    sha256: Its digest; None where the release states none.
  """

  path: str
  urls: tuple[str, ...]
  sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class TaskEncoder:
  """What is known of the released encoder of a task.

  Attributes:
    task: Name, label and group.
    preprocessing: T.
    prefix: Of the names of its variables.
    channels: Of its input.
    pytorch_name: Of the task, in the PyTorch release.
    pytorch_sha256: Of its file there.
  """

  task: tasks.Task
  preprocessing: str
  prefix: str
  channels: int
  pytorch_name: str
  pytorch_sha256: str

  @property
  def name(self) -> str:
    return self.task.name

  def files(self, release: str) -> tuple[File, ...]:
    """Returns the encoder's files in one of the RELEASES.

    Without the graph of the checkpoint, which is not used.
    """
    if release == 'pytorch':
      name = f'{self.pytorch_name}_encoder-{self.pytorch_sha256}.pth'
      urls = tuple(url + name for url in _PYTORCH_URLS)
      return (File(name, urls, self.pytorch_sha256),)
    paths = (
      f'{self.name}/{CHECKPOINT}.{suffix}'
      for suffix in ('index', 'data-00000-of-00001')
    )
    return tuple(File(path, (_TENSORFLOW_URL + path,)) for path in paths)


@functools.cache
def encoders() -> Mapping[str, TaskEncoder]:
  """Returns what `release.csv` says of each encoder, in canonical order."""
  header, *rows = files.read_csv(_TABLE)
  stated = [dict(zip(header, row, strict=True)) for row in rows]
  found = {}
  for task, fields in zip(tasks.TASKS, stated, strict=True):
    fields |= {'task': task, 'channels': int(fields['channels'])}
    found[task.name] = TaskEncoder(**fields)
  return types.MappingProxyType(found)


# Released too, but no encoders of one image: jigsaw sees nine tiles, the others
# two or more views. By both names.
MULTI_IMAGE = types.MappingProxyType(
  {
    'ego_motion': 'egomotion',
    'fix_pose': 'fixated_pose',
    'jigsaw': 'jigsaw',
    'non_fixated_pose': 'nonfixated_pose',
    'point_match': 'point_matching',
  }
)
