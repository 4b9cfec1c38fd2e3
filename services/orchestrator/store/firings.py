"""Firings and their decisions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Action, FiringState, Severity
from services.orchestrator.domain.alerts.firings import Decision, Firing
from services.orchestrator.store.tables import WAITING, firings
from services.runtime.db import among


async def latest(connection: AsyncConnection, fingerprints: Collection[str]) -> dict[str, Firing]:
    """The latest firing of each fingerprint that has one."""
    query = select(firings).where(firings.c.latest & among(connection, firings.c.fingerprint, fingerprints))
    return {row.fingerprint: to_firing(row) for row in await connection.execute(query)}


async def due(connection: AsyncConnection, now: datetime, limit: int = 500) -> list[Firing]:
    """Firings that time alone may have changed by now, in the order of their moments."""
    query = select(firings).where(firings.c.recheck_at <= now).order_by(firings.c.recheck_at, firings.c.seq).limit(limit)
    return [to_firing(row) for row in await connection.execute(query)]


async def next_due(connection: AsyncConnection) -> datetime | None:
    """When the next firing is to be looked at again."""
    found: datetime | None = (await connection.execute(select(func.min(firings.c.recheck_at)))).scalar_one()
    return found


async def open_labels(connection: AsyncConnection) -> list[tuple[int, Mapping[str, str]]]:
    """The decision number and the labels of everything that is not over."""
    query = select(firings.c.seq, firings.c.labels).where(firings.c.latest & firings.c.ends_at.is_(None))
    return [(row.seq, row.labels) for row in await connection.execute(query)]


async def stir(connection: AsyncConnection, alerts: Collection[str], moment: datetime) -> None:
    """Have what is not over of these alerts (fingerprints) looked at again at the moment."""
    alive = firings.c.latest & firings.c.ends_at.is_(None) & among(connection, firings.c.fingerprint, alerts)
    await connection.execute(update(firings).where(alive).values(recheck_at=moment))


async def recheck(connection: AsyncConnection, numbers: Sequence[int], moment: datetime) -> None:
    """Have these looked at again at the moment."""
    if numbers:
        statement = update(firings).where(firings.c.seq == bindparam("b_seq")).values(recheck_at=bindparam("b_moment"))
        await connection.execute(statement, [{"b_seq": number, "b_moment": moment} for number in numbers])


async def waiting(connection: AsyncConnection, keys: Collection[str], after: int, limit: int = 1000) -> list[Firing]:
    """Firings of these keys that are not over and have no incident, above a decision number."""
    mine = text(WAITING) & among(connection, firings.c.key, keys) & (firings.c.seq > after)
    query = select(firings).where(mine).order_by(firings.c.seq).limit(limit)
    return [to_firing(row) for row in await connection.execute(query)]


async def history(connection: AsyncConnection, fingerprint: str, limit: int = 100) -> list[Firing]:
    """All firings of an alert, newest first."""
    query = select(firings).where(firings.c.fingerprint == fingerprint).order_by(firings.c.seq.desc()).limit(limit)
    return [to_firing(row) for row in await connection.execute(query)]


async def page(
    connection: AsyncConnection, *, incident: str | None, state: str | None, before: int | None, limit: int
) -> list[Firing]:
    """Firings newest first, of one incident or of all, below the decision number `before`."""
    query = select(firings).order_by(firings.c.seq.desc()).limit(limit)
    for wanted, condition in (
        (incident, firings.c.incident == incident),
        (state, firings.c.state == state),
        (before, firings.c.seq < (before or 0)),
    ):
        if wanted is not None:
            query = query.where(condition)
    return [to_firing(row) for row in await connection.execute(query)]


async def first(connection: AsyncConnection, incident: str, limit: int) -> list[Firing]:
    """The firings of an incident that were decided first, in that order."""
    query = select(firings).where(firings.c.incident == incident).order_by(firings.c.seq).limit(limit)
    return [to_firing(row) for row in await connection.execute(query)]


async def staying(
    connection: AsyncConnection, incident: str, without: Collection[str]
) -> tuple[bool, Severity | None, frozenset[str]]:
    """What an incident has left without what is not over of these alerts: whether any other alert, the worst severity, and
    the keys of what is not over."""
    mine, named = firings.c.incident == incident, among(connection, firings.c.fingerprint, without)
    ends = firings.c.ends_at.is_not(None)
    left = select(func.count().filter(~named), func.min(firings.c.severity).filter(~named | ends)).where(mine)
    others, worst = (await connection.execute(left)).one()
    keys = await connection.execute(select(firings.c.key).distinct().where(mine & ~named & ~ends))
    return bool(others), Severity(worst) if worst else None, frozenset(keys.scalars())


async def hand_over(connection: AsyncConnection, source: str, target: str) -> None:
    """All firings of one incident belong to another from now on, those that are over too."""
    await connection.execute(update(firings).where(firings.c.incident == source).values(incident=target))


async def move(connection: AsyncConnection, moved: Collection[str], target: str) -> None:
    """The latest firings of these alerts belong to another incident from now on."""
    mine = firings.c.latest & among(connection, firings.c.fingerprint, moved)
    await connection.execute(update(firings).where(mine).values(incident=target))


async def add(connection: AsyncConnection, began: Sequence[Firing], known: Collection[str]) -> None:
    """Store new firings with their decisions; of each fingerprint the last one is its latest. `known` had one before."""
    if not began:
        return
    succeeded = {firing.fingerprint for firing in began} & set(known)
    if succeeded:
        outdated = firings.c.latest & among(connection, firings.c.fingerprint, succeeded)
        await connection.execute(update(firings).where(outdated).values(latest=False))
    newest = {firing.fingerprint: firing for firing in began}
    await connection.execute(insert(firings), [_row(firing, newest[firing.fingerprint] is firing) for firing in began])


_CHANGING = (
    "starts_at",
    "newest_start",
    "last_seen",
    "ends_at",
    "state",
    "severity",
    "incident",
    "recheck_at",
    "closed_at",
    "closed_before",
    "expires_at",
    "muted_by",
)
_KEEP_UP = update(firings).where(firings.c.seq == bindparam("b_seq")).values({name: bindparam(f"b_{name}") for name in _CHANGING})


async def change(connection: AsyncConnection, changed: Sequence[Firing]) -> None:
    """Store what has changed of firings that are known; their decisions stand."""
    rows = [
        {"b_seq": firing.decision.seq} | {f"b_{name}": getattr(firing, name) for name in _CHANGING}
        for firing in changed
        if firing.decision
    ]
    if rows:
        await connection.execute(_KEEP_UP, rows)


def _row(firing: Firing, is_latest: bool) -> dict[str, Any]:
    decision = firing.decision
    assert decision is not None
    return {
        "seq": decision.seq,
        "fingerprint": firing.fingerprint,
        "latest": is_latest,
        "labels": dict(firing.labels),
        "annotations": dict(firing.annotations),
        "generator_url": firing.generator_url,
        "starts_at": firing.starts_at,
        "newest_start": firing.newest_start,
        "last_seen": firing.last_seen,
        "received_at": firing.received_at,
        "not_before": firing.not_before,
        "ends_at": firing.ends_at,
        "state": firing.state,
        "severity": firing.severity,
        "key": firing.key,
        "incident": firing.incident,
        "begins": [moment.isoformat() for moment in firing.begins],
        "recheck_at": firing.recheck_at,
        "closed_at": firing.closed_at,
        "closed_before": firing.closed_before,
        "expires_at": firing.expires_at,
        "muted_by": firing.muted_by,
        "decided_incident": decision.incident,
        "decided_severity": decision.severity,
        "action": decision.action,
        "rule": decision.rule,
        "policy": decision.policy,
        "decided_at": decision.at,
        "reason": decision.reason,
        "facts": dict(decision.facts),
    }


def to_firing(row: Row[Any]) -> Firing:
    decision = Decision(
        seq=row.seq,
        action=Action(row.action),
        incident=row.decided_incident,
        severity=Severity(row.decided_severity) if row.decided_severity else None,
        rule=row.rule,
        policy=row.policy,
        at=row.decided_at,
        reason=row.reason,
        facts=row.facts,
    )
    return Firing(
        fingerprint=row.fingerprint,
        labels=row.labels,
        annotations=row.annotations,
        generator_url=row.generator_url,
        starts_at=row.starts_at,
        newest_start=row.newest_start,
        last_seen=row.last_seen,
        received_at=row.received_at,
        not_before=row.not_before,
        ends_at=row.ends_at,
        state=FiringState(row.state),
        severity=Severity(row.severity) if row.severity else None,
        key=row.key,
        incident=row.incident,
        begins=tuple(map(datetime.fromisoformat, row.begins or ())),
        recheck_at=row.recheck_at,
        closed_at=row.closed_at,
        closed_before=row.closed_before,
        expires_at=row.expires_at,
        muted_by=row.muted_by,
        decision=decision,
    )
