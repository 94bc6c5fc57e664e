"""An Azure long-running operation: how it is polled, and where its result is.

Rule 1: the reply that started the operation decides how it is polled. `Operation-Location` wins, then
`Azure-AsyncOperation`, then `Location`. Without any of them, PUT and PATCH are polled at their own URL.
Rule 2: where the result is depends on the method, on `resourceLocation` in the last status, and on `final-state-via` of the
API's description. Only an operation with a status monitor has a final GET.
Rule 3: a reply without such a field that is no PUT or PATCH is the end (200, 201, 204), or cannot be followed (202). The
operation has the URL of its start then, with a fragment that names it, and is not polled.

Sources: "Track asynchronous Azure operations" (learn.microsoft.com); "Asynchronous API Reference" of
azure-resource-manager-rpc, v1.0; "Long-Running Operations & Jobs" of microsoft/api-guidelines, azure/Guidelines.md;
`x-ms-long-running-operation-options` in the extensions of AutoRest; the pollers of azure-core 1.41 and azure-mgmt-core for
Python, of core-lro for JavaScript, and of azcore for Go. No live service was seen.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.endpoints._at_once import named_at_once
from pollwise.endpoints._order import check_method
from pollwise.endpoints._server_values import checked_url, located_at, of_reply, shown_url, whole_body
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Reply, Request

__all__ = [
    "OPERATION_FIELDS",
    "STARTED",
    "AzureOperation",
    "FinalStateVia",
    "Monitor",
    "as_final_state_via",
    "as_monitor",
    "operation_url",
]

OPERATION_FIELDS: Final = ("Operation-Location", "Azure-AsyncOperation")
STARTED: Final = frozenset({200, 201, 202, 204})


class Monitor(enum.StrEnum):
    """What is polled."""

    STATUS = "status"
    """A status monitor, which `Operation-Location` or `Azure-AsyncOperation` names: `status` in its body decides."""
    LOCATION = "location"
    """The URL in `Location`: 202 is running, and any other 2xx is the end and the result."""
    RESOURCE = "resource"
    """The resource itself: `properties.provisioningState` in its body decides."""
    NOTHING = "nothing"
    """Nothing, because the reply to the start was the end."""


class FinalStateVia(enum.StrEnum):
    """Where the result of an operation with a status monitor is: `final-state-via` in the description of the API."""

    DEFAULT = "default"
    """The description says nothing. `resourceLocation`, else the resource (PUT, PATCH) or `Location` (POST)."""
    AZURE_ASYNC_OPERATION = "azure-async-operation"
    """For POST: the last status. PUT and PATCH are as by default, which is what azure-core does."""
    OPERATION_LOCATION = "operation-location"
    """The same."""
    LOCATION = "location"
    """The URL in the `Location` of the start, if it had one."""
    ORIGINAL_URI = "original-uri"
    """The URL of the start, unless that was a DELETE."""


def as_final_state_via(value: FinalStateVia | str) -> FinalStateVia:
    """The member with this text. Raises ConfigurationError."""
    if value in tuple(FinalStateVia):
        return FinalStateVia(value)
    raise ConfigurationError(f"final_state_via must be one of {', '.join(FinalStateVia)}")


def as_monitor(value: Monitor | str) -> Monitor:
    """The member with this text. Raises ConfigurationError."""
    if value in tuple(Monitor):
        return Monitor(value)
    raise ConfigurationError(f"monitor must be one of {', '.join(Monitor)}")


def _in_capitals(method: Any) -> Any:
    """The method as rule 2 compares it. What is no text is left to the validator."""
    return method.upper() if isinstance(method, str) else method


def _absolute_or_empty(operation: object, field: attrs.Attribute[Any], value: object) -> None:
    if value != "":
        checked_url(operation, field, value)


@attrs.frozen(repr=False)
class AzureOperation:
    """A long-running operation. `from_reply` makes it from the reply that started it; `submit` makes it from an `AzureOrder`.

    Ledgers and resume tokens keep its URLs whole, because it cannot be polled without them. Its text has no query.

    Args:
        url: The URL that is polled first.
        method: The method that started it.
        request_url: The URL that started it.
        monitor: What is polled.
        location: The URL in the `Location` of the start, or an empty text.
        final_state_via: `final-state-via` in the description of the API, as a member or as its text.

    Raises:
        ConfigurationError: A URL is not absolute or has a user name, `method` is no method of HTTP, or `monitor` or
            `final_state_via` is none of the values.
    """

    url: str = attrs.field(validator=checked_url)
    method: str = attrs.field(converter=_in_capitals, validator=check_method)
    request_url: str = attrs.field(validator=checked_url)
    monitor: Monitor = attrs.field(default=Monitor.STATUS, converter=as_monitor)
    location: str = attrs.field(default="", validator=_absolute_or_empty)
    final_state_via: FinalStateVia = attrs.field(default=FinalStateVia.DEFAULT, converter=as_final_state_via)

    def __repr__(self) -> str:
        return f"AzureOperation({self.method} {shown_url(self.request_url)})"

    @classmethod
    def from_reply(
        cls,
        request: Request,
        reply: Reply,
        *,
        final_state_via: FinalStateVia | str = FinalStateVia.DEFAULT,
        monitor: Monitor | str | None = None,
    ) -> AzureOperation:
        """The operation that a reply to this request has started. If that reply is the end, the monitor is `NOTHING`.

            AzureOperation.from_reply(
                Request(URL(str(sent.url)), method="PUT"), Reply(got.status_code, got.headers, got.content)
            )

        Args:
            request: What was sent. Its method and its URL count.
            reply: The reply. Relative URLs in it are relative to that of the request (RFC 9110, 10.2.2).
            final_state_via: `final-state-via` in the description of the API.
            monitor: What is polled. None: as the header fields of the reply say. `status` for a service whose `Location`
                has a status in its body, such as Azure Maps.

        Raises:
            MalformedReply: Its status code is none of 200, 201, 202 and 204, a URL in it is invalid, or it is a 202 that
                cannot be followed.
        """
        via = as_final_state_via(final_state_via)
        monitor = None if monitor is None else as_monitor(monitor)
        if reply.status not in STARTED:
            raise reply.malformed(f"a reply with HTTP {reply.status} starts no operation")
        method = request.method.upper()
        location = located_at(reply, "Location", request.url)
        url, found = operation_url(reply, request.url), Monitor.STATUS
        if url is None and location is not None:
            url, found = location, Monitor.LOCATION
        if url is None and method in {"PUT", "PATCH"} and reply.status != 204:
            url, found = str(request.url), Monitor.RESOURCE
        if url is not None:
            return of_reply(
                reply,
                cls,
                url=url,
                method=method,
                request_url=str(request.url),
                monitor=found if monitor is None else monitor,
                location=""
                if location is None or (found is Monitor.LOCATION and monitor is Monitor.STATUS)
                else location,
                final_state_via=via,
            )
        if reply.status == 202:
            raise reply.malformed(
                "it is a 202 without Operation-Location, Azure-AsyncOperation and Location, so nothing says where the"
                " operation can be followed"
            )
        name, _ = named_at_once(whole_body(reply))
        own = request.url.with_query(None)  # it is asked no more, so a signature need not be kept
        return of_reply(
            reply,
            cls,
            url=str(own.with_fragment(name)),
            method=method,
            request_url=str(own),
            monitor=Monitor.NOTHING,
            final_state_via=via,
        )

    @property
    def name_at_once(self) -> str:
        """The name of an operation whose start was its end, or an empty text."""
        return self.url.partition("#")[2] if self.monitor is Monitor.NOTHING else ""

    def final_url(self, resource_location: str | None) -> str | None:
        """Where the result is once the operation has succeeded, or None if the last reply has it.

        Args:
            resource_location: `resourceLocation` in the last status, as an absolute URL, or None.
        """
        if self.monitor is not Monitor.STATUS:
            return None
        match self.final_state_via, self.method:
            case FinalStateVia.LOCATION, _ if self.location:
                return self.location
            case FinalStateVia.ORIGINAL_URI, "PUT" | "PATCH" | "POST":
                return self.request_url
            case FinalStateVia.AZURE_ASYNC_OPERATION | FinalStateVia.OPERATION_LOCATION, "POST":
                return None
        by_method = {"PUT": self.request_url, "PATCH": self.request_url, "POST": self.location}
        return resource_location or by_method.get(self.method) or None


def operation_url(reply: Reply, base: URL | None = None) -> str | None:
    """The URL of the status monitor that a reply names, or None. Raises MalformedReply for what is no URL."""
    for name in OPERATION_FIELDS:
        found = located_at(reply, name, base)
        if found is not None:
            return found
    return None
