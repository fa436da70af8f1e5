"""A page that says what every study found, and links its files."""

from collections.abc import Mapping, Sequence
import dataclasses
import html
import pathlib

from experiments.studies import registry
from experiments.study import Finding, Study
from toolkit_basics import files

_MAX_ROWS = 60  # Of a table on the page; the file has all.
_STYLE = """
:root { --paper: #fff; --ink: #1d2126; --soft: #5a626c; --line: #d6dae0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e8eaed; --soft: #a9b1bb; --line: #3a4149; }
}
body { margin: 0 auto; max-width: 64rem; padding: 0 1rem 3rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
.source { color: var(--soft); } .headline { font-weight: 600; }
a { color: inherit; }
img { max-width: 100%; background: #fff; border-radius: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
"""


def write(study: Study, findings: Mapping[str, Finding]) -> pathlib.Path:
  """Writes `index.html` into the study's folder, and returns its path."""
  sections = [_section(study, name, found) for name, found in findings.items()]
  contents = ''.join(
    f'<li><a href="#{name}">{html.escape(registry.get(name).title)}</a></li>'
    for name in findings
  )
  settings = ''.join(
    f'<tr><td>{html.escape(key)}</td><td>{html.escape(str(value))}</td></tr>'
    for key, value in dataclasses.asdict(study.settings).items()
  )
  title = 'Deep Model Transferability from Attribution Maps, experiment by '
  title += f'experiment: {html.escape(study.bank.name)}'
  text = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<title>{title}</title><style>{_STYLE}</style></head><body>'
    f'<h1>{title}</h1><nav aria-label="Studies"><ol>{contents}</ol></nav>'
    f'<main>{"".join(sections)}</main><section><h2>Settings</h2>'
    f'<div class="scroll"><table>{settings}</table></div></section>'
    '</body></html>\n'
  )
  path = study.output / 'index.html'
  files.write_atomically(path, text.encode())
  return path


def _section(study: Study, name: str, finding: Finding) -> str:
  entry = registry.get(name)
  notes = ''.join(f'<p>{html.escape(note)}</p>' for note in finding.notes)
  shown = ''.join(
    _shown(study.output, f'{name}/{file}', entry.title)
    for file in finding.files
  )
  return (
    f'<section id="{name}"><h2>{html.escape(entry.title)}</h2>'
    f'<p class="source">{html.escape(entry.source)} &middot; '
    f'<code>python -m experiments.run_study {name}</code></p>'
    f'<p class="headline">{html.escape(finding.headline)}</p>{notes}{shown}'
    '</section>'
  )


def _shown(output: pathlib.Path, name: str, title: str) -> str:
  """Returns a picture, a table or a link."""
  link = html.escape(name)
  if name.endswith('.png'):
    text = html.escape(f'{title}: {pathlib.Path(name).stem}')
    return f'<p><a href="{link}"><img src="{link}" alt="{text}"></a></p>'
  if name.endswith('.csv'):
    return (
      f'<details><summary>{link}</summary><p><a href="{link}">The file</a></p>'
      f'<div class="scroll">{_table(output / name)}</div></details>'
    )
  return f'<p><a href="{link}">{link}</a></p>'


def _table(path: pathlib.Path) -> str:
  header, *others = files.read_csv(path)[:_MAX_ROWS]
  cells = ''.join(f'<th scope="col">{html.escape(x)}</th>' for x in header)
  body = ''.join(f'<tr>{_cells(row)}</tr>' for row in others)
  return f'<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def _cells(row: Sequence[str]) -> str:
  return ''.join(f'<td>{html.escape(_short(cell))}</td>' for cell in row)


def _short(cell: str) -> str:
  """Returns a cell, a number with four digits that count."""
  try:
    return f'{float(cell):.4g}'
  except ValueError:
    return cell
