"""The formats that networks are stored in; each module beside this registers.

A format is a module, or a package, of `frozen_graphs.formats` that calls
`register` when it is imported. Packages that only one format needs are imported
inside its functions.
"""

from collections.abc import Callable
import dataclasses
import errno
import inspect
import os
import stat
from typing import Any

from frozen_graphs.errors import GraphError
from frozen_graphs.frozen import FrozenNetwork
from toolkit_basics.registry import Registry

# Understood by `frozen_graphs.load` where a format does not take them itself.
_OF_EVERY_FORMAT = frozenset({
  'constants', 'image_size', 'input', 'partial', 'representation', 'trust',
})  # fmt: skip
_CONFIG = 'config.json'  # Of a folder by `save_pretrained`.
_WEIGHTS = ('.safetensors', '.pth', '.pt', '.bin', '.ckpt')  # Ends of names.


@dataclasses.dataclass(frozen=True)
class Format:
  """How networks are stored.

  Attributes:
    name: For `format=` and messages.
    load: Returns the network of a path, or of an object that it accepts; its
      other arguments are the format's options.
    matches: Whether a path, or a handle, is of this format.
    accepts: Whether an object that is no path is.
  """

  name: str
  load: Callable[..., FrozenNetwork]
  matches: Callable[[str | os.PathLike], bool] = lambda path: False
  accepts: Callable[[object], bool] = lambda source: False

  def options(self, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the options for `load`, out of those given that are not None.

    Raises:
      GraphError: If the format does not know an option.
    """
    parameters = list(inspect.signature(self.load).parameters)[1:]
    given = {key: value for key, value in given.items() if value is not None}
    if unknown := sorted(given.keys() - {*parameters, *_OF_EVERY_FORMAT}):
      known = sorted(set(parameters) - _OF_EVERY_FORMAT)
      raise GraphError(
        f'The format {self.name} has no option {", ".join(unknown)}; it has '
        f'{", ".join(known) or "none"}.'
      )
    return {key: value for key, value in given.items() if key in parameters}


def _check_kind(path: str | os.PathLike) -> None:
  """Raises GraphError for what is there, but is neither file nor folder."""
  try:
    mode = os.stat(path).st_mode
  except FileNotFoundError:
    return  # Perhaps a handle, or the prefix of several files.
  except (OSError, ValueError) as error:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
      raise GraphError(f'{path} is a link that leads to itself.') from error
    return
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    raise GraphError(
      f'{path} is neither a file nor a folder, but a pipe, a device or a '
      'socket.'
    )


FORMATS: Registry[Format] = Registry('format', 'frozen_graphs.formats')


def register(entry: Format) -> None:
  """Makes a format known to `frozen_graphs.load`."""
  FORMATS.register(entry.name)(entry)


def of(source: object, name: str | None = None) -> Format:
  """Returns the format of a path, a handle or an object.

  Args:
    source: What is to be loaded.
    name: Of the format, if it is known.

  Raises:
    GraphError: If it is of none.
    FileNotFoundError: If there is nothing at a path.
  """
  if name is not None:
    return FORMATS.get(name)
  formats = [entry for _, entry in FORMATS.items()]
  if not isinstance(source, str | os.PathLike):
    for entry in formats:
      if entry.accepts(source):
        return entry
    raise GraphError(
      f'{type(source).__module__}.{type(source).__qualname__} is neither a '
      'path nor a model of Keras (tf.keras or tf_keras), nor a module of '
      'PyTorch. Save modules of TensorFlow with tf.saved_model.save, and pass '
      'the folder.'
    )
  _check_kind(source)
  for entry in formats:
    if entry.matches(source):
      return entry
  if not os.path.exists(source):
    raise FileNotFoundError(f'There is no file or folder {source}.')
  if str(source).lower().endswith(_WEIGHTS):
    raise GraphError(
      f'{source} is by its name a file of weights without a network. Name the '
      "network that they are of, as 'timm:resnet18', and give the file "
      'beside it (`checkpoint=FILE`).'
    )
  if os.path.isfile(os.path.join(source, _CONFIG)):
    raise GraphError(
      f'{source} is a folder as transformers of Hugging Face writes it; name '
      f"it so: 'hf:{source}'."
    )
  raise GraphError(
    f'{source} is of no format that is known by its name: '
    f'{", ".join(FORMATS)}. Say which it is (`format`).'
  )
