"""The networks of `tf.keras.applications` as encoders of a bank.

They are the ImageNet classifiers of the paper's second group (section 4.1) and
a few later ones. A representation is what the network hands to its head: the
last feature map before global pooling, or before the first dense layer. T is
what `preprocess_input` of each architecture computes, with a resize to the size
it was trained on.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import types

import numpy as np
import tensorflow as tf

WEIGHTS = ('imagenet', 'random')
# What `preprocess_input` does, from [0, 1]; by the names of its modes.
MODES = {
  'caffe': 'range(0, 255) | bgr | mean_std((103.939, 116.779, 123.68), 1)',
  'tf': 'range(-1, 1)',
  'torch': 'mean_std((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))',
  'none': 'range(0, 255)',  # The network itself has layers for it.
}


@dataclasses.dataclass(frozen=True)
class KerasNetwork:
  """One network of tf.keras.applications.

  Attributes:
    function: Name of the function that builds it.
    mode: How pictures are preprocessed.
    representation: Name of a layer; None for the last, if its name varies.
    size: Side of the pictures it was trained on.
    options: Of the function.
    title: As shown in figures; default: the function's name.
  """

  function: str
  mode: str
  representation: str | None = None
  size: int = 224
  options: Mapping[str, object] = dataclasses.field(default_factory=dict)
  title: str = ''

  @property
  def label(self) -> str:
    return self.title or self.function

  @property
  def preprocessing(self) -> str:
    """T."""
    return f'resize({self.size}) | {MODES[self.mode]}'


def _resnet(function: str) -> KerasNetwork:
  return KerasNetwork(function, 'caffe', 'conv5_block3_out')


def _mobilenet(width: float) -> KerasNetwork:
  options, title = {'alpha': width}, f'MobileNet {width:g}'
  kind = 'MobileNet', 'tf', 'conv_pw_13_relu'
  return KerasNetwork(*kind, options=options, title=title)


_NETWORKS = {
  'vgg16': KerasNetwork('VGG16', 'caffe', 'block5_pool'),
  'vgg19': KerasNetwork('VGG19', 'caffe', 'block5_pool'),
  'resnet50': _resnet('ResNet50'),
  'resnet101': _resnet('ResNet101'),
  'resnet152': _resnet('ResNet152'),
  'inception_v3': KerasNetwork('InceptionV3', 'tf', 'mixed10', 299),
  'inception_resnet_v2': KerasNetwork(
    'InceptionResNetV2', 'tf', 'conv_7b_ac', 299
  ),
  'mobilenet_025': _mobilenet(0.25),
  'mobilenet_050': _mobilenet(0.5),
  'mobilenet_100': _mobilenet(1.0),
  'mobilenet_v2': KerasNetwork('MobileNetV2', 'tf', 'out_relu'),
  'efficientnet_b0': KerasNetwork('EfficientNetB0', 'none', 'top_activation'),
  'convnext_tiny': KerasNetwork('ConvNeXtTiny', 'none', title='ConvNeXt-Tiny'),
}
NETWORKS: Mapping[str, KerasNetwork] = types.MappingProxyType(_NETWORKS)


def build(name: str, weights: str, seed: int = 0) -> tf.keras.Model:
  """Returns a network without its head.

  Args:
    name: One of NETWORKS.
    weights: 'imagenet', which Keras fetches once and then keeps, or 'random'.
    seed: Of random weights.

  Raises:
    ValueError: If there is no such network, or no such weights.
    OSError: If the weights cannot be fetched.
  """
  if name not in NETWORKS:
    raise ValueError(f'No network {name!r}; there are {", ".join(NETWORKS)}.')
  return build_network(NETWORKS[name], weights, stream(seed, name))


def build_network(
  network: KerasNetwork, weights: str, seed: int | Sequence[int] = 0
) -> tf.keras.Model:
  """Returns a network without its head; arguments and errors as of `build`."""
  if weights not in WEIGHTS:
    raise ValueError(f'weights must be one of {WEIGHTS}, not {weights!r}.')
  function: Callable = getattr(tf.keras.applications, network.function)
  image = tf.keras.Input((network.size, network.size, 3), name='image')
  try:
    model = function(
      include_top=False,
      weights=None if weights == 'random' else weights,
      input_tensor=image,
      **network.options,
    )
  except Exception as error:  # A plain one without a network.
    reason = ' '.join(str(error).split())
    raise OSError(
      f'{network.function}: its ImageNet weights cannot be had: {reason}. '
      'Keras fetches them into ~/.keras/models; put them there by hand where '
      'there is no network, or use random weights.'
    ) from error
  # Keras makes lists of what it is given; one image is one tensor.
  model = tf.keras.Model(model.inputs[0], model.outputs[0], name=model.name)
  if weights == 'random':
    randomise(model, seed)
  return model


def stream(seed: int, name: str) -> list[int]:
  """Returns the seed of a network: networks that share layers differ there."""
  return [seed, *name.encode()]


def randomise(model: tf.keras.Model, seed: int | Sequence[int]) -> None:
  """Draws all weights of a model anew (He et al., 2015), from one stream.

  Biases, and the statistics and factors of normalizations, are drawn near the
  values that training starts from, so that no step is the identity.
  """
  rng = np.random.default_rng(seed)
  for variable in model.weights:
    shape = tuple(variable.shape)
    kind = variable.path.rsplit('/', 1)[-1]
    if 'kernel' in kind:
      inputs = shape[:-2] if 'depthwise' in kind else shape[:-1]
      value = rng.normal(0, np.sqrt(2 / np.prod(inputs)), shape)
    elif kind in ('gamma', 'moving_variance'):
      value = rng.uniform(0.8, 1.2, shape)
    elif kind in ('bias', 'beta', 'moving_mean'):
      value = rng.normal(0, 0.05, shape)
    else:  # Constants of preprocessing, seeds, small factors of branches.
      continue
    variable.assign(value.astype(variable.dtype))
