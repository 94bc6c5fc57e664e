"""What a vendor is to the simulator."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from pollwise.simulator.replies import Answer

__all__ = ["Vendor", "VendorName"]

VendorName: TypeAlias = Literal["document360", "oracle-content"]


class Vendor(abc.ABC):
    """How one vendor's API looks from outside: paths, credentials and refusals."""

    name: ClassVar[VendorName]
    nullable: ClassVar[tuple[str, ...]]
    """Path of the field in a status that `Fault.NULL_FIELD` makes null."""
    vital: ClassVar[tuple[str, ...]]
    """Path of the field in a status that `Fault.MISSING_FIELD` removes."""

    @abc.abstractmethod
    def path_of(self, keys: tuple[str, ...]) -> str:
        """The percent-encoded path of a job's status."""

    @abc.abstractmethod
    def keys_in(self, path: str) -> tuple[str, ...] | None:
        """The job's keys in a request's path; None if it is no path of this vendor."""

    @abc.abstractmethod
    def token_in(self, headers: Mapping[str, str]) -> str:
        """What names the caller in a request's header fields; empty if nothing does."""

    @abc.abstractmethod
    def refusal(self, status: int, *, like: int | None = None) -> Answer:
        """The vendor's JSON for a status code that is not 2xx; in the words of the code `like`, if that is given."""

    @abc.abstractmethod
    def unknown_job(self) -> Answer:
        """What the vendor answers for a job that it does not know."""
