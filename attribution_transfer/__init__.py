"""The transferability of networks from their attribution maps."""

__version__ = '0.1.0'
