"""Candidates that run beside the policy: who leads, how far each has come, and what it would have decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.shadowing import Compared, News, Opened, WouldOpen
from services.orchestrator.store.tables import OPEN_STATES, events, firings, incidents, shadow_decisions, shadow_openings, shadows
from services.runtime.db import upsert

KEPT = timedelta(days=30)
LEASE = timedelta(seconds=90)
"""How long nobody takes over from a leader of whom nothing is heard."""
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


async def oldest_that_matters(connection: AsyncConnection, policy: str, since: datetime) -> datetime | None:
    """When the oldest incident began that is open or was over since a moment, in earnest or for the candidate."""
    began = select(func.min(events.c.recorded_at)).join(incidents, events.c.incident == incidents.c.id)
    real = began.where((events.c.version == 1) & or_(text(OPEN_STATES), incidents.c.resolved_at >= since))
    lasts = or_(shadow_openings.c.ended_at.is_(None), shadow_openings.c.ended_at >= since)
    mine = (shadow_openings.c.policy == policy) & shadow_openings.c.would_be.is_not(None) & lasts
    would_be = select(func.min(shadow_openings.c.at)).where(mine)
    found = [(await connection.execute(query)).scalar_one() for query in (real, would_be)]
    return min((moment for moment in found if moment is not None), default=None)


async def decided_at(connection: AsyncConnection, decision: int) -> datetime | None:
    """When the decision with this number was made."""
    found: datetime | None = (
        await connection.execute(select(firings.c.decided_at).where(firings.c.seq == decision))
    ).scalar_one_or_none()
    return found


async def first_since(connection: AsyncConnection, since: datetime) -> int:
    """The number of the first decision that was made since a moment. Looks backwards, so it costs what is younger."""
    before = select(firings.c.seq).where(firings.c.decided_at < since).order_by(firings.c.seq.desc()).limit(1)
    return ((await connection.execute(before)).scalar_one_or_none() or 0) + 1


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
    return {
        "policy": policy,
        "seq": compared.was.seq,
        "at": would_be.at,
        "was": compared.was.action,
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
