"""TensorFlow Lite files."""

from frozen_graphs.formats.registry import Format, register
from frozen_graphs.formats.tflite import model

register(Format('tflite_model', model.load, model.matches))
