"""What tests of TensorFlow Lite share: conversion, and the interpreter."""

from collections.abc import Callable, Iterable, Sequence
import pathlib
from typing import Any
import warnings

import numpy as np
import tensorflow as tf


def content(
  function: Callable,
  shapes: Sequence[Sequence[int | None]] = ((1, 16, 16, 3),),
  *,
  weights: str = 'float32',
  examples: Iterable[np.ndarray] = (),
  custom: bool = False,
) -> bytes:
  """Returns the bytes of a model.

  Args:
    function: Of tensors, or a Keras model.
    shapes: Of the inputs of a function.
    weights: `float32`, `float16`, `int8` or `sparse`.
    examples: Images, with which activations become integers, too.
    custom: Whether unknown operations are allowed.
  """
  if isinstance(function, tf.keras.Model):
    converter = tf.lite.TFLiteConverter.from_keras_model(function)
  else:
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function, autograph=False)
    concrete = traced.get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
      [concrete], tf.Module()
    )
  if weights == 'sparse':
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
  elif weights != 'float32':
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
  if weights == 'float16':
    converter.target_spec.supported_types = [tf.float16]
  examples = list(examples)
  if examples:
    converter.representative_dataset = lambda: ([e] for e in examples)
    builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    converter.target_spec.supported_ops = [builtins]
  converter.allow_custom_ops = custom
  return converter.convert()


def save(model: bytes, folder: Any) -> pathlib.Path:
  """Writes a model and returns its path."""
  path = pathlib.Path(str(folder)) / 'model.tflite'
  path.write_bytes(model)
  return path


def interpret(model: bytes, *inputs: np.ndarray) -> dict[str, np.ndarray]:
  """Returns what TensorFlow Lite's own kernels compute, by tensor name."""
  types = tf.lite.experimental.OpResolverType
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # It moves to a package of its own.
    interpreter = tf.lite.Interpreter(
      model_content=model,
      experimental_op_resolver_type=types.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
  details = interpreter.get_input_details()
  for detail, value in zip(details, inputs, strict=True):
    interpreter.resize_tensor_input(detail['index'], value.shape)
  interpreter.allocate_tensors()
  for detail, value in zip(details, inputs, strict=True):
    interpreter.set_tensor(detail['index'], value)
  interpreter.invoke()
  return {
    detail['name']: interpreter.get_tensor(detail['index'])
    for detail in interpreter.get_output_details()
  }
