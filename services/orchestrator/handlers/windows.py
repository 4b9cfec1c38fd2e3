"""What people planned, for decisions to take for expected; what the file plans is part of the policy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.store import maintenance as store
from services.runtime.clock import Clock


@dataclass
class Windows:
    """The maintenance that people planned, kept until it changes.

    It must not be asked in a transaction that changes what is planned: if that came to nothing, what it had seen would stay.
    """

    clock: Clock
    _revision: int | None = field(default=None, init=False)
    _planned: Sequence[Maintenance] = field(default=(), init=False)

    async def planned(self, connection: AsyncConnection) -> Sequence[Maintenance]:
        """Costs one small query unless something has changed."""
        revision = await store.revision(connection)
        if revision != self._revision:
            self._planned = [planned.maintenance for planned in await store.live(connection, self.clock.now())]
            self._revision = revision
        return self._planned
