"""The residual network of the mini bank with half the channels in every layer.

Its representation is as large; for what the width of a network does.
"""

import tensorflow as tf

from taskonomy_models.mini.architectures import registry, residual


@registry.register('narrow')
def build(channels: int, size: int | None = None) -> tf.keras.Model:
  """Returns an encoder of 8 to 32 channels, see `residual.encoder`."""
  return residual.encoder(channels, size, width=8)
