"""A place where alerts come and people decide, plan, merge and split, step by step; and what it was is replayed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.vocabulary import Severity
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.splitting import Wish
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.maintenance import Planner
from services.orchestrator.handlers.regrouping import Regrouping
from services.orchestrator.handlers.replay import Replayed, replay
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import maintenance
from services.windows import Window
from tests.builders import ANN, an_alert, minutes, resolved
from tests.support.shadowing import House

Story = list[tuple[str, Any]]
"""What happens, and with what: an alert is its name, severity, service and instance."""


def nothing_differs(found: Replayed) -> None:
    """The replay came to what was decided."""
    report = found.report
    assert (report.changes, report.inapplicable, list(found.differences)) == ({}, {}, [])
    assert (report.same, report.by_another_rule) == (report.decisions, 0)


class Past(House):
    """A house where people also plan, merge and split."""

    async def start(self) -> "Past":
        await super().start()
        self.decider = Decider(self.journal, Surroundings(lambda: self.policy, self._planned, dict), self.clock)
        self.regrouping = Regrouping(self.commands, self.journal, lambda: self.policy)
        self.planner = Planner(self.database, self.journal, tuple, self.clock, OrchestratorMetrics(CollectorRegistry()))
        self.firing: dict[tuple[str, ...], datetime] = {}
        return self

    async def _planned(self, connection: AsyncConnection) -> Sequence[Maintenance]:
        return [each.maintenance for each in await maintenance.live(connection, self.now)]

    async def replayed(self, since: datetime | None = None) -> Replayed | None:
        async with self.database.snapshot() as connection:
            return await replay(connection, self.policy, since, self.now, lambda *_: None)

    async def live(self, story: Story) -> None:
        """All of it, and what falls due by its end."""
        for kind, what in story:
            await self._live(kind, what)
        await self.take()

    async def _live(self, kind: str, what: Any) -> None:
        """One thing that happens, after whatever was due."""
        self.pass_time(seconds=1)
        await self.take()
        request = Request(ANN, "because")
        match kind:
            case "hear":
                await self._hear(what)
            case "pass":
                self.pass_time(minutes=what)
                await self.take()
            case "do":
                await self.do(f"INC-{what[0]}", what[1])
            case "declare":
                await self.commands.declare(request, lambda name, uuid: ask.Open(name, uuid, "By hand", Severity.S2, ("web",)))
            case "merge":
                await self.regrouping.merge(f"INC-{what[0]}", f"INC-{what[1]}", request)
            case "split":
                fingerprints = {an_alert(*alert[:1], **_labels(alert)).fingerprint for alert in what[1]}
                await self.regrouping.split(f"INC-{what[0]}", Wish(tuple(sorted(fingerprints))), request)
            case "plan":
                window = Window.parse(starts=self.now, duration=minutes(what))
                await self.planner.add(request, "work", selector(['service="web"']), window)
            case _:
                await self.planner.end(request, "MW-1")

    async def _hear(self, heard: list[tuple[str, ...]]) -> None:
        """What fires is over when it is heard of again."""
        batch = []
        for each in dict.fromkeys(heard):
            began = self.firing.pop(each, None)
            alert = an_alert(each[0], starts_at=began or self.now, **_labels(each))
            batch.append(resolved(alert, self.now) if began else alert)
            if began is None:
                self.firing[each] = self.now
        await self.take(*batch)


def _labels(alert: tuple[str, ...]) -> dict[str, Any]:
    _, severity, service, instance = alert
    return {"severity": severity, "service": service, "instance": instance}
