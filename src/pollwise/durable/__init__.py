"""Between watches and a ledger: what is written down, when, and who may go on then.

    recorder.py        Recorder: the whole of it, as a watcher sees it
    admission.py       new rows, before anything is asked
    checkpoints.py     how far watches got
    outbox.py          outcomes, before they are reported
    patience.py        how long a call that the ledger refuses is made again
    recorded_watch.py  RecordedWatch: a watch with a row
    background_job.py  work that one task does at a time
    delivery.py        outcomes from the ledger, until they are acknowledged
    resume.py          resuming the watches that a ledger has open
    resume_token.py    a watch as one short text
    codec.py           what a watch is in a ledger, and a row as a watch again
    error_codec.py     an outcome's error as JSON data in a ledger, and back
    error_fields.py    the fields of an error in JSON, read with no conversion of types
    legacy_errors.py   errors of rows that schema versions 1 and 2 wrote, from their frozen sentences

Rule 1: nothing is asked about a job before its row is on disk, and no outcome is reported before that is.
Rule 2: an outcome that only says that this process stopped looking (`WatcherClosed`) is not written down. The next
process goes on.
Rule 3: a ledger may be foreign code. Whatever it raises, no watch reports anything that the ledger did not take.
Rule 4: a recorder neither opens nor closes its ledger.
"""

from __future__ import annotations

from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch
from pollwise.durable.recorder import Listener, Outlook, Recorder

__all__ = ["Listener", "Outlook", "Patience", "RecordedWatch", "Recorder"]
