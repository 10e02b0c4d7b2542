from __future__ import annotations

import re
from pathlib import Path

import vecload

REPOSITORY = Path(vecload.__file__).parent.parent
PACKAGES = ("mapping", "recipes", "readers")


def codes_in_code() -> set[tuple[str, str]]:
    source = "".join(
        path.read_text("utf-8")
        for package in PACKAGES
        for path in (REPOSITORY / "vecload" / package).rglob("*.py")
    )
    return set(re.findall(r'Fault\(\s*"([a-z]+)",\s*"([a-z0-9-]+)"', source))


def codes_in_docs() -> set[tuple[str, str]]:
    fields = {
        "Ids": "id",
        "Vectors": "vector",
        "Metadata": "metadata",
        "Contents": "contents",
        "Lines of JSON": "line",
        "Rows of CSV": "line",
        "Rows of Python": "row",
    }
    sections = re.split(r"^## ", (REPOSITORY / "docs" / "values.md").read_text("utf-8"), flags=re.MULTILINE)
    found = set()
    for section in sections:
        field = fields.get(section.partition("\n")[0])
        for row in re.findall(r"^\|.*\|$", section, flags=re.MULTILINE):
            last = row.rstrip("|").rpartition("|")[2]
            if field in ("line", "row") or "reject:" in last:
                found |= {(field or "", code) for code in re.findall(r"`([a-z][a-z0-9-]+)`", last)}
    return found


def test_every_fault_code_is_documented_and_no_other() -> None:
    assert codes_in_docs() == codes_in_code()
