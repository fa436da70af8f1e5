"""What the encoders of a mini bank can be built as, one module each."""
