"""A batch of the bus: alerts are decided, what the notifier reports is kept."""

from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.deliveries import DeliveryOutcome
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.handlers.decider import Decider
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import notices
from services.runtime.bus.consume import Delivered
from services.runtime.clock import Clock


class Intake:
    """Handles batches in the consumer's serial transaction."""

    def __init__(self, decider: Decider, journal: Journal, clock: Clock, metrics: OrchestratorMetrics) -> None:
        self._decider, self._journal, self._clock, self._metrics = decider, journal, clock, metrics

    async def handle(self, connection: AsyncConnection, batch: Sequence[Delivered]) -> Callable[[], None] | None:
        """Decide the batch's alerts. Returns what is to be done after the commit."""
        outcomes = [(item.envelope.id, item.data) for item in batch if isinstance(item.data, DeliveryOutcome)]
        await notices.add(connection, outcomes)
        alerts = [item.data for item in batch if isinstance(item.data, AlertReceived)]
        if not alerts:
            return None
        outcome = await self._decider.decide(connection, alerts)
        return lambda: self._after_commit(outcome)

    def _after_commit(self, outcome: Outcome) -> None:
        now = self._clock.now()
        for firing in outcome.began:
            if firing.decision:
                self._metrics.decisions.labels(firing.decision.action).inc()
                self._metrics.receipt_to_decision.observe(max(0.0, (now - firing.received_at).total_seconds()))
        if outcome.events or outcome.stirred or any(firing.recheck_at for firing in outcome.began):
            self._journal.wake()
        else:
            self._journal.tell()
