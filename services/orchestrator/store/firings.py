"""Firings and their decisions."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Action, FiringState, Severity
from services.orchestrator.domain.firings import Decision, Firing
from services.orchestrator.store.tables import firings
from services.runtime.db import among


async def latest(connection: AsyncConnection, fingerprints: Collection[str]) -> dict[str, Firing]:
    """The latest firing of each fingerprint that has one."""
    query = select(firings).where(firings.c.latest & among(connection, firings.c.fingerprint, fingerprints))
    return {row.fingerprint: to_firing(row) for row in await connection.execute(query)}


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


_KEEP_UP = (
    update(firings)
    .where(firings.c.seq == bindparam("b_seq"))
    .values({name: bindparam(f"b_{name}") for name in ("starts_at", "newest_start", "last_seen", "ends_at", "state")})
)


async def change(connection: AsyncConnection, changed: Sequence[Firing]) -> None:
    """Store what later messages said of firings that are known; their decisions stand."""
    rows = [
        {
            "b_seq": firing.decision.seq,
            "b_starts_at": firing.starts_at,
            "b_newest_start": firing.newest_start,
            "b_last_seen": firing.last_seen,
            "b_ends_at": firing.ends_at,
            "b_state": firing.state,
        }
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
        "action": decision.action,
        "incident": decision.incident,
        "rule": decision.rule,
        "policy": decision.policy,
        "decided_at": decision.at,
        "reason": decision.reason,
        "facts": dict(decision.facts),
    }


def to_firing(row: Row[Any]) -> Firing:
    severity = Severity(row.severity) if row.severity else None
    decision = Decision(
        seq=row.seq,
        action=Action(row.action),
        incident=row.incident,
        severity=severity,
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
        severity=severity,
        decision=decision,
    )
