"""Candidates that run beside the policy: who leads, how far each has come, and what it would have decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import IncidentState
from services.orchestrator.domain.trying.shadowing import Compared, News, Opened, Span, WouldOpen
from services.orchestrator.store.tables import events, firings, incidents, shadow_decisions, shadow_openings, shadows
from services.runtime.db import upsert

KEPT = timedelta(days=30)
LEASE = timedelta(seconds=90)
"""How long nobody takes over from a leader of whom nothing is heard."""
_OPEN = [state for state in IncidentState if state.open]
TRIMMED = 1000
"""How many rows are forgotten at once."""


@dataclass(frozen=True)
class Course:
    """How far a candidate has come: the first decision that was compared, the next one to be, and the moment it has reached."""

    policy: str
    started_at: datetime
    first: int
    position: int
    until: datetime


_COURSE = (shadows.c.policy, shadows.c.started_at, shadows.c.first, shadows.c.position, shadows.c.until)


async def last_decision(connection: AsyncConnection) -> int:
    """The number of the last decision; 0 when there is none."""
    return (await connection.execute(select(func.max(firings.c.seq)))).scalar_one() or 0


async def course(connection: AsyncConnection, policy: str) -> Course | None:
    """How far the candidate has come, if it ever ran."""
    row = (await connection.execute(select(*_COURSE).where(shadows.c.policy == policy))).first()
    return Course(*row) if row is not None else None


async def led_by_another(connection: AsyncConnection, policy: str, me: str, now: datetime) -> bool:
    """Whether somebody else has the lead."""
    others = (shadows.c.policy == policy) & (shadows.c.leader != me) & (shadows.c.lease_until > now)
    return (await connection.execute(select(shadows.c.policy).where(others))).first() is not None


async def lead(connection: AsyncConnection, policy: str, me: str, now: datetime) -> Course | None:
    """Take the lead, or keep it; None when somebody else has it. A candidate that is new, or forgotten, begins with the next
    decision."""
    begin = await last_decision(connection) + 1
    row = {"policy": policy, "started_at": now, "first": begin, "position": begin, "until": now}
    statement = upsert(connection, shadows).values(**row)
    forgotten = shadows.c.until < now - KEPT
    again = {name: row[name] for name in ("started_at", "first", "position", "until")}
    await connection.execute(statement.on_conflict_do_update(index_elements=["policy"], set_=again, where=forgotten))
    free = or_(shadows.c.leader.is_(None), shadows.c.leader == me, shadows.c.lease_until <= now)
    mine = update(shadows).where((shadows.c.policy == policy) & free).values(leader=me, lease_until=now + LEASE)
    taken = (await connection.execute(mine.returning(*_COURSE))).first()
    return Course(*taken) if taken is not None else None


async def move(connection: AsyncConnection, before: Course, me: str, now: datetime, position: int, until: datetime) -> bool:
    """The candidate has come further; False when it is no longer ours or not where we left it, and nothing counts then."""
    here = (shadows.c.policy == before.policy) & (shadows.c.leader == me) & (shadows.c.position == before.position)
    values = {"position": position, "until": until, "lease_until": now + LEASE}
    return (await connection.execute(update(shadows).where(here).values(**values))).rowcount == 1


async def leave(connection: AsyncConnection, policy: str, me: str) -> None:
    """Let others lead."""
    mine = (shadows.c.policy == policy) & (shadows.c.leader == me)
    await connection.execute(update(shadows).where(mine).values(leader=None, lease_until=None))


async def keep(connection: AsyncConnection, at: Course, news: News) -> None:
    """Store what has become known from the candidate's position on."""
    decisions = [_decision_row(at.policy, each) for each in news.decisions if each.was.seq >= at.position]
    if decisions:
        await connection.execute(insert(shadow_decisions), decisions)
    await _put(connection, [_opened_row(at.policy, each) for each in news.opened if each.seq >= at.first], _OPENED)
    await _put(connection, [_would_open_row(at.policy, each) for each in news.would_open if each.seq >= at.first], _WOULD_OPEN)
    if news.pairs:
        pairs = [{"b_was": was, "b_counterpart": counterpart} for was, counterpart in news.pairs]
        mine = (shadow_openings.c.policy == at.policy) & (shadow_openings.c.was == bindparam("b_was"))
        await connection.execute(update(shadow_openings).where(mine).values(counterpart=bindparam("b_counterpart")), pairs)


async def trim(connection: AsyncConnection, now: datetime) -> None:
    """Forget some of what is too old, and candidates of which nothing is left."""
    old = now - KEPT
    for policy in list((await connection.execute(select(shadows.c.policy))).scalars()):
        for table in (shadow_decisions, shadow_openings):
            mine = select(table.c.seq).where((table.c.policy == policy) & (table.c.at < old))
            some = mine.order_by(table.c.at).limit(TRIMMED)
            await connection.execute(delete(table).where((table.c.policy == policy) & table.c.seq.in_(some)))
    kept = [exists().where(table.c.policy == shadows.c.policy) for table in (shadow_decisions, shadow_openings)]
    await connection.execute(delete(shadows).where((shadows.c.until < old) & ~or_(*kept)))


async def spans(connection: AsyncConnection, policy: str, first: int, since: datetime) -> list[Span]:
    """From when to when there was an incident, in earnest or for the candidate, as far as anything of it happened from the
    decision `first` on, which was made at `since`."""
    began, ended = func.min(events.c.recorded_at), func.max(events.c.recorded_at)
    at_the_beginning, is_open = func.min(events.c.version) == 1, incidents.c.state.in_(_OPEN)
    real = select(began, ended, at_the_beginning, is_open).join(incidents, events.c.incident == incidents.c.id)
    known = real.where(events.c.position >= first).group_by(events.c.incident, incidents.c.state)
    would_be = (shadow_openings.c.policy == policy) & shadow_openings.c.would_be.is_not(None) & (shadow_openings.c.at >= since)
    mine = select(shadow_openings.c.at, shadow_openings.c.ended_at).where(would_be)
    found = [Span(row[0] if row[2] else None, None if row[3] else row[1]) for row in await connection.execute(known)]
    return found + [Span(row.at, row.ended_at) for row in await connection.execute(mine)]


async def decided_at(connection: AsyncConnection, decision: int) -> datetime | None:
    """When the decision with this number was made."""
    query = select(firings.c.decided_at).where(firings.c.seq == decision)
    found: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def first_since(connection: AsyncConnection, since: datetime) -> int:
    """The number of the first decision that was made since a moment, found by halving: later decisions have higher numbers."""
    low, high = 1, await last_decision(connection) + 1
    while low < high:
        middle = (low + high) // 2
        at = await decided_at(connection, middle)
        low, high = (middle + 1, high) if at is None or at < since else (low, middle)
    return low


_OPENED = ("was",)
_WOULD_OPEN = ("would_be", "severity", "quiet", "rule", "reason", "ended_at")


async def _put(connection: AsyncConnection, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """One side of an opening; the other one stays as it is."""
    if rows:
        statement = upsert(connection, shadow_openings)
        fresh = {name: statement.excluded[name] for name in columns}
        await connection.execute(statement.on_conflict_do_update(index_elements=["policy", "seq"], set_=fresh), rows)


def _decision_row(policy: str, compared: Compared) -> dict[str, Any]:
    would_be = compared.would_be
    was, instead = compared.change or (compared.was.action, would_be.action)
    return {
        "policy": policy,
        "seq": compared.was.seq,
        "at": would_be.at,
        "was": was,
        "would_be": instead,
        "action": would_be.action,
        "incident": would_be.incident,
        "severity": would_be.severity,
        "rule": would_be.rule,
        "reason": would_be.reason,
        "same": compared.same,
    }


def _opened_row(policy: str, opened: Opened) -> dict[str, Any]:
    return {"policy": policy, "seq": opened.seq, "at": opened.at, "was": opened.incident}


def _would_open_row(policy: str, opened: WouldOpen) -> dict[str, Any]:
    return {
        "policy": policy,
        "seq": opened.seq,
        "at": opened.at,
        "would_be": opened.incident,
        "severity": opened.severity,
        "quiet": opened.quiet,
        "rule": opened.rule,
        "reason": opened.reason,
        "ended_at": opened.ended_at,
    }
