"""Cuts modules of PyTorch at a representation, and gives them other weights.

PyTorch is imported where it is used: most users have no need of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import dataclasses
import mmap
import os
import re
import sys
import types
from typing import Any

from frozen_graphs import tensors
from frozen_graphs.errors import GraphError, brief
from frozen_graphs.formats import converter
from frozen_graphs.formats.onnx import file

# What answers, in place of seeing: by the first part of a module's path.
_HEADS = re.compile(
  r'(aux|aux_\w+|\w*classifier\w*|fc\w*|heads?|\w+_head|logits)\d*'
)
# By class, where the original is.
_WRAPPERS = {
  'OptimizedModule': '_orig_mod',
  'DataParallel': 'module',
  'DistributedDataParallel': 'module',
}
_IN_SCRIPT = 'TorchScript interpreter'  # An error of a compiled module.
# Of the largest value: of sums in another order, of other images in a batch.
_ROUNDING, _OF_OTHERS = 1e-5, 1e-2
_IN_FRONT = (
  'or choose a representation in front of it (`representation`, the path of a '
  'module)'
)
_NO_FEATURES = re.compile('Pool|Dropout|Flatten|Identity|Softmax')


def require() -> types.ModuleType:
  """Returns the package torch; raises GraphError if it is not installed."""
  converter.require('onnx', of_format='PyTorch', extra='torch')
  converter.require('onnxscript', of_format='PyTorch', extra='torch')
  keep_triton_out()
  return converter.require('torch', of_format='PyTorch')


def keep_triton_out() -> None:
  """Makes PyTorch do without triton, a compiler for GPUs, in this process.

  Its library and TensorFlow's hold two versions of LLVM: the process crashes
  where it is loaded after TensorFlow. To export needs no compiler.
  """
  sys.modules.setdefault('triton', None)  # type: ignore[arg-type]


@contextlib.contextmanager
def gradients() -> Iterator[None]:
  """Within it PyTorch computes gradients, in single precision, by its modules.

  Whatever the caller has around it: no_grad, inference_mode, autocast. Without
  gradients transformers would take a short cut past the modules inside.
  """
  torch = require()
  takes_short_cuts = torch.backends.mha.get_fastpath_enabled()
  torch.backends.mha.set_fastpath_enabled(False)
  try:
    with (
      torch.inference_mode(False),
      torch.enable_grad(),
      torch.autocast('cpu', enabled=False),
    ):
      yield
  finally:
    torch.backends.mha.set_fastpath_enabled(takes_short_cuts)


def named(name: str, function: Callable[[Any], Any], module: Any) -> Any:
  """Returns a module whose only child `name` computes a function of images.

  Args:
    name: Of the child, by which the result can be asked for.
    function: Of images; it may run `module`.
    module: With the weights, in inference mode.
  """
  torch = require()

  class Computed(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.add_module(file.ORIGINAL.rstrip('.'), module)

    def forward(self, image):
      return function(image)

  class Holder(torch.nn.Module):
    def forward(self, image):
      return getattr(self, name)(image)

  holder, computed = Holder(), Computed()
  holder.add_module(name, computed)
  holder.training = computed.training = False  # Some cannot be told by `eval`.
  return holder


def unwrapped(module: Any) -> Any:
  """Returns what `torch.compile` or `DataParallel` was made of.

  To export needs the original, and would compile for minutes.
  """
  while (kind := type(module).__name__) in _WRAPPERS:
    module = getattr(module, _WRAPPERS[kind])
  return module


def called(module: Any) -> str:
  """Returns the class of a module, of one by `named` that of its original."""
  children = dict(module.named_modules()) if module is not None else {}
  ends = [p for p in children if f'.{p}.'.endswith(f'.{file.ORIGINAL}')]
  inner = children[max(ends, key=len)] if ends else module
  return type(inner).__qualname__


def until(
  module: Any, path: str, stops: bool = True, runs: int = 1
) -> Callable[[Any], Any]:
  """Returns the function of images that ends at a module inside another.

  Args:
    module: The whole.
    path: Of the module inside, as 'layer4' or 'blocks.6'; '' is the whole.
    stops: Whether nothing behind that module is run. torch.export loses its
      place where a module does not come to its end.
    runs: How often that module is run, see `runs_of`; it counts as it is run
      last.

  Raises:
    GraphError: If there is none of that path.
  """
  if not path:
    return lambda image: first_tensor(module(image))
  inside = submodule(module, path)

  class Reached(Exception):
    pass

  def function(image):
    outputs = []

    def note(_module, _inputs, output):
      outputs.append(output)
      if stops and len(outputs) == runs:
        raise Reached

    handle = inside.register_forward_hook(note)
    try:
      module(image)
    except Reached:
      pass
    finally:
      handle.remove()
    if not outputs:
      raise GraphError(f'the module {path!r} is not run on an image.')
    return first_tensor(outputs[-1])

  return function


def runs_of(module: Any, path: str, images: Any) -> int:
  """Returns how often a module inside another is run on images.

  As an activation that several layers share, or weights that are used again.

  Args:
    module: The whole, in inference mode.
    path: Of the module inside.
    images: float32 [N, C, H, W].

  Raises:
    GraphError: If there is none of that path, or it is not run.
  """
  runs = [0]

  def count(*_):
    runs[0] += 1

  handle = submodule(module, path).register_forward_hook(count)
  try:
    run(module, images)
  except GraphError:
    # What is behind it may not run on such images.
    if not runs[0]:
      raise
  finally:
    handle.remove()
  if not runs[0]:
    raise GraphError(f'the module {path!r} is not run on an image.')
  return runs[0]


def submodule(module: Any, path: str) -> Any:
  """Returns the module of a path; raises GraphError if there is none."""
  known = dict(module.named_modules())
  if path not in known:
    like = tensors.alike(path, filter(None, known))
    raise GraphError(
      f'it has no module {path!r}.{tensors.closest(like)} '
      f'Its parts are {", ".join(name for name, _ in module.named_children())}.'
    )
  if _is_compiled(known[path]):
    raise GraphError(
      f'the module {path!r} is compiled (TorchScript), and nothing inside can '
      'be chosen, nor itself; give the module that it was made of, or another '
      'representation (`representation`).'
    )
  return known[path]


def _is_compiled(module: Any) -> bool:
  """Returns whether a module is TorchScript, which nothing can be hooked to."""
  return isinstance(module, require().jit.ScriptModule)


def first_tensor(output: Any) -> Any:
  """Returns the first tensor of what a module returns.

  Raises:
    GraphError: If there is none.
  """
  found = next(_tensors(output), None)
  if found is None:
    raise GraphError(
      f'it returns a {type(output).__qualname__} without a tensor; choose a '
      'module inside (`representation`).'
    )
  return found


def _tensors(output: Any) -> Iterator[Any]:
  """Yields the tensors of a result, at any depth, in their order."""
  if hasattr(output, 'shape'):
    yield output
    return
  if dataclasses.is_dataclass(output):
    output = vars(output)
  if isinstance(output, Mapping):
    output = output.values()
  if isinstance(output, Iterable) and not isinstance(output, str | bytes):
    for part in output:
      yield from _tensors(part)


def proposed(module: Any, images: Any) -> str:
  """Returns the path of the last features before the head.

  Of the modules that return a map of more than one place, or a row of tokens,
  it is the one that ends last; pooling and what is called a head do not count.

  Args:
    module: In inference mode.
    images: float32 [N, C, H, W].

  Returns:
    The path; '' if there is none inside, so that it is the whole.
  """
  found: list[str] = []

  def hook(path: str, kind: str) -> Callable:
    def note(_module, _inputs, output):
      shape = getattr(output, 'shape', ())
      if len(shape) in (3, 4) and shape[0] == len(images):
        # Of a map both sides; of tokens their number.
        places = shape[2:] if len(shape) == 4 else shape[1:2]
        if max(places) > 1 and not _NO_FEATURES.search(kind):
          found.append(path)

    return note

  handles = [
    inside.register_forward_hook(hook(path, type(inside).__name__))
    for path, inside in module.named_modules()
    if path and not is_of_head(path) and not _is_compiled(inside)
  ]
  try:
    run(module, images)
  except GraphError:
    # What is behind the features may not run on such images.
    if not found:
      raise
  finally:
    for handle in handles:
      handle.remove()
  return found[-1] if found else ''


def run(function: Callable[[Any], Any], images: Any) -> Any:
  """Returns what a function, or a module, gives of images, without gradients.

  Args:
    function: Whatever it may raise.
    images: float32 [N, C, H, W].

  Raises:
    GraphError: If it cannot be run on them.
  """
  torch = require()
  try:
    with torch.no_grad():
      return function(images.clone())  # Some write into them.
  except GraphError:
    raise
  except Exception as error:
    reason = f'{type(error).__name__}: {brief(error, 200)}'
    if _IN_SCRIPT in str(error):  # It ends with what is wrong.
      reason = brief(Exception(str(error).strip().splitlines()[-1]), 200)
    if path := _of_videos(function):
      raise GraphError(
        f'its module {path!r} takes volumes or videos, [N, channels, depth, '
        'height, width]; only networks of images can be converted.'
      ) from error
    raise GraphError(
      f'it cannot be run on images of shape {list(images.shape)}: '
      f'{reason.rstrip(".")}. '
      'Give some that it takes (`example_input`, [N, channels, height, '
      'width]), or of the size that it was made for (`image_size`, or '
      'resize(...) in the preprocessing), or the module inside that takes '
      'nothing but images.'
    ) from error


def _of_videos(function: Callable[[Any], Any]) -> str | None:
  """Returns the path of a convolution with three sides, None if none is."""
  nn = require().nn
  parts = function.named_modules() if isinstance(function, nn.Module) else ()
  paths = (path for path, each in parts if isinstance(each, nn.Conv3d))
  found = next(paths, None)
  return found and found.rpartition(file.ORIGINAL)[2]


def check_results(function: Callable[[Any], Any], images: Any) -> None:
  """Raises GraphError unless a function gives numbers of each image alone.

  Args:
    function: Of images; see `run`.
    images: float32 [2, C, H, W].
  """
  first, second = (_result(function, images[:1]) for _ in range(2))
  if not _agree(first, second, _ROUNDING):
    raise GraphError(
      'it gives another result each time, as it draws at random, or keeps '
      'something of earlier images; a dropout does whose `training` is always '
      f'True. Take that out, {_IN_FRONT}.'
    )
  try:
    both = _result(function, images)
  except GraphError:  # It may take one image only.
    return
  if len(both) == 2 and not _agree(first, both[:1], _OF_OTHERS):
    raise GraphError(
      'what it gives of an image depends on the others beside it, as does a '
      'normalisation without running statistics, or a mean over images. Take '
      f'that out, {_IN_FRONT}.'
    )


def _result(function: Callable[[Any], Any], images: Any) -> Any:
  """Returns numbers of images, as float64; see `check_results`."""
  torch = require()
  found = first_tensor(run(function, images))
  what = f'its result is of type {found.dtype}'
  if found.dtype in (torch.bfloat16, torch.float16):
    raise GraphError(
      f'{what}, which is too coarse to be compared; take out what narrows it, '
      f'as `torch.autocast` or `.half()` inside of the module, {_IN_FRONT}.'
    )
  if not found.is_floating_point() or found.layout != torch.strided:
    kind = what if found.layout == torch.strided else 'its result is sparse'
    raise GraphError(
      f'{kind}, through which no gradient flows; choose a representation in '
      'front of it (`representation`, the path of a module).'
    )
  if not found.dim() or len(found) != len(images):
    raise GraphError(
      f'its result has the shape {list(found.shape)} for {len(images)} '
      'image(s); its first dimension must be that of the images. Choose '
      'another one (`representation`, the path of a module).'
    )
  if not found.isfinite().all():
    raise GraphError(
      'its result has numbers that are not finite on the example; are its '
      'weights those that were trained, and its images of the right range '
      '(`example_input`)?'
    )
  return found.double()


def _agree(first: Any, second: Any, most: float) -> bool:
  """Returns whether results differ by a part of the largest value at most."""
  largest = float(first.abs().max()) if first.numel() else 0.0
  return bool((first - second).abs().max() <= most * largest)


def is_of_head(path: str) -> bool:
  """Returns whether a module, or a weight, is of what answers, by its path."""
  return bool(_HEADS.fullmatch(path.partition('.')[0]))


def put_aside(module: Any, folder: str | os.PathLike) -> Callable[[], None]:
  """Moves the weights of a module to a file, from which they are read anew.

  They stay as they are, but memory need not hold them.

  Args:
    module: Whose parameters nobody else holds.
    folder: Of the file, which may be deleted.

  Returns:
    What frees the memory that holds parts of the file, until they are used.
  """
  torch = require()
  weights = [
    each
    for each in dict.fromkeys(module.parameters())
    if each.dtype == torch.float32 and each.is_contiguous() and each.numel()
  ]
  if not weights:
    return lambda: None
  with open(os.path.join(folder, 'weights.bin'), 'w+b') as file:
    for each in weights:
      file.write(each.detach().numpy())
    file.flush()
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
  rest = torch.frombuffer(mapped, dtype=torch.float32)
  for each in weights:
    number = each.numel()
    each.data, rest = rest[:number].view(each.shape), rest[number:]
  return lambda: mapped.madvise(mmap.MADV_DONTNEED)


def randomise(module: Any, seed: int) -> None:
  """Draws what frameworks start from a constant, so that no step is nothing.

  A factor of 1 of a normalisation makes the mean of its results a constant,
  whose gradient is 0; a factor of 0 or 0.00001 of a branch takes the branch
  away. Other weights stay as the framework draws them.

  Args:
    module: With weights that its framework has drawn.
    seed: Of the numbers.
  """
  torch = require()
  generator = torch.Generator().manual_seed(seed)

  def uniform(like: Any, low: float, high: float) -> Any:
    return low + (high - low) * torch.rand(like.shape, generator=generator)

  with torch.no_grad():
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
      kind = name.rpartition('.')[2]
      if not value.is_floating_point() or not value.numel():
        continue
      if kind == 'running_var':
        value.copy_(uniform(value, 0.8, 1.2))
      elif kind == 'running_mean':
        value.copy_(0.05 * torch.randn(value.shape, generator=generator))
      elif isinstance(value, torch.nn.Parameter):
        if value.std(correction=0) > 1e-3:
          continue
        if abs(value.mean()) > 0.5:
          value.mul_(uniform(value, 0.8, 1.2))
        elif value.squeeze().dim() > 1 or 'bias' in kind or 'token' in kind:
          value.copy_(0.05 * torch.randn(value.shape, generator=generator))
        else:
          value.copy_(uniform(value, 0.3, 0.7))
