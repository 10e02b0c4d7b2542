"""Writer: checks a write at the driver, loads each partition in a task, and judges the job at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
