"""Records watches in a ledger: what is written and when, and what may happen after that.

    recorder.py        Recorder: takes the events of records, and does what the table in core/record_states.py says
    admission.py       the queue of new rows; a job is polled after its row is on disk
    checkpoints.py     writes the state of open watches, twice a second
    resting_states.py  writes them less often, for a ledger that costs more than a file
    outbox.py          the queue of outcomes; an outcome is published after it is on disk
    recorded_watch.py  RecordedWatch: a watch with a row
    watch_rows.py      rows for new watches, and watches from the rows of an earlier run
    patience.py        how long a call that the ledger refuses is repeated
    background_job.py  a queue of work with one task
    intents.py         starts of jobs: the key is on disk before the request
    delivery.py        delivers outcomes from the ledger until they are acknowledged
    resume.py          resumes the open watches of a ledger
    resume_token.py    a watch as one short text
    codec.py           watches and outcomes as rows, and rows as watches and outcomes
    error_codec.py     an outcome's error as JSON data in a ledger, and back
    error_fields.py    the fields of an error in JSON, read with no conversion of types
    legacy_errors.py   errors of rows that schema versions 1 and 2 wrote, from their frozen sentences

Rule 1: no job is polled before its row is on disk, and no outcome is published before it is on disk.
Rule 2: `WatcherClosed` is not written, because it says only that this process stopped polling. The next process
resumes the watch.
Rule 3: a ledger may be foreign code. Whatever it raises, a watch publishes only outcomes that are in the ledger.
Rule 4: a recorder neither opens nor closes its ledger.
"""

from __future__ import annotations

from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import RecordedWatch, on_machine_end
from pollwise.durable.recorder import Recorder, Subscriber
from pollwise.durable.watch_rows import MachineFactory, WatchRows

__all__ = ["MachineFactory", "Patience", "RecordedWatch", "Recorder", "Subscriber", "WatchRows", "on_machine_end"]
