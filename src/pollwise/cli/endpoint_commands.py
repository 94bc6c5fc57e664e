"""The commands about endpoints: their names, arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from pollwise.cli.exit_texts import ENDPOINT_CHECK, ENDPOINT_LIST
from pollwise.cli.options import CommonOptions, FilePath, LogOptions

__all__ = ["app"]


_USUAL = CommonOptions()
_USUAL_LOG = LogOptions()


app = App(name="endpoint", help_epilogue=ENDPOINT_CHECK)


@app.command(name="check", help_epilogue=ENDPOINT_CHECK)
async def check_endpoint(
    file: Path,
    /,
    *keys: str,
    name: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    sample: Annotated[
        tuple[Path, ...], Parameter(metavar="FILE", negative="", consume_multiple=False, show_default=False)
    ] = (),
    status: Annotated[int, Parameter(metavar="CODE")] = 200,
    header: Annotated[
        tuple[str, ...], Parameter(metavar="FIELD", negative="", consume_multiple=False, show_default=False)
    ] = (),
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """Check a file of declared endpoints.

    With samples, show how such replies would be read and why. With the keys of a
    job, show which requests would be sent.

    Args:
        file: The file: TOML or JSON.
        keys: The keys of a job, each as KEY=VALUE.
        name: Check this endpoint only.
        sample: A file with the body of a reply; may be repeated.
        status: The status code of the samples.
        header: A header field of the samples, as 'Location: /jobs/7'; may be repeated.
        options: What to log; read by run.py.
    """
    from pollwise.cli.endpoint_check import check_endpoints

    return check_endpoints(file, sample, name, status, keys=keys, headers=header)


@app.command(name="list", help_epilogue=ENDPOINT_LIST)
async def list_endpoints(
    *,
    endpoints: FilePath = None,
    options: CommonOptions = _USUAL,
) -> int:
    """List the endpoints that have a name: of files, packages and the catalog.

    Args:
        endpoints: List this file only.
        options: What to show.
    """
    from pollwise.cli.endpoint_list import list_names

    return await list_names(endpoints, options)
