"""Exports a module of PyTorch to an ONNX file, by PyTorch's own exporters."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import io
import logging
import traceback
import types
from typing import Any
import warnings

from frozen_graphs.errors import GraphError, brief
from frozen_graphs.formats.onnx import file
from toolkit_basics import quiet

_LOGGERS = ('torch', 'onnxscript', 'onnx_ir')
_BATCH = 'batch'
# What torch.export says of a module that does one thing or another.
_CHOICE = 'data-dependent'
_ONE_WAY = (
  ', as it goes for the example; IT CHOOSES BY THE IMAGE, and others may go '
  'another way'
)


@dataclasses.dataclass(frozen=True)
class _Exporter:
  """One way to export.

  Attributes:
    name: For messages.
    traces: Whether it can be given a module that is stopped on its way, and
      one that is compiled to TorchScript.
    options: Of `torch.onnx.export`, made of torch.
  """

  name: str
  traces: bool
  options: Callable[[types.ModuleType], Mapping[str, Any]]


# Tried in this order.
_EXPORTERS = (
  _Exporter(
    'torch.export',
    False,
    lambda torch: {
      'dynamo': True,
      'dynamic_shapes': ({0: torch.export.Dim(_BATCH)},),
    },
  ),
  _Exporter(
    'TorchScript',
    True,
    lambda torch: {'dynamo': False, 'dynamic_axes': {'image': {0: _BATCH}}},
  ),
  _Exporter(
    'torch.export of one image',
    False,
    lambda torch: {'dynamo': True},
  ),
)


def export(
  torch: types.ModuleType,
  module: Any,
  stopping: Any,
  images: Any,
  output: str,
  path: str,
) -> str:
  """Writes an ONNX file, and returns which exporter did.

  The file takes `image`, [N, C, H, W] of any N, and gives `output`, or what is
  called nearly so. Where no exporter can leave N open, it takes one image.

  Args:
    torch: The package.
    module: A function of images in inference mode.
    stopping: The same, which runs nothing behind the representation.
    images: float32 [2, C, H, W].
    output: What the result is called in the file.
    path: Of the file; large weights are written beside it.

  Raises:
    GraphError: If no exporter can; it gives the reason of each.
  """
  reasons = []
  is_script = isinstance(module, torch.jit.ScriptModule)
  for exporter in _EXPORTERS:
    if is_script and not exporter.traces:
      continue
    options = dict(exporter.options(torch))
    has_open_batch = len(options) > 1
    try:
      with quietly():
        made = torch.onnx.export(
          stopping if exporter.traces else module,
          (images if has_open_batch else images[:1],),
          path,
          input_names=['image'],
          # TorchScript wants no numbers for names.
          output_names=[f'_{output}' if output.isdigit() else output],
          verbose=False,
          **options,
        )
      _forget_weights(made)
      # Tracing follows the way that one image takes.
      is_one_way = exporter.traces and any(_CHOICE in each for each in reasons)
      return exporter.name + (_ONE_WAY if is_one_way else '')
    except Exception as error:  # They raise anything.
      reasons.append(f'{exporter.name}: {_reason(error)}')
  raise GraphError(
    'PyTorch cannot export it to ONNX. Choose a representation further in '
    'front (`representation`, the path of a module): nothing behind it is '
    f'exported. {" ".join(reasons)}'
  )


def export_program(
  torch: types.ModuleType, program: Any, output: str, path: str
) -> str:
  """Writes the ONNX file of an exported program; see `export`."""
  try:
    with quietly():
      made = torch.onnx.export(
        program,
        (),
        path,
        input_names=['image'],
        output_names=[output],
        verbose=False,
        dynamo=True,
      )
    _forget_weights(made)
  except Exception as error:
    raise GraphError(
      f'PyTorch cannot export it to ONNX: {_reason(error)} A program is '
      'exported as a whole: make one that ends at the representation, or give '
      'the module that it was made of, which is cut there (`representation`).'
    ) from error
  return 'torch.export'


def _forget_weights(made: Any) -> None:
  """Takes the weights out of what an exporter returned, once it is written.

  Rules of onnxscript's optimiser keep the graph that they looked at last. There
  may be weights in it that were computed from a module's, as those of a
  convolution and the normalisation behind it.

  Args:
    made: Of `torch.onnx.export`; None is what its older exporter returns.
  """
  if made is not None:
    for value in made.model.graph.initializers.values():
      value.const_value = None


def _reason(error: BaseException) -> str:
  """Returns the first cause of an error, in a sentence, and where it lies."""
  module = ''
  while True:
    module = _module_of(error) or module
    if error.__cause__ is None:
      break
    error = error.__cause__
  place = f' (in the module {module!r})' if module else ''
  return f'{type(error).__name__}{place}: {brief(error, 300)}'


def _module_of(error: BaseException) -> str:
  """Returns the path of the module that could not be exported, if it is known.

  What torch.export says does not name it, but the node that it was at does.
  """
  found = ''
  for frame, _ in traceback.walk_tb(error.__traceback__):
    meta = getattr(frame.f_locals.get('node'), 'meta', None)
    stack = meta.get('nn_module_stack') if isinstance(meta, dict) else None
    if stack:
      path, _ = list(stack.values())[-1]
      found = str(path).rpartition(file.ORIGINAL)[2]
  return found


@contextlib.contextmanager
def quietly() -> Iterator[None]:
  """Keeps what PyTorch says of its steps from the user."""
  loggers = [logging.getLogger(name) for name in _LOGGERS]
  levels = [logger.level for logger in loggers]
  try:
    for logger in loggers:
      logger.setLevel(logging.CRITICAL)
    with (
      warnings.catch_warnings(),
      contextlib.redirect_stdout(io.StringIO()),
      contextlib.redirect_stderr(io.StringIO()),
      # The TorchScript exporter prints the whole graph where it fails, beside
      # Python, and has no option not to.
      quiet.silent_stdout(),
    ):
      warnings.simplefilter('ignore')
      yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)
