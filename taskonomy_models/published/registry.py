"""The paper's second group: where each network's weights are, and the recipe.

Ten classifiers come with Keras. The other eight were published by their
authors or by others who converted them; their encoders are written in
`architectures`, and weights are put into them by name. What is assumed beyond
the papers is said in `note`.
"""

from collections.abc import Callable
import dataclasses
import functools

import tensorflow as tf

from taskonomy_models.published import architectures

AVERAGE = 'AVERAGE'  # In a T: the mean colour that the file states.
IMAGENET_AVERAGE = (123.68, 116.779, 103.939)


@dataclasses.dataclass(frozen=True)
class Published:
  """A network of the second group that Keras does not have.

  Attributes:
    name: Of its encoder in the bank.
    label: As shown in figures.
    group: Of its task, for colours.
    paper: What published it.
    repository: Where its code is.
    address: Where its weights are.
    is_direct: Whether the address is the file itself; else a person must go
      there with a browser.
    licence: As the repository states it.
    build: Returns the encoder.
    style: How the weights are named, see `weights.STYLES`.
    prefix: Of their names.
    preprocessing: T; AVERAGE stands for the mean colour that the file states.
    note: What is assumed.
    sha256: Of the file at the address, if known.
  """

  name: str
  label: str
  group: str
  paper: str
  repository: str
  address: str
  is_direct: bool
  licence: str
  build: Callable[[], tf.keras.Model]
  style: str
  prefix: str
  preprocessing: str
  note: str
  sha256: str | None = None


# In the order of the paper; the first ten are in `keras_networks`.
KERAS = (
  *('vgg16', 'vgg19', 'resnet50', 'resnet101', 'resnet152', 'inception_v3'),
  *('inception_resnet_v2', 'mobilenet_025', 'mobilenet_050', 'mobilenet_100'),
)
_DRIVE = 'https://drive.google.com/'


def _inpainting(data: str, address: str) -> Published:
  return Published(
    name=f'inpainting_{data.lower().replace("-", "")}',
    label=f'Inpainting ({data})',
    group='inpainting',
    paper='Yu et al., Generative image inpainting with contextual attention, '
    'CVPR 2018',
    repository='https://github.com/JiahuiYu/generative_inpainting (v1.0.0)',
    address=f'{_DRIVE}open?id={address}',
    is_direct=False,
    licence='CC BY-NC 4.0',
    build=functools.partial(architectures.inpainting, 256),
    style='layers',
    prefix='inpaint_net/',
    preprocessing='resize(256) | range(-1, 1)',
    note='The coarse network up to conv12, told that there is no hole.',
  )


_NETWORKS = (
  _inpainting('ImageNet', '136APWSdPRAF7-XoS8sMBTLV-X3f-ogE0'),
  _inpainting('CelebA', '1sP8ViF3mxUMN--xpKqonEeW9d8S8pJEo'),
  _inpainting('CelebA-HQ', '1lpluFXyWDxTY6wcjixQGWX8jxUUMlyBW'),
  _inpainting('Places2', '1M3AFy7x9DqXaI-fINSynW7FJSXYROfv-'),
  Published(
    name='fcrn',
    label='FCRN',
    group='depth',
    paper='Laina et al., Deeper depth prediction with fully convolutional '
    'residual networks, 3DV 2016',
    repository='https://github.com/iro-cp/FCRN-DepthPrediction',
    address='http://campar.in.tum.de/files/rupprecht/depthpred/'
    'NYU_FCRN-checkpoint.zip',
    is_direct=True,
    licence='BSD 2-clause',
    build=functools.partial(architectures.depth, 228, 304),
    style='caffe',
    prefix='',
    preprocessing='resize(228, 304) | range(0, 255)',
    note='Colours as the release feeds them: 0 to 255, no mean subtracted.',
  ),
  Published(
    name='fcn',
    label='FCN',
    group='segmentation',
    paper='Long et al., Fully convolutional networks for semantic '
    'segmentation, CVPR 2015',
    repository='https://github.com/shelhamer/fcn.berkeleyvision.org',
    address='http://www.vlfeat.org/matconvnet/models/pascal-fcn8s-dag.mat',
    is_direct=True,
    licence='of MatConvNet: BSD; the repository names none for the weights',
    build=functools.partial(architectures.segmentation, 224),
    style='matconvnet',
    prefix='',
    preprocessing=f'resize(224) | range(0, 255) | mean_std({AVERAGE}, 1)',
    note='FCN-8s on PASCAL VOC, as MatConvNet converted it, up to fc7.',
  ),
  Published(
    name='prn',
    label='PRN',
    group='faces',
    paper='Feng et al., Joint 3D face reconstruction and dense alignment with '
    'position map regression network, ECCV 2018',
    repository='https://github.com/YadiraF/PRNet',
    address=f'{_DRIVE}file/d/1UoE-XuW1SDLUjZmJPkIZ1MLxvQFgmTFH',
    is_direct=False,
    licence='MIT',
    build=functools.partial(architectures.position_map, 256),
    style='slim',
    prefix='resfcn256/',
    preprocessing='resize(256) | range(0, 1)',
    note='The address has the data; the .index is in the repository, in '
    'Data/net-data.',
  ),
  Published(
    name='tiny_face',
    label='Tiny Face',
    group='faces',
    paper='Hu and Ramanan, Finding tiny faces, CVPR 2017',
    repository='https://github.com/peiyunh/tiny',
    address='https://www.cs.cmu.edu/~peiyunh/tiny/hr_res101.mat',
    is_direct=True,
    licence='as the repository states',
    build=functools.partial(architectures.tiny_faces, 224),
    style='matconvnet',
    prefix='',
    preprocessing=f'resize(224) | range(0, 255) | mean_std({AVERAGE}, 1)',
    note='The body that faces are scored from, at one scale of the image.',
  ),
)
NETWORKS = {network.name: network for network in _NETWORKS}
names = (*KERAS, *NETWORKS)
