"""`--fail-fast`: the first job of a batch that ends without success ends the batch.

Rule 1: a job that failed or was cancelled in an earlier run counts, too. So the same command ends in the same way, and sends
nothing. A job that was abandoned does not count before it is abandoned again, because each run watches it again.
Rule 2: the failure of the last job ends nothing, because all jobs are over then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.event_text import AnyEndpoint, AnyOutcome, job_keys, label_of, view_of
from pollwise.cli.exit_status import ExitStatus, exit_status_for
from pollwise.cli.job_table import JobTable
from pollwise.cli.ledger_entries import to_entry
from pollwise.ledger import Ledger, OutcomeKind
from pollwise.model.events import Succeeded

__all__ = ["UnsuccessfulJob", "known_failure", "unsuccessful"]

_FINAL = {OutcomeKind.FAILED.value, OutcomeKind.CANCELLED.value}


class UnsuccessfulJob(Exception):
    """A job ended without success.

    Attributes:
        text: The job, its outcome and the reason; safe to print.
        status: The exit status of a command that watched this job alone.
    """

    def __init__(self, text: str, status: ExitStatus) -> None:
        super().__init__(text, status)
        self.text = text
        self.status = status


def unsuccessful(endpoint: AnyEndpoint, outcome: AnyOutcome) -> UnsuccessfulJob | None:
    """What ends the batch if this outcome does. None for a success."""
    if isinstance(outcome, Succeeded):
        return None
    view = view_of(outcome)
    text = f"{label_of(endpoint)} {' / '.join(job_keys(endpoint, outcome.job))} {view.state}: {view.reason}"
    return UnsuccessfulJob(text, exit_status_for(outcome))


async def known_failure(
    endpoints: Collection[AnyEndpoint], job_table: JobTable, ledger: Ledger, progress: BatchProgress
) -> UnsuccessfulJob | None:
    """The first job of the batch, in the order recorded, that failed or was cancelled in an earlier run.

    If there is one, the jobs that were over are added to the progress.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    accounts = {endpoint.name: endpoint.account for endpoint in endpoints}
    found: UnsuccessfulJob | None = None
    over: Counter[str] = Counter()
    async for lines in ledger.export():
        for known in map(orjson.loads, lines.splitlines()):
            name, state = known["endpoint"], known["outcome"]
            if accounts.get(name) != known.get("account", "") or not job_table.has(name, known["job"]):
                continue
            over[state] += 1
            if found is None and state in _FINAL:
                found = _of_earlier_run(known)
    if found is not None:
        for state in over.elements():
            progress.add_known(state)
    return found


def _of_earlier_run(known: Mapping[str, Any]) -> UnsuccessfulJob:
    entry = to_entry(known)
    text = f"{entry.endpoint_label} {' / '.join(entry.keys)} {entry.state} in an earlier run: {entry.reason}"
    return UnsuccessfulJob(text, ExitStatus.FAILED)
