"""The released Taskonomy encoders."""
