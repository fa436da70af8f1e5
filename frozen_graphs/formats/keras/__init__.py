"""Keras models and their files."""

from frozen_graphs.formats import registry
from frozen_graphs.formats.keras import model

registry.register(
  registry.Format('keras_model', model.load, model.matches, model.accepts)
)
