"""The interface of a simulated vendor's call."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from pollwise.simulator.replies import SimulatedReply

__all__ = ["Asked", "StartedJob", "Vendor", "VendorName"]

VendorName: TypeAlias = Literal["document360", "oracle-content"]


@attrs.frozen
class Asked:
    """What the path of a request asks for.

    Attributes:
        action: The status of a job, the start of one, or what a finished job made.
        keys: The job's keys, or those that a start needs.
        signed: The URL itself is the permission: no credentials are needed, and no rate limit counts it.
    """

    action: Literal["status", "start", "result"]
    keys: tuple[str, ...]
    signed: bool = False


@attrs.frozen
class StartedJob:
    """A job that a request starts: its keys, and the reply."""

    keys: tuple[str, ...]
    reply: SimulatedReply


class Vendor(abc.ABC):
    """One vendor's API: paths, credentials and refusals. A vendor with several calls has an object for each."""

    name: ClassVar[VendorName]
    call: str
    """The name of the call, as that of its endpoint."""
    nullable_field: tuple[str, ...]
    """Path of the field in a status that `Fault.NULL_FIELD` makes null."""
    required_field: tuple[str, ...]
    """Path of the field in a status that `Fault.MISSING_FIELD` removes."""
    id_field: tuple[str, ...] | None = None
    """Path of the field in a status that names the job, for `Fault.ANOTHER_JOB`; None if there is none."""
    start_method: str = "POST"
    """The method of the request that starts a job."""

    @abc.abstractmethod
    def path_of(self, keys: tuple[str, ...]) -> str:
        """The percent-encoded path of a job's status."""

    @abc.abstractmethod
    def asked(self, path: str) -> Asked | None:
        """What a request's path asks for; None if the path is not of this call."""

    @abc.abstractmethod
    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """The job that a request starts; None if the request is not valid.

        Args:
            body: The request's body.
            keys: The keys in its path.
            nth: The number of starts before it.
            digest: 32 hexadecimal digits that differ for each start.
            origin: The simulator's scheme, host and port.
        """

    @abc.abstractmethod
    def token_in(self, headers: Mapping[str, str]) -> str:
        """The credential in a request's header fields; empty if there is none."""

    @abc.abstractmethod
    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """The vendor's JSON for a status code that is not 2xx, with the texts of the code `like` if that is given."""

    @abc.abstractmethod
    def unknown_job(self) -> SimulatedReply:
        """The vendor's reply for an unknown job."""

    def document(self, plan: Any, keys: tuple[str, ...], stage: Any) -> dict[str, Any]:
        """The status document of a job at a stage of its plan."""
        document: dict[str, Any] = plan.status(keys, stage)
        return document

    def limit_key(self, token: str, keys: tuple[str, ...]) -> str:
        """Whose requests a rate limit counts together."""
        del keys
        return token

    def completed(self, document: dict[str, Any], *, origin: str, now: float, nth: int) -> dict[str, Any]:
        """The status document with what differs from reply to reply: links and the IDs of requests."""
        del origin, now, nth
        return document
