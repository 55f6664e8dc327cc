# SPDX-License-Identifier: Apache-2.0
"""What the pages of reports and comparisons have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #66717e; --line: #e3e7ec; --blue: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 2px; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 10px; font-weight: 650; }
h3 { font-size: 15px; margin: 22px 0 6px; font-weight: 600; color: var(--blue); }
p, li { max-width: 80ch; } .soft { color: var(--soft); }
.badge { display: inline-block; padding: 3px 12px; border-radius: 999px; font-weight: 600;
  font-size: 14px; color: #fff; background: #7d8793; }
.within { background: #2f855a; } .beyond { background: #b5333c; } .unclear { background: #b7791f; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px;
  margin: 20px 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; font-size: 22px; font-weight: 650; letter-spacing: -0.01em; }
.card span { color: var(--soft); font-size: 13px; }
figure { margin: 18px 0; background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 12px; } figure img { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; border-bottom: 1px solid #f0f2f5; }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.bad { color: #b5333c; font-weight: 600; } td.unsure { color: #b7791f; font-weight: 600; }
.open { background: #fdf3e1; border: 1px solid #e3b96a; border-radius: 10px; padding: 10px 16px;
  margin: 16px 0; } .open b { display: block; font-size: 17px; } .open ul { margin: 6px 0 4px; }
.open li { max-width: none; } ul { padding-left: 20px; }
.note { border-left: 3px solid #b7791f; padding-left: 12px; }
@media print { body { background: #fff; } main { padding: 0; } }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a whole page."""
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</main></body></html>",
        )
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text; a dash for none."""
    if value is None:
        return "&ndash;"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "&minus;")
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", "&minus;")
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "&minus;") if value else "0"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell that begins with <td is taken as it is."""
    head = "".join(cell if cell.startswith("<th") else f"<th>{cell}</th>" for cell in header)
    body = "".join(
        "<tr>"
        + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def items(lines: Sequence[str], shown: int) -> str:
    """Return lines as a list, no more than `shown` of them."""
    more = len(lines) - shown
    tail = f"<li>and {more} more, in the JSON file</li>" if more > 0 else ""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines[:shown]) + tail + "</ul>"
