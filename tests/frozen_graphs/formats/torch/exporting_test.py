"""Tests of which exporter of PyTorch is used, with one that plays torch."""

import contextlib
import io
import os
import sys
import tempfile
import types

from absl.testing import absltest

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import exporting


class _Script:
  """Plays a module that is compiled."""


def _torch(*outcomes):
  """Returns what plays torch, and the calls of its exporters.

  Args:
    *outcomes: Of each call an error, or None.
  """
  calls, left = [], list(outcomes)

  def export(module, args, path, **options):
    calls.append((module, args[0], options))
    if (outcome := left.pop(0)) is not None:
      print('a step of the exporter')
      print('and a graph', file=sys.stderr)
      raise outcome

  torch = types.SimpleNamespace(
    onnx=types.SimpleNamespace(export=export),
    export=types.SimpleNamespace(Dim=lambda name: name),
    jit=types.SimpleNamespace(ScriptModule=_Script),
  )
  return torch, calls


class ExportTest(absltest.TestCase):
  def test_the_first_exporter_leaves_the_number_of_images_open(self):
    torch, calls = _torch(None)
    by = exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
    self.assertEqual(by, 'torch.export')
    ((module, images, options),) = calls
    self.assertEqual((module, images), ('whole', 'ab'))
    self.assertEqual(options['dynamic_shapes'], ({0: 'batch'},))
    self.assertEqual(options['output_names'], ['r'])

  def test_the_next_one_is_given_a_module_that_stops(self):
    torch, calls = _torch(ValueError('x'), None)
    by = exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
    self.assertEqual(by, 'TorchScript')
    self.assertEqual(calls[1][:2], ('cut', 'ab'))
    self.assertFalse(calls[1][2]['dynamo'])

  def test_a_choice_by_the_image_that_tracing_makes_for_good_is_said(self):
    torch, _ = _torch(ValueError('guard on data-dependent expression'), None)
    by = exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
    self.assertRegex(by, 'TorchScript, .*IT CHOOSES BY THE IMAGE')

  def test_what_exporters_say_is_kept_from_the_user(self):
    torch, _ = _torch(ValueError('x'), None)
    streams = io.StringIO(), io.StringIO()
    with (
      contextlib.redirect_stdout(streams[0]),
      contextlib.redirect_stderr(streams[1]),
    ):
      exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
    self.assertEqual([stream.getvalue() for stream in streams], ['', ''])

  def test_what_libraries_print_beside_python_is_kept_from_the_user(self):
    torch, _ = _torch(ValueError('x'), None)
    torch.onnx.export = lambda *_, **__: os.write(1, b'graph') and None
    with tempfile.TemporaryFile() as stdout:
      kept = os.dup(1)
      try:
        os.dup2(stdout.fileno(), 1)
        exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
        os.write(1, b'after')
      finally:
        os.dup2(kept, 1)
        os.close(kept)
      stdout.seek(0)
      self.assertEqual(stdout.read(), b'after')

  def test_the_last_one_takes_one_image(self):
    torch, calls = _torch(ValueError('x'), ValueError('y'), None)
    by = exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')
    self.assertEqual(by, 'torch.export of one image')
    self.assertEqual(calls[2][:2], ('whole', 'a'))

  def test_a_number_is_no_name_for_torchscript(self):
    torch, calls = _torch(None)
    exporting.export(torch, 'whole', 'cut', 'ab', '3', 'model.onnx')
    self.assertEqual(calls[0][2]['output_names'], ['_3'])

  def test_where_it_failed_is_the_module_of_the_node(self):
    stack = {'a': ('', 'Holder'), 'b': ('features._original.blocks.6', 'Block')}
    node = types.SimpleNamespace(meta={'nn_module_stack': stack})

    def translate(node):
      raise ValueError('no such function')

    def export(*_, **__):
      try:
        translate(node)
      except ValueError as error:
        raise RuntimeError('it failed') from error

    torch, _ = _torch()
    torch.onnx.export = export
    with self.assertRaisesRegex(
      GraphError,
      r"ValueError \(in the module 'blocks.6'\): no such function. A program "
      'is exported as a whole.*representation',
    ):
      exporting.export_program(torch, 'program', 'r', 'model.onnx')

  def test_a_compiled_module_has_one_way(self):
    torch, calls = _torch(None)
    script = _Script()
    by = exporting.export(torch, script, script, 'ab', 'r', 'model.onnx')
    self.assertEqual(by, 'TorchScript')
    self.assertLen(calls, 1)

  def test_the_reasons_of_all_are_told(self):
    cause = KeyError('aten::odd')
    first = ValueError('It failed at a step.\n\nMany more lines.')
    first.__cause__ = cause
    torch, _ = _torch(first, ValueError('y'), RuntimeError('z'))
    with self.assertRaisesRegex(
      GraphError,
      r"further in front.*torch.export: KeyError: 'aten::odd'.*"
      r'TorchScript: ValueError: y\..*one image: RuntimeError: z\.',
    ):
      exporting.export(torch, 'whole', 'cut', 'ab', 'r', 'model.onnx')


if __name__ == '__main__':
  absltest.main()
