"""Loads what PyTorch runs: a module in memory, a .pt2 or a TorchScript file.

PyTorch exports it to ONNX in a temporary folder, which the ONNX reader reads.
Before that is handed on, its representation and its gradient on an image are
compared with PyTorch's.
"""

from collections.abc import Callable, Iterator
import contextlib
import copy
import dataclasses
import functools
import itertools
import os
import re
import sys
import tempfile
import types
from typing import Any

import numpy as np

from frozen_graphs import budget, named_graph
from frozen_graphs.errors import (
  GraphError,
  OpenSizeError,
  about,
  explaining,
)
from frozen_graphs.formats.onnx import file as onnx_file
from frozen_graphs.formats.onnx import model as onnx_model
from frozen_graphs.formats.torch import (
  compare,
  exporting,
  programs,
  surgery,
)
from frozen_graphs.frozen import FrozenNetwork
from frozen_graphs.network import Network
from toolkit_basics import memory

_FILE = 'model.onnx'
_AMPLE = 16  # Times the budget of a stranger's file.
_QUANTISED = re.compile(r'\.quantized\b')  # In the name of what defines it.
_NOT_YET = 'FloatFunctional'  # It will be quantised.
_WHOLE = 'features'  # What the result of a whole module is called.


def matches(path: str | os.PathLike) -> bool:
  """Returns whether a file holds a program of PyTorch."""
  return programs.kind_of(path) is not None


def accepts(source: object) -> bool:
  """Returns whether an object is a module of PyTorch."""
  torch = sys.modules.get('torch')
  return torch is not None and isinstance(source, torch.nn.Module)


def load(
  source: Any,
  *,
  example_input: Any = None,
  representation: str | None = None,
  image_size: int | tuple[int, int] | None = None,
  trust: str | None = None,
  owned: bool = False,
) -> FrozenNetwork:
  """Loads a network of PyTorch.

  Args:
    source: A torch.nn.Module, or the path of a file.
    example_input: float [N, channels, height, width], as the module takes it:
      the network is compared with PyTorch on it. Default: noise of
      `image_size`, with three channels.
    representation: Path of a module inside, such as 'layer4': nothing behind
      it is exported, nor need be known. Default: the last features before the
      head. Of a file it is a tensor of the graph.
    image_size: (height, width), or one number, where no example is given.
    trust: Must be 'code' for a file, which runs what is in it.
    owned: Whether nobody else has the module, so that its weights may be moved
      out of memory.

  Returns:
    The network. Images are fed as [N, H, W, C]; the representation, whose name
    is the module's path, has the axes of PyTorch.

  Raises:
    GraphError: If it cannot be exported or read, or computes something else
      than PyTorch does.
    OSError: If a file cannot be read.
  """
  if isinstance(source, str | os.PathLike):
    return _of_file(source, example_input, image_size, trust)
  torch, source = surgery.require(), surgery.unwrapped(source)
  what = f'PyTorch {surgery.called(source)}'
  with surgery.gradients():
    images = _images(torch, example_input, image_size)
    with about(what), _inference(source):
      _check_weights(torch, source)
      weights = itertools.chain(source.parameters(), source.buffers())
      if any(each.is_inference() for each in weights):
        with explaining('it was made within torch.inference_mode', Exception):
          source, owned = copy.deepcopy(source), True
      return _of_module(torch, source, images, representation, what, owned)


def _of_file(
  path: str | os.PathLike,
  example_input: Any,
  image_size: int | tuple[int, int] | None,
  trust: str | None,
) -> FrozenNetwork:
  module, program = programs.read(path, trust)
  torch = surgery.require()
  what = f'PyTorch program {path}'
  with surgery.gradients():
    own, name = programs.example(program)
    images = _images(torch, example_input if own is None else own, image_size)
    with about(what), tempfile.TemporaryDirectory() as folder:
      _check_weights(torch, module)
      run = (lambda image: module(**{name: image})) if name else module
      surgery.check_results(run, images)
      file = os.path.join(folder, _FILE)
      if program is None:
        by = exporting.export(torch, module, module, images, _WHOLE, file)
      else:
        by = exporting.export_program(torch, program, _WHOLE, file)
      computed = functools.partial(compare.reference, torch, run)
      return _read(file, computed, images, f'{what} ({by}', partial=True)


def _of_module(
  torch: types.ModuleType,
  module: Any,
  images: Any,
  representation: str | None,
  what: str,
  owned: bool,
) -> FrozenNetwork:
  if isinstance(module, torch.jit.ScriptModule):
    if representation:
      raise GraphError(
        'it is compiled, and nothing inside can be chosen; give the module '
        'that it was made of.'
      )
    path, whole, stopping = '', module, module
  else:
    path = representation or _proposed(module, images)
    runs = surgery.runs_of(module, path, images[:1]) if path else 1
    whole = _cut(module, path, False, runs)
    stopping = _cut(module, path, True, runs)
  surgery.check_results(stopping, images)
  with tempfile.TemporaryDirectory() as folder:
    file = os.path.join(folder, _FILE)
    name = path or _WHOLE
    leave = surgery.put_aside(module, folder) if owned else lambda: None
    by = exporting.export(torch, whole, stopping, images, name, file)
    leave()

    def computed(images: Any) -> compare.Reference:
      found = compare.reference(torch, stopping, images)
      leave()
      return found

    frozen = _read(file, computed, images, f'{what} ({by}')
  return _called(frozen, name)


def _proposed(module: Any, images: Any) -> str:
  try:
    return surgery.proposed(module, images)
  except GraphError:  # It may take one image only.
    return surgery.proposed(module, images[:1])


def _called(frozen: FrozenNetwork, name: str) -> FrozenNetwork:
  """Returns a network whose only output is called as its module is."""
  (output,) = frozen.outputs
  end = next(n for n in frozen.graph_def.node if output == f'{n.name}:0')
  end.name = named_graph.legal(name)
  output = f'{end.name}:0'
  return dataclasses.replace(frozen, outputs=(output,), representation=output)


def _read(
  path: str,
  computed: Callable[[Any], compare.Reference],
  images: Any,
  what: str,
  partial: bool = False,
) -> FrozenNetwork:
  """Returns the network of a file, compared with its module."""
  # The file is no stranger's: it may take its time, as PyTorch has.
  allowed = budget.Budget(_AMPLE * sum(map(os.path.getsize, _files(path))))
  compared = 'its results are not compared, as they cannot be computed'
  memory.give_back()
  with allowed.spent():
    with _read_as_ours(path):
      made = onnx_model.load(path, layout='channels_first', partial=partial)
    wanted = None if made.left_out else made.outputs[0]
    network = Network(made, None, wanted, 'the graph')
    del made  # So that memory need not hold the graph while others compute.
    if wanted:
      with network.aside():
        first = computed(images)
      compared = compare.check(network, first, computed)
  memory.give_back()
  return dataclasses.replace(network.frozen, source=f'{what}; {compared})')


@contextlib.contextmanager
def _read_as_ours(path: str) -> Iterator[None]:
  """Takes a file that users do not know out of errors, and adds a way on."""
  try:
    yield
  except GraphError as error:
    text = str(error).removeprefix(f'{path}: ')
    way_on = '' if '`representation`' in text else f' {compare.ANOTHER}'
    raise type(error)(text + way_on) from error


def _files(path: str) -> list[str]:
  """Returns a model's file, and those of its weights."""
  folder = os.path.dirname(path)
  return [os.path.join(folder, name) for name in os.listdir(folder)]


def _cut(module: Any, path: str, stops: bool, runs: int) -> Any:
  function = surgery.until(module, path, stops, runs)
  return surgery.named(_WHOLE, function, module)


def _images(
  torch: types.ModuleType, given: Any, size: int | tuple[int, int] | None
) -> Any:
  """Returns two images, float32 [2, C, H, W]."""
  if given is None:
    if size is None:
      raise OpenSizeError(
        'A module of PyTorch does not say how large its images are; give one '
        '(`example_input`, [1, channels, height, width]), or their side '
        '(`image_size`).'
      )
    sides = (size, size) if isinstance(size, int) else tuple(size)
    noise = np.random.default_rng(0).normal(size=(2, 3, *sides))
    given = noise.astype(np.float32)
  with explaining('`example_input` is no images', Exception):
    if not isinstance(given, torch.Tensor):
      given = np.asarray(given)
    if given.ndim != 4 or 0 in given.shape:
      raise GraphError(
        f'`example_input` has the shape {tuple(given.shape)}, but images need '
        '[N, channels, height, width].'
      )
    if getattr(given, 'layout', torch.strided) != torch.strided:
      raise GraphError('`example_input` is sparse; give `images.to_dense()`.')
    given = given[:2]  # No more are needed, of how many there are.
    if isinstance(given, np.ndarray):
      given = torch.as_tensor(np.array(given, order='C'))
    if given.is_complex():
      raise GraphError('`example_input` has complex numbers; give real ones.')
    images = given.detach().cpu().float().clone()
  if len(images) == 1:
    images = torch.cat([images, images.flip(3)])
  return images


def _check_weights(torch: types.ModuleType, module: Any) -> None:
  for path, each in module.named_modules():
    kind = type(each).__name__
    if _QUANTISED.search(type(each).__module__) and kind != _NOT_YET:
      path = path.rpartition(onnx_file.ORIGINAL)[2]
      raise GraphError(
        f'the module {path!r} ({kind}) computes with whole '
        'numbers, through which no gradient flows; give the network as it was '
        'before it was quantised.'
      )
  for path, value in module.named_parameters():
    name = path.rpartition(onnx_file.ORIGINAL)[2]
    if torch.nn.parameter.is_lazy(value):
      raise GraphError(
        f'the weight {name!r} has no shape yet; give the module as it is once '
        'images have been run through it (`module(images)`).'
      )
    if value.is_floating_point() and value.dtype != torch.float32:
      raise GraphError(
        f'the weight {name!r} is of type {value.dtype}; give the module in '
        '32 bits (`module.float()`).'
      )
    if value.device.type == 'meta':
      raise GraphError(
        f'the weight {name!r} has no numbers yet; give the module with its '
        'weights loaded (`module.load_state_dict(..., assign=True)`).'
      )
    if value.device.type != 'cpu':
      raise GraphError(
        f'the weight {name!r} is on {value.device}; give the module on the '
        'CPU (`module.cpu()`).'
      )


@contextlib.contextmanager
def _inference(module: Any) -> Iterator[None]:
  """Within it, a module is in inference mode; afterwards as it was."""
  # Frozen TorchScript has no mode.
  modes = {m: m.training for m in module.modules() if hasattr(m, 'training')}
  try:
    for each in modes:
      each.training = False
    yield
  finally:
    for each, mode in modes.items():
      each.training = mode
