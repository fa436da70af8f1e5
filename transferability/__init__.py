"""From attribution maps to scores: NumPy and SciPy only, never TensorFlow."""
