"""What a candidate would have done otherwise, as it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.store.tables import firings, incidents, shadow_decisions, shadow_openings

_mine, _made = shadow_openings.c, shadow_decisions.c
_worst: ColumnElement[str] = incidents.c.body["highest_severity"].as_string()

WOULD_OPEN = _mine.was.is_(None)
WOULD_NOT_OPEN = _mine.would_be.is_(None)
OTHER_SEVERITY = and_(_mine.severity.is_not(None), _mine.was.is_not(None), _worst != _mine.severity)


@dataclass(frozen=True)
class Move:
    """How often something was done and something would have been."""

    was: str
    would_be: str
    count: int


@dataclass(frozen=True)
class Counts:
    """Decisions that were compared and that are the same; the others by what was and would be done, where that differs."""

    decisions: int
    same: int
    moves: Sequence[Move]


@dataclass(frozen=True)
class Openings:
    """How many incidents were opened and would have been, and how many of them differ in what way."""

    was: int
    would_be: int
    would_open: int
    would_not_open: int
    severity: int


async def counts(connection: AsyncConnection, policy: str, since: datetime) -> Counts:
    """Of the decisions since a moment."""
    of = (_made.policy == policy) & (_made.at >= since)
    query = select(_made.was, _made.action, _made.same, func.count()).where(of).group_by(_made.was, _made.action, _made.same)
    rows = list(await connection.execute(query))
    moved: dict[tuple[str, str], int] = {}
    for was, would_be, _, count in rows:
        if was != would_be:
            moved[was, would_be] = moved.get((was, would_be), 0) + count
    moves = [Move(was, would_be, count) for (was, would_be), count in sorted(moved.items(), key=lambda each: (-each[1], each[0]))]
    return Counts(sum(row[3] for row in rows), sum(row[3] for row in rows if row.same), moves)


async def openings(connection: AsyncConnection, policy: str, since: datetime) -> Openings:
    """Of the incidents opened since a moment."""
    wanted = {
        "was": _mine.was.is_not(None),
        "would_be": _mine.would_be.is_not(None),
        "would_open": WOULD_OPEN,
        "would_not_open": WOULD_NOT_OPEN,
        "severity": OTHER_SEVERITY,
    }
    query: Any = select(*(func.count(case((condition, 1))).label(name) for name, condition in wanted.items()))
    row = (await connection.execute(_among(query, policy, since))).mappings().one()
    return Openings(**dict(row))


async def differences(
    connection: AsyncConnection, policy: str, since: datetime, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Incidents that differ, the newest decisions behind them first, below the decision number `before`."""
    query: Any = select(
        _mine.seq, _mine.at, _mine.was, _mine.would_be, _mine.severity, _mine.quiet, _mine.ended_at,
        _worst.label("was_severity"), firings.c.labels, firings.c.fingerprint,
        func.coalesce(_mine.reason, _made.reason).label("why"), func.coalesce(_mine.rule, _made.rule).label("rule"),
    )  # fmt: skip
    query = _among(query, policy, since).where(or_(WOULD_OPEN, WOULD_NOT_OPEN, OTHER_SEVERITY))
    if before is not None:
        query = query.where(_mine.seq < before)
    found: Sequence[Row[Any]] = (await connection.execute(query.order_by(_mine.seq.desc()).limit(limit))).all()
    return found


def _among(query: Any, policy: str, since: datetime) -> Any:
    decision = and_(_made.policy == _mine.policy, _made.seq == _mine.seq)
    joined = query.select_from(
        shadow_openings.outerjoin(incidents, incidents.c.id == _mine.was)
        .outerjoin(firings, firings.c.seq == _mine.seq)
        .outerjoin(shadow_decisions, decision)
    )
    return joined.where((_mine.policy == policy) & (_mine.at >= since))
