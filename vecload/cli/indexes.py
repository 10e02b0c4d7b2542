"""`vecload index`: list, describe, create and delete indexes."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Annotated

import typer

from vecload.cli import options as opt
from vecload.cli.empty_values import NoEmptyValues
from vecload.cli.output import out, say, tell
from vecload.errors import UsageError
from vecload.options import LoadOptions
from vecload.places import short
from vecload.targets.place import IndexPlace

NAME_CHARACTERS = 200
"""Characters of an index's name that are shown; no target allows longer names."""

index_app = typer.Typer(cls=NoEmptyValues, help="List, describe, create and delete indexes.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The index.", show_default=False)]


@index_app.command("list")
@opt.opens(index=None, keys=False)
def list_indexes(*, place: IndexPlace) -> None:
    """Print the names of the target's indexes, one per line."""
    with place.connected(read_only=True) as target:
        for name in target.list_indexes():
            say(name if len(name) <= NAME_CHARACTERS else f"{name[:NAME_CHARACTERS]}…")


@index_app.command("describe")
@opt.opens(index=None)
def describe(
    *,
    name: Name,
    place: IndexPlace,
) -> None:
    """Print the settings and size of an index as a JSON object."""
    import orjson

    from vecload.targets.opening import open_existing

    with place.connected(read_only=True) as target:
        opened = open_existing(target, name, place.keys)
        about = asdict(opened.index.describe()) | {
            "items": opened.index.count(),
            "target": target.location,
            "key": opened.key_from,
            "key_id": opened.key_id,
            "opened_by": opened.index.opened_by,
        }
    out(orjson.dumps(about, option=orjson.OPT_INDENT_2))


@index_app.command("create")
@opt.takes(*opt.INDEX_OPTIONS, without=("create", "train"))
@opt.opens(index=None)
def create(
    *,
    name: Name,
    place: IndexPlace,
    options: LoadOptions,
) -> None:
    """Create an index.

    Without a named key, vecload makes one in your key store: for an embedded store always, for a service in a
    terminal, or with --create-key.
    """
    from vecload.loading.request import index_settings
    from vecload.targets.opening import check_made_as, create_new

    settings = index_settings(options)
    with place.connected(must_exist=False) as target:
        keys = replace(place.keys, create=options.create_key)
        opened = create_new(target, name, keys, settings, seals=False, tell=tell)
        opened.warn_of_new_key(tell)
        if line := opened.derivation:
            tell(line)
        said = "created index" if opened.created else "an earlier run created index"
        if not opened.created:
            check_made_as(opened, settings)
        tell(f"{said} {name!r} in {short(target.location)}")
        if opened.index.opened_by == "KMS":
            tell(f"its index key: in {options.kms!r}, the KMS of the service")
        what = "key" if opened.index.opened_by == "index key" else "contents key"
        if opened.key is not None:
            tell(f"its {what}: {short(opened.key_from)} (key id {opened.key_id})")
        else:
            tell("it has no contents key: --create-key makes one, 'vecload keygen --contents-only' too")


@index_app.command("delete")
@opt.opens(index=None)
def delete(
    *,
    name: Name,
    yes: Annotated[bool, opt.option("yes", None, "Delete without asking.")] = False,
    place: IndexPlace,
) -> None:
    """Delete an index and everything in it. Its key file stays."""
    from vecload.targets.opening import open_existing

    with place.connected() as target:
        opened = open_existing(target, name, place.keys)
        items = opened.index.count()
        if not yes and not sys.stdin.isatty():
            raise UsageError(f"refusing to delete index {name!r} without confirmation", hint="pass --yes")
        question = f"delete index {name!r} with {items:,} items from {short(target.location)}?"
        if not yes and not typer.confirm(question, err=True):
            raise UsageError("nothing was deleted")
        opened.index.drop()
        stays = f"; its key stays: {short(opened.key_from)}" if opened.key_from else ""
        tell(f"deleted index {name!r}{stays}")
