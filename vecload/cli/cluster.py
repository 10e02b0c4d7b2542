"""The options of loads on a cluster, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vecload.cli.options import option
from vecload.options import SENDING

if TYPE_CHECKING:
    from vecload.loading.caller import Caller
    from vecload.loading.request import Request
    from vecload.loading.result import LoadResult

OnRay = Annotated[
    str | None,
    option(
        "ray",
        SENDING,
        "Load splits on a Ray cluster: this machine's, or the one at the address, like ray://head:10001.",
        metavar="[ADDRESS]",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    option(
        "workers",
        SENDING,
        "With --ray, how many splits are loaded at once.",
        usual="as many as the cluster has CPUs",
        min=1,
        metavar="N",
    ),
]
_RAY_ADDRESS = re.compile(r"auto|local|ray://\S+|\[[0-9A-Fa-f:]+\]:\d+|[\w.-]+:\d+")


def with_address(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line, with an address behind each `--ray` that has none.

    Typer knows no option whose value may be absent.
    """
    found: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        found.append(argument)
        if argument == "--":
            return [*found, *arguments[len(found) :]]
        if argument == "--ray" and not _RAY_ADDRESS.fullmatch(following):
            found[-1] = "--ray=auto"
    return found


def on_ray(
    request: Request, address: str, workers: int | None, api_key_file: Path | None
) -> Callable[[Request, Caller], LoadResult]:
    """What runs a load on a Ray cluster.

    Args:
        request: The load.
        address: Of the cluster.
        workers: How many splits are loaded at once; None is as many as the cluster has CPUs.
        api_key_file: The file of the API key; None if the key is from a variable, or there is none.

    Raises:
        EngineMissing: Ray is not installed.
        UsageError: A secret would travel to the workers.
    """
    from vecload.distributed.driver import run_distributed
    from vecload.ray import RayEngine, check_installed
    from vecload.sealing.references import Reference, SecretReferences

    check_installed()
    api_key = None
    if request.api_key is not None:
        file = None if api_key_file is None else str(api_key_file.expanduser().absolute())
        api_key = Reference("env", "VECLOAD_API_KEY") if file is None else Reference("file", file)
    secrets = SecretReferences.of(request.keys, api_key)
    return lambda request, caller: run_distributed(
        request, lambda: RayEngine(address, workers), caller, secrets=secrets
    )
