"""A batch of the bus: alerts are decided, what the notifier reports is kept."""

from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.alerts import AlertReceived
from schemas.deliveries import DeliveryOutcome
from services.orchestrator.domain.deciding import Batch, Known, Outcome
from services.orchestrator.domain.policy import Policy
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import firings, incidents, notices
from services.runtime.bus.consume import Delivered
from services.runtime.clock import Clock


class Intake:
    """Handles batches in the consumer's serial transaction."""

    def __init__(self, journal: Journal, policy: Callable[[], Policy], clock: Clock, metrics: OrchestratorMetrics) -> None:
        self._journal, self._policy, self._clock, self._metrics = journal, policy, clock, metrics

    async def handle(self, connection: AsyncConnection, batch: Sequence[Delivered]) -> Callable[[], None] | None:
        """Decide the batch's alerts. Returns what is to be done after the commit."""
        outcomes = [(item.envelope.id, item.data) for item in batch if isinstance(item.data, DeliveryOutcome)]
        await notices.add(connection, outcomes)
        alerts = [item.data for item in batch if isinstance(item.data, AlertReceived)]
        if not alerts:
            return None
        outcome = await self._decide(connection, alerts)
        return lambda: self._after_commit(outcome)

    async def _decide(self, connection: AsyncConnection, alerts: Sequence[AlertReceived]) -> Outcome:
        policy, now = self._policy(), self._clock.now()
        latest = await firings.latest(connection, {alert.fingerprint for alert in alerts})
        keys = {policy.correlation_key(alert.labels) for alert in alerts}
        linked = {firing.incident for firing in latest.values() if firing.incident}
        next_decision, next_incident = await incidents.next_numbers(connection)
        known = Known(
            latest=latest,
            incidents=await incidents.concerned(connection, keys, linked, now - policy.refire_window),
            next_decision=next_decision,
            next_incident=next_incident,
        )
        outcome = Batch(policy, known, now).decide(alerts)
        await firings.change(connection, outcome.changed)
        await firings.add(connection, outcome.began, known=latest)
        await self._journal.store(connection, outcome.events, policy.quiet)
        return outcome

    def _after_commit(self, outcome: Outcome) -> None:
        now = self._clock.now()
        for firing in outcome.began:
            if firing.decision:
                self._metrics.decisions.labels(firing.decision.action).inc()
                self._metrics.receipt_to_decision.observe(max(0.0, (now - firing.received_at).total_seconds()))
        if outcome.events:
            self._journal.wake()
