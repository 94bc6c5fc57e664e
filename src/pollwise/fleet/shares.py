"""Which shards a worker takes, and how many it releases.

Rule 1: nothing here waits or writes. A survey of the database goes in, a plan comes out.
Rule 2: each live worker takes up to its fair share: the busy shards by the live workers, rounded up.
Rule 3: a worker with the share rounded down takes no more while another one has less than that. Nor does it take what it has released.
A shard that stays free for `patience_s` is taken in any case, because the others do not take it.
Rule 4: the worker with the most shards releases some when another one has two less than itself, or less than its share while this one
has more. Of several with as many, the one with the lowest session does. So no shard goes to and fro.
Rule 5: a shard that came back after a release, because no other worker took it, is not released again for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import attrs

from pollwise.ledger.postgres.workers import Survey
from pollwise.ledger.shards import Shard

__all__ = ["Plan", "plan"]


@attrs.frozen(kw_only=True)
class Plan:
    """What a worker does now.

    Attributes:
        take: Free shards, those to take first in front.
        room: How many of them are within its share.
        overdue: Which of them are taken in any case.
        given: Which of them it has released, so that others take them.
        release: How many busy shards it releases.
        idle: Shards of its own that need no owner.
        elsewhere: The shards that another live worker owns.
    """

    take: Sequence[Shard]
    room: int
    overdue: Collection[Shard]
    given: Collection[Shard]
    release: int
    idle: Collection[Shard]
    elsewhere: Collection[Shard]

    def chosen(self) -> Sequence[Shard]:
        """The shards to take, in their order."""
        within = [shard for shard in self.take if shard not in self.given][: self.room]
        return [shard for shard in self.take if shard in within or shard in self.overdue]


def plan(
    survey: Survey,
    *,
    session: int,
    owned: Collection[Shard],
    refused: Collection[Shard],
    given: Collection[Shard],
    free_since: Mapping[Shard, float],
    now: float,
    patience_s: float,
) -> Plan:
    """The plan of one worker.

    Args:
        survey: All shards and workers.
        session: The session of this worker.
        owned: The shards that this worker has, also those that it is about to leave.
        refused: Shards that this worker cannot serve at present.
        given: Shards that it has released not long ago, so that others take them.
        free_since: When each free shard was first seen to be free, in seconds as `now`.
        now: Monotonic seconds.
        patience_s: See rule 3.
    """
    busy = [state for state in survey.shards if state.is_busy]
    workers = {*survey.workers, session}
    counts = Counter(dict.fromkeys(workers, 0))
    for state in busy:
        if not state.is_free and state.session in workers and state.shard not in owned:
            counts[state.session] += 1
    ours = {state.shard for state in busy} & set(owned)
    counts[session] = len(ours)
    share = -(-len(busy) // len(workers))
    free = [state.shard for state in busy if state.is_free and state.shard not in owned and state.shard not in refused]
    free.sort(key=lambda shard: (free_since.get(shard, now), shard))
    return Plan(
        take=free,
        room=_room(counts, session, share, len(busy) // len(workers)),
        overdue={shard for shard in free if now - free_since.get(shard, now) >= patience_s},
        given=given,
        release=0 if free else _surplus(counts, session, share),
        idle=set(owned) - {state.shard for state in busy},
        elsewhere={
            state.shard for state in survey.shards if not state.is_free and state.session in workers - {session}
        },
    )


def _room(counts: Mapping[int, int], session: int, share: int, least: int) -> int:
    mine = counts[session]
    others_first = mine >= least and any(count < least for one, count in counts.items() if one != session)
    return 0 if others_first else max(0, share - mine)


def _surplus(counts: Mapping[int, int], session: int, share: int) -> int:
    mine, least = counts[session], min(counts.values())
    most = max(counts.values())
    if mine < most or mine - least < 2 or session != min(one for one, count in counts.items() if count == most):
        return 0
    wanted = sum(max(0, share - count) for one, count in counts.items() if one != session)
    return max(1, min(mine - share, wanted))
