"""Storing what happened to incidents: events, state, messages and timers, all in the caller's transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import topics
from schemas.catalogue import encode
from schemas.ids import digest
from schemas.incidents import Incident, IncidentEvent
from services.orchestrator.domain.incident.incident import Periods, next_due
from services.orchestrator.store import incidents
from services.runtime.bus.port import Message
from services.runtime.outbox import Outbox
from services.runtime.work import Item, Work, Worker

QUIET = "quiet"
"""The queue of moments for which incidents wait; the key is the incident."""
RECHECK = "recheck"
"""The queue of the moment at which the next firing is to be looked at again; there is one piece at most."""


@dataclass
class Journal:
    """`wake` is called after the commit: the outbox relay and the timers may have something to do.

    `followers` are told of every commit that decides or does something, whether there is anything to be published or not.
    """

    outbox: Outbox
    work: Work
    timers: Sequence[Worker] = ()
    followers: Sequence[Callable[[], None]] = ()

    async def store(
        self, connection: AsyncConnection, happened: Sequence[IncidentEvent], periods: Periods, position: int
    ) -> None:
        """Append the events, publish them, and set or cancel the timer of each incident. `position` is the number of the next
        decision."""
        if not happened:
            return
        await incidents.append(connection, happened, position)
        await self.outbox.put(connection, [message_of(event) for event in happened])
        final = {event.incident.id: event.incident for event in happened}
        await self.set_timers(connection, list(final.values()), periods)

    async def set_timers(
        self, connection: AsyncConnection, touched: Sequence[Incident], periods: Periods, *, after: datetime | None = None
    ) -> None:
        """Arm or cancel the timer of each incident; one that was due before `after` has had its turn."""
        due = {incident.id: next_due(incident, periods) for incident in touched}
        if after is not None:
            due = {name: when if when and when > after else None for name, when in due.items()}
        had_none = {incident.id for incident in touched if incident.version == 1}
        await self.work.cancel(connection, QUIET, [name for name in due if due[name] is None and name not in had_none])
        await self.work.put(connection, [Item(QUIET, name, when) for name, when in due.items() if when is not None])

    async def set_recheck(self, connection: AsyncConnection, moment: datetime | None) -> None:
        """Look at firings again at a moment, unless that is to be done earlier anyway."""
        if moment is not None:
            await self.work.put(connection, [Item(RECHECK, "next", moment)], never_later=True)

    def wake(self) -> None:
        self.outbox.wake()
        for worker in self.timers:
            worker.wake()
        self.tell()

    def tell(self) -> None:
        """Something was committed."""
        for follow in self.followers:
            follow()


def message_of(event: IncidentEvent) -> Message:
    """The event as it goes to everybody; its id is made of the incident and the version."""
    incident = event.incident
    name = digest("event", incident.uuid, str(event.version))
    value = encode(event.type, event, id=name, source="orchestrator", subject=incident.id)
    return Message(topics.INCIDENTS, incident.id, value)
