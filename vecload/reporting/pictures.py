"""Pictures of a report: drawn by matplotlib as SVG, with the colours of the page, light or dark."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vecload.errors import UsageError
from vecload.reporting.page import Markup, escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "ink": "#010203",
    "grid": "#010204",
    "band": "#010205",
    **{f"series-{number}": f"#01021{number}" for number in range(8)},
}
"""Stand-ins for the colours of the page, which its style sets: SVG as matplotlib writes it has fixed ones."""
SERIES = tuple(name for name in COLOURS if name.startswith("series-"))
SIZE = (5.2, 2.7)
"""Inches: at this size texts can be read on a page as narrow as a telephone's."""
BINS = 40
TICKS_MOST = 5
"""Numbers below a histogram: they may be long."""
_STYLE: Any = {
    "svg.fonttype": "none",  # text that can be searched, and that follows the page's colours
    "text.parse_math": False,  # a name may have dollars
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.linewidth": 0.6,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), COLOURS["ink"]
    ),
    "grid.color": COLOURS["grid"],
}

_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
"""Where a legend hides nothing."""


def check_installed() -> None:
    """Check that pictures can be drawn.

    Raises:
        UsageError: matplotlib is missing.
    """
    # It tells of its cache of fonts, which is nobody's business here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib.figure  # noqa: F401 to see whether it is there
    except ImportError:
        raise UsageError(
            "--report needs matplotlib for its pictures", hint="pip install 'vecload[report]'"
        ) from None


def over_time(
    seconds: NDArray[np.float64], lines: Mapping[str, NDArray[np.float64]], unit: str, shows: str
) -> Markup:
    """Lines over the time of a load.

    Args:
        seconds: When each interval begins, and when the last ends: shape (n + 1,).
        lines: Their names and values by interval, each of shape (n,); NaN where there is none.
        unit: What the values are.
        shows: What the picture shows, for those who do not see it.
    """

    def draw(axes: Axes) -> None:
        for (name, values), colour in zip(lines.items(), SERIES, strict=False):
            fill = len(lines) == 1
            axes.stairs(
                np.nan_to_num(values) if fill else values,
                seconds,
                label=name,
                color=COLOURS[colour],
                fill=fill,
                baseline=0 if fill else None,  # without, no line goes down to 0 where there is no value
                linewidth=1.6,
            )
        axes.set_xlim(0, float(seconds[-1]))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel(unit)
        if len(lines) > 1:
            axes.legend(**_ABOVE, ncols=len(lines))

    return _picture(draw, shows)


def histogram(values: NDArray[np.float64], unit: str, shows: str) -> Markup:
    """How numbers are distributed.

    Args:
        values: The numbers, shape (n,).
        unit: What they are.
        shows: What the picture shows.
    """

    def draw(axes: Axes) -> None:
        least, most = float(values.min()), float(values.max())
        room = max(abs(most), abs(least), 1e-9) * 1e-3
        span = (least, most) if most - least > room else (least - room, most + room)
        counts, edges = np.histogram(values, BINS, span)
        axes.stairs(counts, edges, fill=True, color=COLOURS["series-0"])
        axes.locator_params(axis="x", nbins=TICKS_MOST)
        axes.locator_params(axis="y", integer=True)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.set_xlabel(unit)
        axes.set_ylabel("items")

    return _picture(draw, shows)


def bands(
    least: NDArray[np.float64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    most: NDArray[np.float64],
    shows: str,
) -> Markup:
    """The values of each dimension: from the least to the most, the mean, and a standard deviation about it.

    Args:
        least: The least values, shape (dim,).
        mean: The mean values, shape (dim,).
        deviation: The standard deviations, shape (dim,).
        most: The largest values, shape (dim,).
        shows: What the picture shows.
    """

    def draw(axes: Axes) -> None:
        edges = np.arange(len(mean) + 1) - 0.5
        axes.stairs(most, edges, baseline=least, fill=True, color=COLOURS["band"], label="least to most")
        axes.stairs(
            mean + deviation,
            edges,
            baseline=mean - deviation,
            fill=True,
            color=COLOURS["series-0"],
            label="mean ± deviation",
        )
        axes.set_xlim(-0.5, len(mean) - 0.5)
        axes.set_xlabel("dimension")
        axes.set_ylabel("value")
        axes.legend(**_ABOVE, ncols=2)

    return _picture(draw, shows)


def scatter(
    points: NDArray[np.float64], groups: Sequence[tuple[str, NDArray[np.bool_]]], axes_names: str, shows: str
) -> Markup:
    """Points in a plane, by groups.

    Args:
        points: Shape (n, 2).
        groups: Names, and which points belong to them: shape (n,). Without a name there is no legend.
        axes_names: What both axes are.
        shows: What the picture shows.
    """

    def draw(axes: Axes) -> None:
        for (name, chosen), colour in zip(groups, SERIES, strict=False):
            x, y = points[chosen].T
            # A label that begins with an underscore is left out of legends.
            label = f" {name}" if name.startswith("_") else name
            style: Any = {"markersize": 2.6, "markeredgewidth": 0, "alpha": 0.75}
            axes.plot(x, y, "o", color=COLOURS[colour], label=label, **style)
        axes.set_xlabel(axes_names)
        axes.tick_params(labelbottom=False, labelleft=False)
        if any(name for name, _ in groups):
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2.5)

    return _picture(draw, shows)


def _picture(draw: Callable[[Axes], None], shows: str) -> Markup:
    """Draw axes into a picture of its own."""
    check_installed()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # The salt is in the names of parts, which a page may have only once.
    with rc_context({**_STYLE, "svg.hashsalt": shows}):
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Markup(_for_a_page(written.getvalue(), shows))


def _for_a_page(svg: str, shows: str) -> str:
    """An SVG file as a part of a page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)[)\"]", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    for name, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    box: Any = re.search(r'viewBox="[^"]+"', svg)
    head = f'<svg {box[0]} role="img" aria-label="{escaped(shows)}" xmlns="http://www.w3.org/2000/svg"'
    head += ' xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + svg[svg.index(">") + 1 :]
