"""What the documentation site needs besides Markdown; MkDocs calls it.

Equations between dollars become MathML, which browsers draw without a script.
Links to files of the repository that are no pages become their names.
"""

import re

import latex2mathml.converter

_CODE = re.compile(r'(```.*?```|`[^`\n]*`)', re.DOTALL)
_BLOCK = re.compile(r'\$\$(.+?)\$\$', re.DOTALL)
_INLINE = re.compile(r'(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])')
_OUTSIDE = re.compile(r'\[([^\]]*)\]\(\.\./([^)]*)\)')


def on_page_markdown(markdown: str, **_: object) -> str:
  """Returns the page's text as it is to be rendered."""
  parts = _CODE.split(_OUTSIDE.sub(_named, markdown))
  # Every other part is code.
  parts[::2] = [
    _INLINE.sub(_inline, _BLOCK.sub(_block, part)) for part in parts[::2]
  ]
  return ''.join(parts)


def _named(link: re.Match) -> str:
  return f'{link[1]} (`{link[2]}` in the repository)'


def _block(found: re.Match) -> str:
  return latex2mathml.converter.convert(found[1].strip(), display='block')


def _inline(found: re.Match) -> str:
  # Without the span, one at the start of a line would end the paragraph.
  return f'<span>{latex2mathml.converter.convert(found[1].strip())}</span>'
