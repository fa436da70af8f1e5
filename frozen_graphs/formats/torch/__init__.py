"""Modules and programs of PyTorch, and weights of known architectures."""

from frozen_graphs.formats.registry import Format, register
from frozen_graphs.formats.torch import model
from frozen_graphs.formats.torch.architectures import builders

register(Format('weights', builders.load))
register(Format('torch', model.load, model.matches, model.accepts))
