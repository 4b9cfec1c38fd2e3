"""What the notifier reported back, kept beside the events and merged into the timeline on reading."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.deliveries import DeliveryOutcome
from services.orchestrator.store.tables import notices
from services.runtime.db import upsert


async def add(connection: AsyncConnection, outcomes: Sequence[tuple[str, DeliveryOutcome]]) -> None:
    """Store outcomes by the id of their message; a repeated one changes nothing."""
    rows = [
        {"id": name, "incident": outcome.incident, "at": outcome.at, "body": outcome.model_dump(mode="json")}
        for name, outcome in outcomes
    ]
    if rows:
        await connection.execute(upsert(connection, notices).on_conflict_do_nothing(), rows)


async def of(connection: AsyncConnection, incident: str) -> list[dict[str, Any]]:
    """The outcomes of an incident's deliveries in the timeline's shape; they have no version, so `seq` is None."""
    query = select(notices).where(notices.c.incident == incident).order_by(notices.c.at).limit(1000)
    return [_line(row.at, DeliveryOutcome.model_validate(row.body)) for row in await connection.execute(query)]


def _line(at: Any, outcome: DeliveryOutcome) -> dict[str, Any]:
    where = outcome.channel if outcome.channel == outcome.destination else f"{outcome.channel} {outcome.destination}"
    text = f"First message delivered to {where}" if outcome.state == "sent" else f"Delivery to {where} failed"
    return {
        "seq": None,
        "type": DeliveryOutcome.TYPE,
        "occurred_at": at,
        "recorded_at": at,
        "actor": {"kind": "system", "name": "notifier", "policy": None},
        "text": text,
        "reason": outcome.reason,
        "data": outcome.model_dump(mode="json"),
    }
