"""What decisions are to take for expected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.maintenance import Maintenance
from services.orchestrator.store import maintenance as store
from services.runtime.clock import Clock


@dataclass
class Windows:
    """The file's maintenance, and what people planned; the latter is kept until it changes.

    It must not be asked in a transaction that changes what is planned: if that came to nothing, what it had seen would stay.
    """

    of_file: Callable[[], Sequence[Maintenance]]
    clock: Clock
    _revision: int | None = field(default=None, init=False)
    _planned: Sequence[Maintenance] = field(default=(), init=False)

    async def current(self, connection: AsyncConnection) -> Sequence[Maintenance]:
        """Costs one small query unless something has changed."""
        revision = await store.revision(connection)
        if revision != self._revision:
            self._planned = [planned.maintenance for planned in await store.live(connection, self.clock.now())]
            self._revision = revision
        return (*self.of_file(), *self._planned)
