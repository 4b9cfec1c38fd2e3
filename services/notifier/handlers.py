"""Events of incidents become deliveries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import IncidentEvent
from services.notifier.domain.delivery import Destination, State
from services.notifier.domain.plan import plan
from services.notifier.metrics import NotifierMetrics
from services.notifier.ports import Plans
from services.runtime.bus.consume import Delivered
from services.runtime.clock import Clock


@dataclass(frozen=True)
class PlanBatch:
    """The handler of `tocsin.incidents`; `wake` is called after the commit, so that what was planned is sent at once."""

    plans: Plans
    destinations: Callable[[], Sequence[Destination]]
    clock: Clock
    metrics: NotifierMetrics
    wake: Callable[[], None]

    async def __call__(self, connection: AsyncConnection, batch: Sequence[Delivered]) -> Callable[[], None] | None:
        destinations = self.destinations()
        events = [(each.envelope.type, each.data) for each in batch if isinstance(each.data, IncidentEvent)]
        planned = [delivery for kind, event in events for delivery in plan(kind, event, destinations)]
        if not planned:
            return None
        superseded = await self.plans.add(connection, planned, self.clock.now())

        def committed() -> None:
            self.wake()
            for channel, kind in superseded:
                self.metrics.ended(channel, kind, State.SUPERSEDED)

        return committed
