"""Weight files of PyTorch, of architectures that are known."""

from frozen_graphs.formats.registry import Format, register
from frozen_graphs.formats.torch.architectures import builders

register(Format('weights', builders.load))
