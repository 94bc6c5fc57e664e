"""Between watches and a ledger: what is written down, when, and who may go on then.

    recorder.py    Recorder: the whole of it, as a watcher sees it
    beginnings.py  new rows, before anything is asked
    changes.py     how far watches got
    endings.py     outcomes, before anybody is told
    patience.py    how long the ledger is asked again for what it did not take
    kept.py        KeptWatch: a watch with a row
    duty.py        work that one task does at a time

Rule 1: nothing is asked about a job before its row is on disk, and nobody is told an outcome before that is.
Rule 2: an outcome that only says that this process stopped looking (`WatcherClosed`) is not written down: the next one
goes on.
Rule 3: a ledger may be anybody's. Whatever it raises, no watch is told anything that it did not take.
Rule 4: a recorder neither opens nor closes its ledger.
"""

from __future__ import annotations

from pollwise.recording.kept import KeptWatch
from pollwise.recording.patience import Patience
from pollwise.recording.recorder import Listener, Outlook, Recorder

__all__ = ["KeptWatch", "Listener", "Outlook", "Patience", "Recorder"]
