"""Page: one file of HTML that needs nothing else, for screens wide and narrow, light and dark."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vecload._version import __version__
from vecload.errors import VecloadError
from vecload.safe_text import escaped as printable

BEGINS = "<!doctype html>\n<!-- a report of vecload -->"
"""How a report begins: only such a file is replaced."""


class Markup(str):
    """HTML, as it goes into a page. Any other text is escaped."""

    __slots__ = ()


def escaped(text: object) -> Markup:
    """A text as HTML shows it: on one line, without markup."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(printable(str(text))))


def section(title: str, *parts: str) -> Markup:
    """A part of a page with a heading; nothing if it is empty."""
    inside = "\n".join(escaped(part) for part in parts if part)
    return Markup(f"<section><h2>{escaped(title)}</h2>\n{inside}\n</section>" if inside else "")


def paragraph(text: object) -> Markup:
    """A paragraph; nothing for no text."""
    return Markup(f"<p>{escaped(text)}</p>" if text else "")


def pictures(*figures: tuple[str, Markup]) -> Markup:
    """Pictures next to each other, as many as there is room for.

    Args:
        figures: Captions and pictures.
    """
    inside = "".join(
        f"<figure><figcaption>{escaped(caption)}</figcaption>{picture}</figure>"
        for caption, picture in figures
    )
    return Markup(f'<div class="pictures">{inside}</div>' if inside else "")


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names and values, of those that have one."""
    inside = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>"
        for name, value in pairs
        if value not in (None, "")
    )
    return Markup(f"<dl>{inside}</dl>" if inside else "")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = 100) -> Markup:
    """A table; nothing without rows. Numbers are to the right.

    Args:
        head: The names of the columns.
        rows: The cells. A float from 0 to 1 is shown as a bar.
        most: Rows that are shown; more are only counted.
    """
    every = [*rows]
    if not every:
        return Markup("")
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in every[:most])
    heads = "".join(
        f"<th{_RIGHT if isinstance(first, int) else ''}>{escaped(name)}</th>"
        for name, first in zip(head, every[0], strict=True)
    )
    more = paragraph(f"{len(every) - most:,} more are not shown.") if len(every) > most else ""
    return Markup(f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>{more}')


_RIGHT = ' class="number"'


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        value = "" if value is None else str(value).lower()
    if isinstance(value, float):
        part = min(max(value, 0.0), 1.0) * 100
        return f'<td class="bar"><div><i style="width:{part:.1f}%"></i></div><span>{part:.0f}%</span></td>'
    if isinstance(value, int):
        return f"<td{_RIGHT}>{value:,}</td>"
    return f"<td>{escaped(value)}</td>"


def details(title: str, text: str) -> Markup:
    """A long text that opens on demand; its lines stay lines."""
    lines = "\n".join(escaped(line) for line in text.splitlines())
    return Markup(f"<details><summary>{escaped(title)}</summary><pre>{lines}</pre></details>")


def page(title: str, state: str, parts: Iterable[str], *, good: bool) -> str:
    """A whole page.

    Args:
        title: Its title.
        state: A few words on how it ended.
        parts: Its sections.
        good: Whether it ended well.
    """
    mood = "good" if good else "bad"
    inside = "\n".join(escaped(part) for part in parts if part)
    return f"""{BEGINS}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="vecload {escaped(__version__)}">
<title>{escaped(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{escaped(title)}</h1><p class="state {mood}">{escaped(state)}</p></header>
<main>
{inside}
</main>
<footer>vecload {escaped(__version__)}</footer>
</body>
</html>
"""


def _colours(values: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in values.items())


_LIGHT = {
    "paper": "#fff",
    "card": "#f6f7f9",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "grid": "#e3e6ea",
    "band": "#c9d8ee",
    "good": "#116329",
    "bad": "#a40e26",
    "series-0": "#2f6fba",
    "series-1": "#c4622d",
    "series-2": "#3a8a4d",
    "series-3": "#9a4fb3",
    "series-4": "#b58a00",
    "series-5": "#2a9d9d",
    "series-6": "#c03a6b",
    "series-7": "#6b7280",
}
_DARK = {
    "paper": "#14171c",
    "card": "#1d2229",
    "ink": "#e6e9ed",
    "muted": "#9aa4b0",
    "grid": "#323a44",
    "band": "#2c4263",
    "good": "#57ab6a",
    "bad": "#f47067",
    "series-0": "#6ea8ec",
    "series-1": "#eb9566",
    "series-2": "#6cc486",
    "series-3": "#c88be0",
    "series-4": "#d9b54a",
    "series-5": "#5fc9c9",
    "series-6": "#ec7ba4",
    "series-7": "#a0a8b4",
}
_STYLE = (
    f":root{{color-scheme:light dark;{_colours(_LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_colours(_DARK)}}}}}"
    """
*{box-sizing:border-box}
body{margin:0 auto;max-width:78rem;padding:1rem clamp(.75rem,3vw,2rem);background:var(--paper);
 color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:0 0 .6rem}
header{border-bottom:1px solid var(--grid);padding-bottom:.8rem}
.state{margin:.2rem 0 0;font-weight:600;overflow-wrap:anywhere}
.good{color:var(--good)}.bad{color:var(--bad)}
section{margin:1.6rem 0}
p{margin:.4rem 0;max-width:62rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,11rem),1fr));gap:.6rem;margin:0 0 .6rem}
dl div{background:var(--card);border-radius:.4rem;padding:.5rem .7rem}
dt{color:var(--muted);font-size:.85rem}
dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:.4rem;padding:.7rem}
figcaption{color:var(--muted);font-size:.9rem;min-height:3em}
svg{display:block;width:100%;height:auto}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--grid);
 overflow-wrap:break-word}
th{color:var(--muted);font-weight:500;font-size:.85rem}
.number{text-align:right;font-variant-numeric:tabular-nums}
.bar{width:30%;min-width:8rem;white-space:nowrap}
.bar div{display:inline-block;width:calc(100% - 3.5rem);height:.6rem;background:var(--grid);
 border-radius:.3rem}
.bar i{display:block;height:100%;background:var(--series-0);border-radius:.3rem}
.bar span{margin-left:.5rem;font-variant-numeric:tabular-nums}
pre{overflow-x:auto;background:var(--card);padding:.7rem;border-radius:.4rem;font-size:.85rem}
footer{color:var(--muted);font-size:.85rem;margin-top:2rem}
"""
)


def write_page(file: str, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        VecloadError: It can't be written.
    """
    path = Path(file)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with aside.open("x", encoding="utf-8") as written:
                written.write(text)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise VecloadError(f"--report {file} can't be written: {error.strerror}") from None
