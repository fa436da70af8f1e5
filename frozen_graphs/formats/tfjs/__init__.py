"""TensorFlow.js models."""
