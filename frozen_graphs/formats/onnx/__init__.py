"""ONNX files."""

from frozen_graphs.formats import registry
from frozen_graphs.formats.onnx import model

registry.register(registry.Format('onnx_model', model.load, model.matches))
