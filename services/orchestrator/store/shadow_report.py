"""What a candidate would have done otherwise, as it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import IncidentState
from services.orchestrator.store.tables import events, firings, incidents, shadow_decisions, shadow_openings

_mine, _made = shadow_openings.c, shadow_decisions.c
_real, _counterpart = shadow_openings.alias("real"), shadow_openings.alias("counterpart")
_worst: ColumnElement[str] = incidents.c.body["highest_severity"].as_string()
_in_triage: ColumnElement[bool] = events.c.change["state"].as_string() == IncidentState.TRIAGE
_both = _mine.was.is_not(None) & _mine.would_be.is_not(None)

MOVED = _real.c.seq.is_not(None)
"""It is opened in both, for different decisions."""
KINDS: dict[str, ColumnElement[bool]] = {
    "was": _mine.was.is_not(None),
    "would_be": _mine.would_be.is_not(None),
    "would_open": _mine.was.is_(None) & ~MOVED,
    "would_not_open": _mine.would_be.is_(None) & _counterpart.c.seq.is_(None),
    "would_open_earlier": MOVED & (_mine.seq < _real.c.seq),
    "would_open_later": MOVED & (_mine.seq > _real.c.seq),
    "severity": _both & (_worst != _mine.severity),
    "triage": _both & (_worst == _mine.severity) & (_in_triage != _mine.quiet),
}
"""What is told of incidents, by the words of `Openings`."""
DIFFERENCES = ("would_open", "would_not_open", "would_open_earlier", "would_open_later", "severity", "triage")


@dataclass(frozen=True)
class Move:
    """How often something was done and something would have been."""

    was: str
    would_be: str
    count: int


@dataclass(frozen=True)
class Counts:
    """Decisions that were compared and that are the same; the others by what was and would be done."""

    decisions: int
    same: int
    moves: Sequence[Move]


async def counts(connection: AsyncConnection, policy: str, since: datetime) -> Counts:
    """Of the decisions since a moment."""
    of = (_made.policy == policy) & (_made.at >= since)
    query = select(_made.was, _made.would_be, _made.same, func.count()).where(of).group_by(_made.was, _made.would_be, _made.same)
    rows = list(await connection.execute(query))
    moves = sorted((Move(row[0], row[1], row[3]) for row in rows if not row.same), key=lambda move: (-move.count, move.was))
    return Counts(sum(row[3] for row in rows), sum(row[3] for row in rows if row.same), moves)


async def openings(connection: AsyncConnection, policy: str, since: datetime) -> dict[str, int]:
    """How many of the incidents opened since a moment are of each of the `KINDS`."""
    query: Any = select(*(func.count(case((condition, 1))).label(name) for name, condition in KINDS.items()))
    return dict((await connection.execute(_joined(query, policy, since))).mappings().one())


async def differences(
    connection: AsyncConnection, policy: str, since: datetime, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Incidents that differ, the newest decisions behind them first, below the decision number `before`."""
    what = case(*((KINDS[name], name) for name in DIFFERENCES)).label("what")
    query: Any = select(
        what, _mine.seq, _mine.at, _mine.would_be, _mine.severity, _mine.quiet, _mine.ended_at, _mine.counterpart,
        func.coalesce(_mine.was, _real.c.was).label("was"), _real.c.at.label("was_at"),
        _worst.label("was_severity"), _in_triage.label("was_quiet"), firings.c.labels, firings.c.fingerprint,
        func.coalesce(_mine.reason, _made.reason).label("why"),
    )  # fmt: skip
    query = _joined(query, policy, since).where(or_(*(KINDS[name] for name in DIFFERENCES)))
    if before is not None:
        query = query.where(_mine.seq < before)
    found: Sequence[Row[Any]] = (await connection.execute(query.order_by(_mine.seq.desc()).limit(limit))).all()
    return found


def _joined(query: Any, policy: str, since: datetime) -> Any:
    """Openings with all that is told of them. The first one in earnest that has no opening beside it, and whose counterpart has
    none either, goes with that."""
    alone = (_mine.policy == policy) & _mine.would_be.is_(None) & _mine.counterpart.is_not(None)
    first = select(_mine.counterpart, func.min(_mine.seq).label("seq")).where(alone).group_by(_mine.counterpart).subquery("first")
    ours = first.alias("ours")
    became = (_mine.would_be == first.c.counterpart) & _mine.was.is_(None)
    becomes = (_counterpart.c.policy == policy) & (_counterpart.c.would_be == ours.c.counterpart) & _counterpart.c.was.is_(None)
    return (
        query.select_from(
            shadow_openings.outerjoin(first, became)
            .outerjoin(_real, (_real.c.policy == policy) & (_real.c.seq == first.c.seq))
            .outerjoin(ours, ours.c.seq == _mine.seq)
            .outerjoin(_counterpart, becomes)
            .outerjoin(incidents, incidents.c.id == func.coalesce(_mine.was, _real.c.was))
            .outerjoin(events, (events.c.incident == incidents.c.id) & (events.c.version == 1))
            .outerjoin(firings, firings.c.seq == _mine.seq)
            .outerjoin(shadow_decisions, (_made.policy == _mine.policy) & (_made.seq == _mine.seq))
        )
    ).where((_mine.policy == policy) & (_mine.at >= since))
