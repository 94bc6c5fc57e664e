"""Checks the URLs and origins of a batch before any request is sent.

Rule 1: a URL that is not allowed is refused before the ledger gets a row for it.
Rule 2: a batch does not start if a job of it is open in the ledger with another origin, unless `--moved-from` names that
origin. Other rows of the ledger are not checked.
"""

from __future__ import annotations

from collections.abc import Collection

from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.job_table import JobTable
from pollwise.core.identity import Origins
from pollwise.durable.resume import check_origins
from pollwise.errors import OriginChanged
from pollwise.http.transport import AiohttpTransport
from pollwise.ledger import Ledger

__all__ = ["check_job_origins", "check_urls"]


def check_urls(endpoints: Collection[AnyEndpoint], job_table: JobTable, *, allow_plain_http: bool) -> None:
    """Raises InsecureUrl for an endpoint whose requests would go to another machine in clear text."""
    transport = AiohttpTransport(allow_plain_http=allow_plain_http)
    for endpoint in endpoints:
        for keys in job_table.jobs(endpoint.name):
            transport.check(endpoint.request(endpoint.codec.job_from_keys(keys)).url)
            if endpoint.fixed_origin is not None:
                break  # all jobs of the endpoint have this origin


async def check_job_origins(
    endpoints: Collection[AnyEndpoint], job_table: JobTable, ledger: Ledger, moved_from: frozenset[str]
) -> None:
    """Check that each open job of the batch has the origin that the ledger recorded.

    Raises:
        OriginChanged: Open jobs of the batch were recorded with another origin.
        LedgerError: The ledger cannot be read.
    """
    for endpoint in endpoints:
        origins: Origins[object] = Origins(endpoint, moved_from)
        try:
            await check_origins(ledger, origins)
        except OriginChanged:
            await _check_each_job(origins, job_table, ledger)


async def _check_each_job(origins: Origins[object], job_table: JobTable, ledger: Ledger) -> None:
    """Check each open job, because a row with another origin may be of another batch with the same ledger."""
    endpoint = origins.endpoint
    refused: list[OriginChanged] = []
    async for chunk in ledger.open_watches(endpoint.name, endpoint.account):
        for known in chunk:
            if job_table.has(endpoint.name, known.keys):
                try:
                    origins.check(endpoint.codec.job_from_keys(known.keys), known.origin)
                except OriginChanged as error:
                    refused.append(error)
    if refused:
        first = refused[0]
        raise OriginChanged(first.job, first.recorded, first.configured, len(refused))
