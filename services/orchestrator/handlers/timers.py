"""Moments that come: an incident has waited long enough, a firing is to be looked at again.

A timer and what it leads to are one transaction; one whose condition no longer holds decides nothing. Whoever decides about
alerts does what is due on the way, so it does not matter to any decision how late a timer is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.decider import Decider
from services.orchestrator.handlers.journal import QUIET, Journal
from services.orchestrator.store import firings, incidents
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.work import Claimed


@dataclass(frozen=True)
class Timers:
    """Does what is due."""

    database: Database
    journal: Journal
    decider: Decider
    policy: Callable[[], Policy]
    clock: Clock

    async def incident_is_due(self, claimed: Claimed) -> None:
        """An incident's moment has come."""
        async with self.database.transaction(serial=True) as connection:
            await self.journal.work.cancel(connection, QUIET, [claimed.key])
            await self.decider.decide(connection, incidents=[claimed.key])
            incident = await incidents.get(connection, claimed.key)
            if incident is not None:
                now = self.clock.now()
                await self.journal.set_timers(connection, [incident], self.policy().periods, after=now)
        self.journal.wake()

    async def firings_are_due(self, claimed: Claimed) -> None:
        """Some firings are to be looked at again, at most so many at once; the rest and the later ones get a timer anew."""
        async with self.database.transaction(serial=True) as connection:
            await self.decider.decide(connection)
            await self.journal.work.done(connection, claimed)
            await self.journal.set_recheck(connection, await firings.next_due(connection))
        self.journal.wake()
