"""`vecload`, which kills itself while a load that sends only changes writes.

`python -m tests.faults.killed_writing STEP upsert ...`. Steps are counted from 1: before and after each
commit of the state and of the journal, and before and after each upsert and each deletion.
"""

from __future__ import annotations

import signal
import sys

from tests.faults.killed_at import Steps
from vecload.__main__ import main
from vecload.loading.database import Database
from vecload.targets.embedded import EmbeddedIndex
from vecload.targets.service import ServiceIndex

if __name__ == "__main__":
    steps = Steps(int(sys.argv.pop(1)), signal.SIGKILL)
    for owner, name in (
        (Database, "commit"),
        (EmbeddedIndex, "_upsert_prepared"),
        (EmbeddedIndex, "delete"),
        (ServiceIndex, "_post"),
        (ServiceIndex, "delete"),
    ):
        setattr(owner, name, steps.around(getattr(owner, name)))
    main()
