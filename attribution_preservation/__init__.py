"""Compression of networks that keeps their attribution maps."""
