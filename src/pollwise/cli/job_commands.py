"""The commands for one job beside `watch`: their names, arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from pollwise.cli.endpoint_completion import EndpointName
from pollwise.cli.options import CancelOptions, EndpointOptions, ResultOptions, SubmitOptions

__all__ = ["cancel", "check", "result", "submit"]

_USUAL = EndpointOptions()
_USUAL_RESULT = ResultOptions()
_USUAL_CANCEL = CancelOptions()
_USUAL_SUBMIT = SubmitOptions()


async def result(name: EndpointName, /, *keys: str, options: ResultOptions = _USUAL_RESULT) -> int:
    """Wait for a job, then write its result: JSON to stdout, or what it is to a file.

    Args:
        name: The endpoint, as for `pollwise watch`.
        keys: The keys of the job, each as KEY=VALUE.
        options: How to watch, where to write and what to show.
    """
    from pollwise.cli.result import fetch_result
    from pollwise.cli.watch import named_job

    return await fetch_result(*named_job(name, keys, options), options)


async def cancel(name: EndpointName, /, *keys: str, options: CancelOptions = _USUAL_CANCEL) -> int:
    """Ask the server once to stop a job, and print its answer.

    Args:
        name: The endpoint, as for `pollwise watch`.
        keys: The keys of the job, each as KEY=VALUE.
        options: How to watch and what to show.
    """
    from pollwise.cli.cancel import cancel_job
    from pollwise.cli.watch import named_job

    return await cancel_job(*named_job(name, keys, options), options)


async def submit(name: EndpointName, /, *fields: str, options: SubmitOptions = _USUAL_SUBMIT) -> int:
    """Start a job, and print its keys as `pollwise watch` takes them.

    Args:
        name: The endpoint, as for `pollwise watch`.
        fields: The order, each field as KEY=VALUE for a text, or as KEY:=JSON.
        options: What to send, how to watch and what to show.
    """
    from pollwise.cli.orders import order_of
    from pollwise.cli.submit import submit_job
    from pollwise.cli.watch import named_endpoint

    order = order_of(fields, options.order)
    return await submit_job(named_endpoint(name, options), order, options)


async def check(name: EndpointName, /, *keys: str, options: EndpointOptions = _USUAL) -> int:
    """Check name resolution, proxy, TLS, credentials and one job: a line for each.

    Args:
        name: The endpoint, as for `pollwise watch`.
        keys: The keys of the job, each as KEY=VALUE.
        options: How to connect, and what to show.
    """
    from pollwise.cli.check import check_set_up
    from pollwise.cli.watch import named_job

    return await check_set_up(*named_job(name, keys, options), options)
