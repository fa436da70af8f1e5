"""Compresses networks in several ways, and measures what became of them."""
