"""A caller's own endpoint, transport and credentials, as a type checker sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from typing_extensions import assert_type
from yarl import URL

from pollwise import Auth, Endpoint, JobWatcher, Phase, Problem, Reading, Reply, Request, Transport, Watch
from pollwise.testing import Answer, Hang, ScriptedTransport, Slow, reply, run


@attrs.frozen
class Print:
    """A job of a printer."""

    number: int


@attrs.frozen
class Paper:
    """How it stands."""

    pages: int


class Printer(Endpoint[Print, Paper]):
    """The least that an endpoint must have; the rest has defaults."""

    @property
    def name(self) -> str:
        """As in logs."""
        return "printer"

    def request(self, job: Print, /) -> Request:
        """How to ask."""
        return Request(URL(f"https://printer.example/{job.number}"))

    def read(self, reply: Reply, /) -> Reading[Paper]:
        """How to read."""
        return Reading(status=Paper(len(reply.body)), phase=Phase.SUCCEEDED, final=True)


class BigPrinter(Printer):
    """Everything that can be had."""

    name = "big-printer"

    def __init__(self, auth: Auth) -> None:
        """With credentials."""
        self._auth = auth

    @property
    def auth(self) -> Auth | None:
        """Credentials."""
        return self._auth

    @property
    def allowance(self) -> tuple[int, float] | None:
        """Its rate limit."""
        return 60, 60.0

    def problem(self, reply: Reply, /) -> Problem | None:
        """The vendor's words."""
        return Problem(codes=("paper-jam",))

    def job_from_keys(self, keys: Mapping[str, str], /) -> Print:
        """For ledgers."""
        return Print(int(keys["number"]))


class Pigeons:
    """A transport without a word about pollwise: the protocol is structural."""

    async def send(self, request: Request, /) -> Reply:
        """One at a time."""
        return Reply(200, {}, b"coo")


class Badge:
    """Credentials, structural too."""

    def headers(self, now: float, /) -> Mapping[str, str] | None:
        """What to show."""
        return {"X-Badge": "7"}

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        """Get another."""


class Incomplete(Endpoint[Print, Paper]):
    """Has forgotten how to read."""

    name = "incomplete"

    def request(self, job: Print, /) -> Request:
        """How to ask."""
        return Request(URL("https://printer.example/"))


class Postman:
    """Does not send."""

    async def deliver(self, request: Request, /) -> Reply:
        """Not what is asked for."""
        return Reply(200, {}, b"")


async def own_parts_fit() -> None:
    """Types follow from the endpoint's, whatever sends."""
    transport: Transport = Pigeons()
    auth: Auth = Badge()
    async with JobWatcher(BigPrinter(auth), timeout_s=10, transport=transport) as watcher:
        assert_type(watcher, JobWatcher[Print, Paper])
        assert_type(watcher.watch(Print(1)), Watch[Print, Paper])
        assert_type(await watcher.watch(Print(1)), Paper)
        assert_type(watcher.transport, Transport)
    async with JobWatcher(Printer(), timeout_s=10, transport=Pigeons()) as watcher:
        assert_type(await watcher.watch(Print(1)), Paper)


def what_does_not_fit_is_seen() -> None:
    """An endpoint with a gap, a transport that does not send."""
    Incomplete()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    JobWatcher(Printer(), timeout_s=10, transport=Postman())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_test_of_ones_own() -> None:
    """Scripts hold answers of every kind, or are functions; a transport made of one fits."""
    script: list[Answer] = [{"pages": 1}, 503, Hang(), Slow({"pages": 2}, 5.0), reply({"pages": 3}, status=202)]
    answer: Callable[[Request], Answer] = lambda request: {"path": request.url.path}  # noqa: E731

    async def main() -> Paper:
        for transport in (ScriptedTransport(script), ScriptedTransport(answer), ScriptedTransport([200, {"pages": 1}])):
            async with JobWatcher(Printer(), timeout_s=3600, transport=transport) as watcher:
                return await watcher.watch(Print(1))
        raise AssertionError

    assert_type(run(main()), Paper)
