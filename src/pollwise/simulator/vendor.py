"""The interface of a simulated vendor."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from pollwise.simulator.replies import SimulatedReply

__all__ = ["Vendor", "VendorName"]

VendorName: TypeAlias = Literal["document360", "oracle-content"]


class Vendor(abc.ABC):
    """One vendor's API: paths, credentials and refusals."""

    name: ClassVar[VendorName]
    nullable_field: ClassVar[tuple[str, ...]]
    """Path of the field in a status that `Fault.NULL_FIELD` makes null."""
    required_field: ClassVar[tuple[str, ...]]
    """Path of the field in a status that `Fault.MISSING_FIELD` removes."""

    @abc.abstractmethod
    def path_of(self, keys: tuple[str, ...]) -> str:
        """The percent-encoded path of a job's status."""

    @abc.abstractmethod
    def keys_in(self, path: str) -> tuple[str, ...] | None:
        """The job's keys in a request's path; None if the path is not of this vendor."""

    @abc.abstractmethod
    def token_in(self, headers: Mapping[str, str]) -> str:
        """The credential in a request's header fields; empty if there is none."""

    @abc.abstractmethod
    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """The vendor's JSON for a status code that is not 2xx, with the texts of the code `like` if that is given."""

    @abc.abstractmethod
    def unknown_job(self) -> SimulatedReply:
        """The vendor's reply for an unknown job."""
