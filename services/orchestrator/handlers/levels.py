"""A service level has changed: what fires for it is looked at again at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.decider import Decider
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.store import firings
from services.runtime.clock import Clock
from services.runtime.db import Database


@dataclass(frozen=True)
class Levels:
    """Only a level that got worse matters: a severity never falls by itself."""

    database: Database
    journal: Journal
    decider: Decider
    policy: Callable[[], Policy]
    clock: Clock

    async def changed(self, states: Sequence[SloState]) -> None:
        """Weigh open firings anew that the changed levels are about. Raises `Unavailable`."""
        bad = {state.name for state in states if state.level.bad}
        selectors = [slo.selector for slo in self.policy().slos if slo.name in bad]
        if not selectors:
            return
        async with self.database.transaction(serial=True) as connection:
            alive = await firings.open_labels(connection)
            about = [seq for seq, labels in alive if any(selector.matches(labels) for selector in selectors)]
            await firings.recheck(connection, about, self.clock.now())
            await self.decider.decide(connection)
            await self.journal.set_recheck(connection, await firings.next_due(connection))
        self.journal.wake()
