"""The networks of tf.keras.applications: 'keras:MobileNetV2'."""

from frozen_graphs.errors import GraphError
from taskonomy_models import keras_networks, metadata
from taskonomy_models.sources.registry import Asked, Description, register


@register('keras')
def _network(request: Asked) -> Description:
  """Returns a network without its head; its weights are 'imagenet'."""
  if request.checkpoint:
    raise GraphError(
      'Of a network of Keras with weights of your own, give the file itself '
      '(.keras or .h5).'
    )
  function, weights = request.name, request.weights or 'imagenet'
  known = {n.function: key for key, n in keras_networks.NETWORKS.items()}
  key = function if function in keras_networks.NETWORKS else known.get(function)
  if key is not None:
    model = keras_networks.build(key, weights)
    network = keras_networks.NETWORKS[key]
  else:
    modes = metadata.applications()
    if function not in modes:
      raise ValueError(
        f'tf.keras.applications has no {function!r}; there are '
        f'{", ".join(sorted(modes))}.'
      )
    network = keras_networks.KerasNetwork(function, modes[function])
    model = keras_networks.build_network(network, weights)
  layer = network.representation or model.layers[-1].name
  return Description(
    model, network.preprocessing, request.representation or layer
  )
