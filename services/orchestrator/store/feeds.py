"""The last good copies of calendars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.duty.calendars import Entry
from services.orchestrator.store.tables import feeds
from services.runtime.db import upsert

_ENTRIES = TypeAdapter(list[Entry])
_SHOWN = [column for column in feeds.c if column.name != "body"]


@dataclass(frozen=True)
class Copy:
    """What is known of a calendar: what stood in it when its source was last heard of at `fetched_at`, and since when it fails.

    The entries are those from `known_from` until `known_until`.
    """

    rotation: str
    source: str
    fetched_at: datetime | None = None
    tag: str | None = None
    entries: Sequence[Entry] = ()
    known_from: datetime | None = None
    known_until: datetime | None = None
    failing_since: datetime | None = None
    reason: str | None = None


async def revisions(connection: AsyncConnection) -> dict[str, int]:
    """By rotation, a number that grows with each change of its copy."""
    rows = await connection.execute(select(feeds.c.rotation, feeds.c.revision))
    return {row.rotation: row.revision for row in rows}


async def load(connection: AsyncConnection) -> dict[str, Copy]:
    """All of them, by the rotation that they are for."""
    return {row.rotation: _copy(row) for row in await connection.execute(select(*_SHOWN))}


async def get(connection: AsyncConnection, rotation: str) -> tuple[Copy, bytes | None] | None:
    """One, with the calendar as it came."""
    row = (await connection.execute(select(feeds).where(feeds.c.rotation == rotation))).first()
    return None if row is None else (_copy(row), row.body)


async def keep(connection: AsyncConnection, copy: Copy, body: bytes | None) -> None:
    """Put it in the place of the one before."""
    await _put(connection, _row(copy) | {"body": body})


async def note(connection: AsyncConnection, copy: Copy) -> None:
    """The calendar is as it came before; what is known of it has changed."""
    await _put(connection, _row(copy))


async def forget(connection: AsyncConnection, rotation: str) -> None:
    """No rotation takes it any more."""
    await keep(connection, Copy(rotation, ""), None)


async def _put(connection: AsyncConnection, row: dict[str, Any]) -> None:
    statement = upsert(connection, feeds).values(**row, revision=1)
    changed = row | {"revision": feeds.c.revision + 1}
    await connection.execute(statement.on_conflict_do_update(index_elements=["rotation"], set_=changed))


def _row(copy: Copy) -> dict[str, Any]:
    return {
        "rotation": copy.rotation,
        "source": copy.source,
        "fetched_at": copy.fetched_at,
        "etag": copy.tag,
        "entries": _ENTRIES.dump_python(list(copy.entries), mode="json"),
        "known_from": copy.known_from,
        "known_until": copy.known_until,
        "failing_since": copy.failing_since,
        "reason": copy.reason,
    }


def _copy(row: Row[Any]) -> Copy:
    return Copy(
        rotation=row.rotation,
        source=row.source,
        fetched_at=row.fetched_at,
        tag=row.etag,
        entries=_ENTRIES.validate_python(row.entries),
        known_from=row.known_from,
        known_until=row.known_until,
        failing_since=row.failing_since,
        reason=row.reason,
    )
