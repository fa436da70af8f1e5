"""Keras models and their files."""

from frozen_graphs.formats.keras import model
from frozen_graphs.formats.registry import Format, register

register(Format('keras_model', model.load, model.matches, model.accepts))
