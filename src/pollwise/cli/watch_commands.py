"""`pollwise watch`: its commands, their arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from pollwise.cli.endpoint_completion import EndpointName
from pollwise.cli.exec_command import ExecOptions
from pollwise.cli.exit_texts import WATCH
from pollwise.cli.options import EndpointOptions, ReadOptions, WatchOptions

__all__ = ["app"]

_USUAL_WATCH = WatchOptions()
_USUAL_ENDPOINT = EndpointOptions()
_USUAL_READ = ReadOptions()
_USUAL_EXEC = ExecOptions()

app = App(name="watch", help_epilogue=WATCH)


@app.command(name="document360", help_epilogue=WATCH)
async def watch_document360(
    task_id: str,
    /,
    *,
    base_url: Annotated[
        str | None, Parameter(env_var="DOCUMENT360_BASE_URL", metavar="URL", show_default=False)
    ] = None,
    options: WatchOptions = _USUAL_WATCH,
    at_end: ExecOptions = _USUAL_EXEC,
) -> int:
    """Watch a Document360 delete-file task.

    The API token is read from DOCUMENT360_API_TOKEN.

    Args:
        task_id: The task ID in the reply to the delete request.
        base_url: The API's root, which differs by region, such as https://apihub.document360.io
        options: How to watch and what to show.
        at_end: What to do when the job is over.
    """
    from pollwise.cli import vendors
    from pollwise.cli.declared import values_of
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.document360 import DeleteFileJob

    url = vendors.base_url_of("document360", base_url)
    endpoint = vendors.document360(url, options.account)
    return await watch_job(endpoint, DeleteFileJob(*values_of([task_id], ["task_id"])), options, at_end)


@app.command(name="oracle-content", help_epilogue=WATCH)
async def watch_oracle_content(
    file_id: str,
    job_id: str,
    /,
    *,
    base_url: Annotated[
        str | None, Parameter(env_var="ORACLE_CONTENT_BASE_URL", metavar="URL", show_default=False)
    ] = None,
    options: WatchOptions = _USUAL_WATCH,
    at_end: ExecOptions = _USUAL_EXEC,
) -> int:
    """Watch an Oracle Content Management ZIP extraction.

    The credentials are read from ORACLE_CONTENT_TOKEN, or else from
    ORACLE_CONTENT_USER and ORACLE_CONTENT_PASSWORD.

    Args:
        file_id: The GUID of the ZIP file.
        job_id: The GUID of the extraction job.
        base_url: The root of the service: https://host[:port]
        options: How to watch and what to show.
        at_end: What to do when the job is over.
    """
    from pollwise.cli import vendors
    from pollwise.cli.declared import values_of
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.oracle_content import ExtractionJob

    url = vendors.base_url_of("oracle-content", base_url)
    endpoint = vendors.oracle_content(url, options.account)
    job = ExtractionJob(*values_of([file_id, job_id], ["file_id", "job_id"]))
    return await watch_job(endpoint, job, options, at_end)


@app.default
async def watch_named(
    name: EndpointName | None = None,
    /,
    *keys: str,
    options: EndpointOptions = _USUAL_ENDPOINT,
    at_end: ExecOptions = _USUAL_EXEC,
) -> int:
    """Watch a job of an endpoint that a file, an installed package or the catalog has.

    The credentials are read from the environment variables that the declaration names.

    Args:
        name: The endpoint: a table of the file, or a name of `pollwise endpoint list`.
        keys: The keys of the job, each as KEY=VALUE.
        options: How to watch and what to show.
        at_end: What to do when the job is over.
    """
    from pollwise.cli.watch import named_job, watch_job

    if name is None:
        from pollwise.cli.app import app as commands

        commands.help_print(["watch"])
        return 0
    return await watch_job(*named_job(name, keys, options), options, at_end)


@app.command(name="url", help_epilogue=WATCH)
async def watch_url(
    url: str,
    /,
    *keys: str,
    read: ReadOptions = _USUAL_READ,
    options: WatchOptions = _USUAL_WATCH,
    at_end: ExecOptions = _USUAL_EXEC,
) -> int:
    """Watch a job by its URL, without a declaration.

    Args:
        url: The URL, with {KEY} where a key of the job stands.
        keys: The keys of the job, each as KEY=VALUE.
        read: How to read a reply, and where the credentials are.
        options: How to watch and what to show.
        at_end: What to do when the job is over.
    """
    from pollwise.cli import declared
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.declared import DeclaredEndpoint

    declaration = declared.url_declaration(url, read.words(), read.auth())
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(declaration, account=options.account)
    return await watch_job(endpoint, declared.job_of(endpoint, keys), options, at_end)
