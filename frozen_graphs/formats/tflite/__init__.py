"""TensorFlow Lite files."""

from frozen_graphs.formats import registry
from frozen_graphs.formats.tflite import model

registry.register(registry.Format('tflite_model', model.load, model.matches))
