"""A model is data, not code: what is known of one frozen encoder."""

import dataclasses

from toolkit_basics import files


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A frozen encoder.

  Attributes:
    name: Unique in its bank; also names its files in the results.
    graph: Path of the frozen GraphDef.
    input_tensor: For example 'input:0'.
    representation_tensor: For example 'representation:0'.
    preprocessing: T, from probe images to the input, as
      `attribution.preprocessing` reads it. A wrong range fails silently.
    label: As shown in figures.
    group: Colour of its leaf in the similarity tree; None if unknown.
    sha256: Hex digest that the graph file must have; None if unknown.
  """

  name: str
  graph: str
  input_tensor: str
  representation_tensor: str
  preprocessing: str
  label: str
  group: str | None = None
  sha256: str | None = None

  def digest(self) -> str:
    """Returns the sha256 of the graph file, checked if one is known.

    Raises:
      ValueError: If the file is not the one that the bank describes.
      OSError: If it cannot be read.
    """
    found = files.sha256(self.graph)
    if self.sha256 is not None and found != self.sha256:
      raise ValueError(
        f'{self.name}: the sha256 of {self.graph} is {found}, but the bank '
        f'says {self.sha256}. The file was changed or is damaged; get it anew.'
      )
    return found
