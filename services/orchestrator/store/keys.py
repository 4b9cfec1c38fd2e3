"""Correlation keys: which incident holds each, and the evidence gathered under it."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.policy.groups import Group
from services.orchestrator.store.tables import incidents, keys
from services.runtime.db import among, upsert

_GROUP = TypeAdapter(Group)


async def load(connection: AsyncConnection, wanted: Collection[str]) -> tuple[dict[str, str], dict[str, Group]]:
    """Per key the incident that holds it, and the evidence, where there is any."""
    rows = list(await connection.execute(select(keys).where(among(connection, keys.c.key, wanted))))
    holders = {row.key: row.incident for row in rows if row.incident is not None}
    return holders, {row.key: _GROUP.validate_python(row.body) for row in rows if row.body}


async def hold(connection: AsyncConnection, holders: Mapping[str, str]) -> None:
    """These incidents hold these keys from now on."""
    await _put(connection, [{"key": key, "incident": incident, "body": {}} for key, incident in holders.items()], "incident")


async def keep(connection: AsyncConnection, groups: Mapping[str, Group]) -> None:
    """Store evidence that changed."""
    rows = [{"key": key, "incident": None, "body": _GROUP.dump_python(group, mode="json")} for key, group in groups.items()]
    await _put(connection, rows, "body")


async def _put(connection: AsyncConnection, rows: list[dict[str, Any]], column: str) -> None:
    if rows:
        statement = upsert(connection, keys)
        fresh = {column: statement.excluded[column]}
        await connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=fresh), rows)


async def hand_over(connection: AsyncConnection, source: str, target: str) -> None:
    """All keys of one incident are held by another from now on."""
    await connection.execute(update(keys).where(keys.c.incident == source).values(incident=target))


async def open_holder(connection: AsyncConnection, key: str | None) -> str | None:
    """The open incident that holds a key."""
    if key is None:
        return None
    query = select(keys.c.incident, incidents.c.state).join(incidents, incidents.c.id == keys.c.incident)
    row = (await connection.execute(query.where(keys.c.key == key))).first()
    return row.incident if row is not None and row.state in _OPEN else None


_OPEN = frozenset({"triage", "active", "mitigated"})
