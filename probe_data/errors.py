"""The errors of this package; their messages are meant for its users."""


class ImageFileError(ValueError):
  """A file that holds no complete image; the message gives the reason."""


class ProbeSetError(ValueError):
  """A probe set that cannot be had as asked for."""
