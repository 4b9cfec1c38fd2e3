"""Firings that are not over: as much of each as reconciling takes, for there may be tens of thousands."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import FiringState, Severity
from services.orchestrator.domain.alerts.reconcile import Change, OpenFiring
from services.orchestrator.store.tables import OPEN, firings
from services.runtime.db import among

_COLUMNS = (
    *(firings.c[name] for name in ("seq", "fingerprint", "severity", "incident", "state", "newest_start", "last_seen")),
    *(firings.c.expires_at, firings.c.muted_by),
    firings.c.labels["alertname"].as_string().label("name"),
    firings.c.labels["instance"].as_string().label("instance"),
)


async def load(connection: AsyncConnection, fingerprints: Collection[str] | None = None) -> list[OpenFiring]:
    """All of them, or those of some alerts."""
    query = select(*_COLUMNS).where(text(OPEN))
    if fingerprints is not None:
        query = query.where(firings.c.latest & among(connection, firings.c.fingerprint, fingerprints))
    return [_open_firing(row) for row in await connection.execute(query)]


async def count(connection: AsyncConnection) -> dict[str, int]:
    """How many there are, per state."""
    query = select(firings.c.state, func.count()).where(text(OPEN)).group_by(firings.c.state)
    return {row[0]: row[1] for row in await connection.execute(query)}


_CHANGING = ("state", "last_seen", "expires_at", "muted_by")
_KEEP_UP = update(firings).where(firings.c.seq == bindparam("b_seq")).values({name: bindparam(f"b_{name}") for name in _CHANGING})
_END = _KEEP_UP.values(
    ends_at=bindparam("b_ends_at"),
    closed_at=bindparam("b_closed_at"),
    closed_before=bindparam("b_closed_before"),
    recheck_at=None,
)


async def keep(connection: AsyncConnection, changes: Sequence[Change], now: datetime, position: int) -> None:
    """Store what the firings turned out to be; `position` is the number of the next decision."""
    kept = [_row(change.after) for change in changes if change.after.ends_at is None]
    over = [
        _row(change.after) | {"b_ends_at": change.after.ends_at, "b_closed_at": now, "b_closed_before": position}
        for change in changes
        if change.after.ends_at is not None
    ]
    for statement, rows in ((_KEEP_UP, kept), (_END, over)):
        if rows:
            await connection.execute(statement, rows)


def _row(firing: OpenFiring) -> dict[str, Any]:
    return {"b_seq": firing.seq} | {f"b_{name}": getattr(firing, name) for name in _CHANGING}


def _open_firing(row: Row[Any]) -> OpenFiring:
    return OpenFiring(
        seq=row.seq,
        fingerprint=row.fingerprint,
        name=row.name or row.fingerprint,
        instance=row.instance,
        severity=Severity(row.severity) if row.severity else None,
        incident=row.incident,
        state=FiringState(row.state),
        newest_start=row.newest_start,
        last_seen=row.last_seen,
        expires_at=row.expires_at,
        muted_by=row.muted_by,
    )
