"""What a page says first: the answer, in words.

Whoever has an answer makes an `Answer` of it, and gives it to `report.Shown`:

  answer = Answer(
    paragraphs=('Transfer from keypoint3d (92 % of image resamplings ...).',),
    table=[('rank', 'network', 'score'), (1, 'keypoint3d', 0.71), ...],
    note='Scores are LogME, in nats an image.',
  )
  report.write(path, report.Shown(title=..., lead=..., answer=answer))
"""

from collections.abc import Sequence
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Answer:
  """An answer, as it stands at the top of a page.

  Attributes:
    paragraphs: Plain text, no HTML. The first one is the answer itself, in a
      sentence or two, and is set larger; those behind it say how far to trust
      it, one idea each.
    table: Rows of cells under a header, the best row first; empty if there is
      none. A cell is a text, an integer, or a float, which is shown with three
      decimals; NaN is shown as a dash.
    note: What the columns mean; below the table.
  """

  paragraphs: Sequence[str]
  table: Sequence[Sequence[object]] = ()
  note: str = ''

  def __post_init__(self):
    if not self.paragraphs:
      raise ValueError('An answer has a paragraph at least.')
    if len(lengths := {len(row) for row in self.table}) > 1:
      raise ValueError(f'Rows of one table have {sorted(lengths)} cells.')

  def texts(self) -> dict[str, object]:
    """Returns the answer by its attributes, every cell as it is shown."""
    return {
      'paragraphs': list(self.paragraphs),
      'table': [[_shown(cell) for cell in row] for row in self.table],
      'note': self.note,
    }

  def to_markdown(self) -> str:
    """Returns paragraphs, table and note as Markdown."""
    table = markdown_table(self.table) if self.table else ''
    parts = [*self.paragraphs, table, self.note]
    return '\n\n'.join(filter(None, parts)) + '\n'


def markdown_table(rows: Sequence[Sequence[object]]) -> str:
  """Returns a Markdown table of rows, a header first."""
  header, *others = rows
  lines = [header, ['---'] * len(header), *others]
  return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def _cell(value: object) -> str:
  """Returns a value as one cell of a table."""
  return ' '.join(_shown(value).split()).replace('|', r'\|')


def _shown(value: object) -> str:
  if isinstance(value, float):
    text = '–' if math.isnan(value) else f'{value:.3f}'
    return '0.000' if text == '-0.000' else text
  return str(value)
