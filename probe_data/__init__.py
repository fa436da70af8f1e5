"""Which images the networks are probed with."""
