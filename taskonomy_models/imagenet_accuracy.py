"""Published ImageNet accuracies: a static list of image classifiers.

The baseline that a measure of transferability has to beat: whoever takes the
best classifier of ImageNet, whatever the target, needs no measure.
"""

from collections.abc import Mapping
import types

# Top-1 accuracy on the validation set, as published for the weights that the
# banks of tf.keras.applications and of the zoo hold; by name in these banks.
_KERAS = {  # https://keras.io/api/applications
  'vgg16': 0.713,
  'vgg19': 0.713,
  'resnet50': 0.749,
  'resnet101': 0.764,
  'resnet152': 0.766,
  'inception_v3': 0.779,
  'inception_resnet_v2': 0.803,
  'mobilenet_100': 0.704,
  'mobilenet_v2': 0.713,
  'efficientnet_b0': 0.771,
  'convnext_tiny': 0.813,
}
_NARROW = {  # Howard et al., arXiv 1704.04861, table 6.
  'mobilenet_025': 0.506,
  'mobilenet_050': 0.637,
}
_LITE = {  # tensorflow/tpu, models/official/efficientnet/lite.
  'efficientnet_lite0': 0.751,
  'efficientnet_lite1': 0.767,
  'efficientnet_lite2': 0.776,
}
TOP1: Mapping[str, float] = types.MappingProxyType(
  {**_KERAS, **_NARROW, **_LITE}
)
