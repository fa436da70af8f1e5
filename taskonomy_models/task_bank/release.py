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
import types

from taskonomy_models import tasks

IMAGE_SIZE = 256

_SQUARE = f'center_crop | resize({IMAGE_SIZE})'
_PLAIN = f'{_SQUARE} | range(-1, 1)'
_CLIPPED = f'{_SQUARE} | clip(0.1, 0.9) | range(-1, 1)'
_LIGHTNESS = f'{_SQUARE} | lightness | range(-1, 1)'
_MASKED = f'{_SQUARE} | range(-1, 1) | mask_center(0.5, 0)'

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

  def pytorch_files(self) -> tuple[File, ...]:
    """Returns the file of the encoder in the PyTorch release."""
    name = f'{self.pytorch_name}_encoder-{self.pytorch_sha256}.pth'
    urls = tuple(url + name for url in _PYTORCH_URLS)
    return (File(name, urls, self.pytorch_sha256),)

  def tensorflow_files(self) -> tuple[File, ...]:
    """Returns the files of the checkpoint, but the graph, which is not used."""
    paths = (
      f'{self.name}/{CHECKPOINT}.{suffix}'
      for suffix in ('index', 'data-00000-of-00001')
    )
    return tuple(File(path, (_TENSORFLOW_URL + path,)) for path in paths)


# Task: name in the PyTorch release and sha256 of the file, as it names it.
_PYTORCH = {
  'autoencoder': (
    'autoencoding',
    'e35146c09253720e97c0a7f8ee4e896ac931f5faa1449df003d81e6089ac6307',
  ),
  'curvature': (
    'curvature',
    '3767cf5d06d9c6bca859631eb5a3c368d66abeb15542171b94188ffbe47d7571',
  ),
  'denoise': (
    'denoising',
    'b64cab95af4a2c565066a7e8effaf37d6586c3b9389b47fff9376478d849db38',
  ),
  'edge2d': (
    'edge_texture',
    'be2d686a6a4dfebe968d16146a17176eba37e29f736d5cd9a714317c93718810',
  ),
  'edge3d': (
    'edge_occlusion',
    '5ac3f3e918131f61e01fe95e49f462ae2fc56aa463f8d353ca84cd4e248b9c08',
  ),
  'keypoint2d': (
    'keypoints2d',
    '6b77695acff4c84091c484a7b128a1e28a7e9c36243eda278598f582cf667fe0',
  ),
  'keypoint3d': (
    'keypoints3d',
    '7e3f1ec97b82ae30030b7ea4fec2dc606b71497d8c0335d05f0be3dc909d000d',
  ),
  'colorization': (
    'colorization',
    '5ed817acdd28d13e443d98ad15ebe1c3059a3252396a2dff6a2090f6f86616a5',
  ),
  'reshade': (
    'reshading',
    'de456246e171dc8407fb2951539aa60d75925ae0f1dbb43f110b7768398b36a6',
  ),
  'rgb2depth': (
    'depth_zbuffer',
    'cc343a8ed622fd7ee3ce54398be8682bbbbfb5d11fa80e8d03a56a5ae4e11b09',
  ),
  'rgb2mist': (
    'depth_euclidean',
    '88f18d41313de7dbc88314a7f0feec3023047303d94d73eb8622dc40334ef149',
  ),
  'rgb2sfnorm': (
    'normal',
    'f5e2c7737e4948e3b2a822f584892c342eaabbe66661576ba50db7cdd40561c5',
  ),
  'room_layout': (
    'room_layout',
    '1e1662f43b834261464b1825227a04efba59b50cc8883bee9adc3ddafd4796c1',
  ),
  'segment25d': (
    'segment_unsup25d',
    '7d12d2500c18c003ffc23943214f5dfd74932f0e3d03dde2c3a81ebc406e31a0',
  ),
  'segment2d': (
    'segment_unsup2d',
    'b679053a920e8bcabf0cd454606098ae85341e054080f2be29473971d4265964',
  ),
  'vanishing_point': (
    'vanishing_point',
    'afd2ae9b71d46a54efc5231b3e38ebc3e35bfab78cb0a78d9b75863a240b19a8',
  ),
  'segmentsemantic': (
    'segment_semantic',
    'bb3007244520fc89cd111e099744a22b1e5c98cd83ed3f116fbff6376d220127',
  ),
  'class_1000': (
    'class_object',
    '4a4e42dad58066039a0d2f9d128bb32e93a7e4aa52edb2d2a07bcdd1a6536c18',
  ),
  'class_places': (
    'class_scene',
    'ad85764467cddafd98211313ceddebb98adf2a6bee2cedfe0b922a37ae65eaf8',
  ),
  'inpainting_whole': (
    'inpainting',
    'bf96fbaaea9268a820a19a1d13dbf6af31798f8983c6d9203c00fab2d236a142',
  ),
}

_FEED_FORWARD = ('class_1000', 'class_places', 'room_layout', 'vanishing_point')
_NOT_CLIPPED = (
  'class_1000',
  'class_places',
  'vanishing_point',
  'segmentsemantic',
)


def _preprocessing(name: str) -> str:
  if name == 'colorization':
    return _LIGHTNESS
  if name == 'inpainting_whole':
    return _MASKED
  return _PLAIN if name in _NOT_CLIPPED else _CLIPPED


def _encoder(task: tasks.Task) -> TaskEncoder:
  pytorch_name, digest = _PYTORCH[task.name]
  return TaskEncoder(
    task=task,
    preprocessing=_preprocessing(task.name),
    prefix='feedforward/' if task.name in _FEED_FORWARD else '',
    channels=1 if task.name == 'colorization' else 3,
    pytorch_name=pytorch_name,
    pytorch_sha256=digest,
  )


# By name, in canonical order.
ENCODERS: Mapping[str, TaskEncoder] = types.MappingProxyType(
  {task.name: _encoder(task) for task in tasks.TASKS}
)

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
