"""Weight files of PyTorch, of architectures that are known."""

from frozen_graphs.formats import registry
from frozen_graphs.formats.torch.architectures import builders

registry.register(registry.Format('weights', builders.load))
