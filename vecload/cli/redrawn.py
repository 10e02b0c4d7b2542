"""Redrawn: lines at the end of a terminal that are drawn again and again, also while it is resized."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich.console import Console, ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment

PER_SECOND = 10
"""How often it is drawn."""


class Redrawn(Live):
    """What a function draws, at the end of the terminal, removed at its stop.

    A terminal that becomes narrower folds the lines it shows: each then takes several rows. Rich moves up by
    as many rows as it drew, and would leave the others there.

    Args:
        draw: Draws it for a width in columns.
        console: The terminal.
    """

    def __init__(self, draw: Callable[[int], Any], console: Console) -> None:
        self._draw = draw
        self._drawn_at = 0
        self._lengths: list[int] = []
        super().__init__(console=console, refresh_per_second=PER_SECOND, transient=True)

    def get_renderable(self) -> Any:
        """What is drawn now."""
        return self._draw(self.console.width)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Remove the rows into which lines were folded, before what rich removes."""
        width = self.console.width
        folded = 0
        if 0 < width < self._drawn_at:
            folded = sum(math.ceil(length / width) - 1 for length in self._lengths if length)
        found = super().process_renderables(renderables)
        lines = self.console.render_lines(self.get_renderable(), pad=False)
        self._lengths = [Segment.get_line_length(line) for line in lines]
        self._drawn_at = width
        if not folded:
            return found
        erase = (ControlType.ERASE_IN_LINE, 2)
        return [
            Control(ControlType.CARRIAGE_RETURN, erase),
            *(Control((ControlType.CURSOR_UP, 1), erase) for _ in range(folded)),
            *found,
        ]
