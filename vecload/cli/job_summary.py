"""The job summary of GitHub Actions: what a load came to, as Markdown in the file GITHUB_STEP_SUMMARY."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

VARIABLE = "GITHUB_STEP_SUMMARY"
TEXT_CHARACTERS = 500
"""Characters of a name or an error that are shown."""
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!|~@:-])")


def job_summary(command: str, exit_code: int, error: str, ended: Mapping[str, Any] | None) -> str:
    """A section of Markdown.

    Args:
        command: The command.
        exit_code: How it ended.
        error: Its error; "" if there is none.
        ended: The fields of the event `load_ended`; None if none began.
    """
    how = {0: "complete", 3: "complete, with rejects"}.get(exit_code, "failed")
    lines = [f"### vecload {escaped(command)}: {how}", ""]
    if error:
        lines += [escaped(error), ""]
    rows: list[tuple[str, str]] = [("exit code", str(exit_code))]
    if ended is not None and ended["index"]:
        seconds = ended["seconds"]
        rate = f"{ended['loaded'] / seconds:,.0f} items/s" if seconds else ""
        rows += [
            ("index", str(ended["index"])),
            ("target", str(ended["target"])),
            *((name, f"{ended[name]:,}") for name in ("read", "loaded", "rejected", "skipped")),
            *[("deleted", f"{ended['deleted']:,}")] * bool(ended["deleted"]),
            ("retries", f"{ended['retries']:,}"),
            ("seconds", f"{seconds:,.1f}"),
            ("rate", rate),
        ]
    lines += ["| | |", "|---|---|", *(f"| {name} | {escaped(value)} |" for name, value in rows if value)]
    return "\n".join([*lines, "", ""])


def escaped(text: str) -> str:
    """A text that Markdown and HTML show as it is: on one line, without markup, links and mentions."""
    line = "".join(c if c.isprintable() else " " for c in text)
    shown = line if len(line) <= TEXT_CHARACTERS else f"{line[:TEXT_CHARACTERS]}…"
    # A word joiner keeps GitHub from making links of addresses.
    plain = html.escape(_MARKUP.sub(r"\\\1", shown), quote=False)
    return plain.encode("utf-8", "replace").decode()
