"""What a shell offers for the name of an endpoint: the names of `pollwise endpoint list`.

Rule: after an error, such as a file that is wrong, no name is offered, and nothing is printed. The command itself prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["EndpointName"]


def _names(context: Any) -> Iterable[str]:
    from pollwise.cli.endpoint_list import names_of  # noqa: PLC0415  `--help` imports no engine

    file = context["endpoints"].raw
    return names_of(None if file is None else Path(file))


EndpointName = Annotated[str, Parameter(completer=_names)]
