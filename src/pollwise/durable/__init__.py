"""Between watches and a ledger: what is written, when, and what may go on then.

    recorder.py        Recorder: takes the events of records, and does what the table in core/record_states.py says
    admission.py       the queue of new rows, which are on disk before their jobs are polled
    checkpoints.py     how far watches got
    outbox.py          the queue of outcomes, which are on disk before they are published
    recorded_watch.py  RecordedWatch: a watch with a row
    watch_rows.py      rows for new watches, and what a row of an earlier run means
    patience.py        how long a call that the ledger refuses is repeated
    background_job.py  work that one task does at a time
    delivery.py        outcomes from the ledger, until they are acknowledged
    resume.py          resuming the watches that a ledger has open
    resume_token.py    a watch as one short text
    codec.py           what a watch is in a ledger, and a row as a watch again
    error_codec.py     an outcome's error as JSON data in a ledger, and back
    error_fields.py    the fields of an error in JSON, read with no conversion of types
    legacy_errors.py   errors of rows that schema versions 1 and 2 wrote, from their frozen sentences

Rule 1: no job is polled before its row is on disk, and no outcome is published before it is on disk.
Rule 2: an outcome that only says that this process stopped looking (`WatcherClosed`) is not written. The next process
goes on.
Rule 3: a ledger may be foreign code. Whatever it raises, no watch publishes anything that the ledger did not take.
Rule 4: a recorder neither opens nor closes its ledger.
"""

from __future__ import annotations

from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch, on_machine_end
from pollwise.durable.recorder import Recorder, Subscriber
from pollwise.durable.watch_rows import MachineFactory, WatchRows

__all__ = ["MachineFactory", "Patience", "RecordedWatch", "Recorder", "Subscriber", "WatchRows", "on_machine_end"]
