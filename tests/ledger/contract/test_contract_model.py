"""The contract of every ledger against a model of it: whatever is done, in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from ledger_kinds import LASTING, LASTING_CLAIMS, open_ledger
from ledger_values import every

from pollwise.ledger import (
    Acknowledgement,
    Change,
    Concluded,
    Conclusion,
    NewWatch,
    OpenWatch,
    OriginCount,
    OutcomeKind,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.model.reading import Phase
from real_postgres import needs_postgres

OWNERS = [("oracle-content", ""), ("oracle-content", "acme"), ("document360", "acme")]
ORIGINS = ["https://a.example", "https://b.example"]
EARLIEST, LATEST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - Hypothesis adds the zone

moments = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
statuses = st.none() | st.sampled_from([b"{}", b"null", b'{"a": [1, "\\ud83d\\ude00"]}'])
phases = st.none() | st.sampled_from(Phase)
counts = st.integers(0, 2**40)
texts = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = st.integers(1, 12)  # few, so that the same watches are met again and again
ages = st.floats(0, 1e9)
changes = st.builds(
    Change, id=numbers, phase=phases, polls=counts, failures=counts, status=statuses, seen_s=st.none() | ages
)
conclusions = st.builds(
    Conclusion,
    id=numbers,
    outcome=st.sampled_from(OutcomeKind),
    phase=phases,
    polls=counts,
    failures=counts,
    status=statuses,
    seen_s=st.none() | ages,
    elapsed_s=ages,
    error_type=st.none() | texts,
    error_message=st.none() | texts,
    error_data=statuses,
)
new_watches = st.builds(
    NewWatch,
    endpoint=st.sampled_from([endpoint for endpoint, _ in OWNERS]),
    account=st.sampled_from(["", "acme"]),
    origin=st.none() | st.sampled_from(ORIGINS),
    keys=st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "1", "\0"]), max_size=2),
    first_seen=moments,
    deadline=st.none() | moments,
    outcome=st.none() | conclusions,
)
generations = st.sampled_from([0, 0, 0, 1, 2])
acknowledgements = st.builds(Acknowledgement, id=numbers, generation=generations)
renewals = st.builds(
    Renewal,
    id=numbers,
    generation=generations,
    deadline=st.none() | moments,
    origin=st.none() | st.sampled_from(ORIGINS),
)
relocations = st.builds(Relocation, id=numbers, origin=st.sampled_from(ORIGINS))


def _ended(known: OpenWatch, end: Conclusion) -> Concluded:
    fields = {**attrs.asdict(known, recurse=False), **attrs.asdict(end, recurse=False)}
    return Concluded(**fields, acknowledged=False)


class Model(RuleBasedStateMachine):
    """`known` is what a ledger should hold, by id in the order recorded. `claimed` are the numbers of its claims."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, OpenWatch | Concluded] = {}
        self.claimed: set[int] = set()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.open()

    def open(self) -> None:
        self.ledger = self.runner.run(open_ledger(self.kind, self.folder))

    def teardown(self) -> None:
        self.runner.run(self.ledger.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule()
    def close_and_open(self) -> None:
        if self.kind in LASTING:
            self.runner.run(self.ledger.aclose())
            self.open()
            if self.kind not in LASTING_CLAIMS:
                self.claimed.clear()

    @rule(watches=st.lists(new_watches, max_size=4))
    def record(self, watches: list[NewWatch]) -> None:
        answers = self.runner.run(self.ledger.record(watches))
        assert list(answers) == [
            self.recorded(watch, answer.id) for watch, answer in zip(watches, answers, strict=True)
        ]

    def recorded(self, watch: NewWatch, number: int) -> Recorded:
        """What is to be answered; of a new number it is promised that it is higher than all before."""
        for known in self.known.values():
            if (known.endpoint, known.account, known.keys) == (watch.endpoint, watch.account, watch.keys):
                return Recorded(id=known.id, known=known)
        assert number > max(self.known, default=0)
        fields = attrs.asdict(watch, recurse=False)
        del fields["intent"]
        end = fields.pop("outcome")
        known = OpenWatch(id=number, phase=None, polls=0, failures=0, status=None, **fields)
        self.known[number] = known if end is None else _ended(known, attrs.evolve(end, id=number))
        return Recorded(id=number, known=None)

    @rule(batches=st.lists(st.lists(changes, max_size=3), max_size=3))
    def update(self, batches: list[list[Change]]) -> None:
        self.together(*(self.ledger.update(batch) for batch in batches))
        for change in (change for batch in batches for change in batch):
            known = self.known.get(change.id)
            if isinstance(known, OpenWatch):
                self.known[change.id] = attrs.evolve(known, **attrs.asdict(change, recurse=False))

    @rule(batches=st.lists(st.lists(conclusions, max_size=3), max_size=3))
    def conclude(self, batches: list[list[Conclusion]]) -> None:
        answers = self.together(*(self.ledger.conclude(batch) for batch in batches))
        assert answers == [sum(map(self.concluded, batch)) for batch in batches]

    def concluded(self, end: Conclusion) -> bool:
        known = self.known.get(end.id)
        if not isinstance(known, OpenWatch):
            return False
        self.known[end.id] = _ended(known, end)
        return True

    @rule(batches=st.lists(st.lists(acknowledgements, max_size=4), max_size=3))
    def acknowledge(self, batches: list[list[Acknowledgement]]) -> None:
        answers = self.together(*(self.ledger.acknowledge(batch) for batch in batches))
        assert answers == [sum(map(self.acknowledged, batch)) for batch in batches]
        self.claimed.difference_update(one.id for batch in batches for one in batch)

    def acknowledged(self, outcome: Acknowledgement) -> bool:
        known = self.known.get(outcome.id)
        if not isinstance(known, Concluded) or known.acknowledged or known.generation != outcome.generation:
            return False
        self.known[outcome.id] = attrs.evolve(known, acknowledged=True)
        return True

    @rule(owner=st.sampled_from(OWNERS), limit=st.integers(1, 4))
    def claim(self, owner: tuple[str, str], limit: int) -> None:
        free = [known for known in self.waiting(owner) if known.id not in self.claimed][:limit]
        assert list(self.runner.run(self.ledger.claim(*owner, limit=limit, lease_s=1e6))) == free
        self.claimed.update(known.id for known in free)

    @rule(outcomes=st.lists(acknowledgements, max_size=4))
    def release(self, outcomes: list[Acknowledgement]) -> None:
        self.runner.run(self.ledger.release_claims(outcomes))
        self.claimed.difference_update(outcome.id for outcome in outcomes)

    @rule(wanted=st.lists(renewals, max_size=3))
    def reopen(self, wanted: list[Renewal]) -> None:
        assert self.runner.run(self.ledger.reopen(wanted)) == sum(map(self.reopened, wanted))
        self.claimed.difference_update(one.id for one in wanted)

    def reopened(self, renewal: Renewal) -> bool:
        known = self.known.get(renewal.id)
        if not isinstance(known, Concluded) or known.outcome is not OutcomeKind.ABANDONED:
            return False
        if known.generation != renewal.generation:
            return False
        fields = {field.name: getattr(known, field.name) for field in attrs.fields(OpenWatch)}
        now = {"deadline": renewal.deadline, "failures": 0, "origin": renewal.origin or known.origin}
        now["generation"] = known.generation + 1
        self.known[renewal.id] = OpenWatch(**{**fields, **now})
        return True

    @rule(wanted=st.lists(relocations, max_size=3))
    def relocate(self, wanted: list[Relocation]) -> None:
        self.runner.run(self.ledger.relocate(wanted))
        for relocation in wanted:
            known = self.known.get(relocation.id)
            if isinstance(known, OpenWatch):
                self.known[known.id] = attrs.evolve(known, origin=relocation.origin)

    def together(self, *calls: Any) -> list[Any]:
        async def gathered() -> list[Any]:
            return list(await asyncio.gather(*calls))

        return self.runner.run(gathered())

    def waiting(self, owner: tuple[str, str]) -> list[Concluded]:
        """The outcomes of this endpoint and account that are not acknowledged."""
        mine = [known for known in self.known.values() if (known.endpoint, known.account) == owner]
        return [known for known in mine if isinstance(known, Concluded) and not known.acknowledged]

    @invariant()
    def both_say_the_same(self) -> None:
        for owner in OWNERS:
            mine = [known for known in self.known.values() if (known.endpoint, known.account) == owner]
            found_open, found_waiting, places = self.together(
                every(self.ledger.open_watches(*owner)),
                every(self.ledger.unacknowledged(*owner)),
                self.ledger.origins(*owner),
            )
            still_open = [known for known in mine if isinstance(known, OpenWatch)]
            assert found_open == still_open
            assert found_waiting == self.waiting(owner)
            at = {origin: [k for k in still_open if k.origin == origin] for origin in {k.origin for k in still_open}}
            counted = [OriginCount(origin=o, watches=len(ks), keys=ks[0].keys) for o, ks in at.items()]
            assert sorted(places, key=repr) == sorted(counted, key=repr)


class MemoryModel(Model):
    """The same of the ledger that other tests use."""

    kind = "memory"


class PostgresModel(Model):
    """The same in PostgreSQL."""

    kind = "postgres"


TestTheModel = Model.TestCase
TestTheModelInMemory = MemoryModel.TestCase
TestTheModel.settings = TestTheModelInMemory.settings = settings(max_examples=20, stateful_step_count=20)
TestTheModel.__doc__ = TestTheModelInMemory.__doc__ = __doc__
TestTheModelInPostgres = needs_postgres(PostgresModel.TestCase)
TestTheModelInPostgres.settings = settings(max_examples=4, stateful_step_count=20)  # each example makes its tables
TestTheModelInPostgres.__doc__ = __doc__
