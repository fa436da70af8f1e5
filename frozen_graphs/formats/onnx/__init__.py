"""ONNX files."""

from frozen_graphs.formats.onnx import model
from frozen_graphs.formats.registry import Format, register

register(Format('onnx_model', model.load, model.matches))
