"""The recorded log played through another policy, off the way of deciding: nothing is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.comparing import Difference, Report, differences
from services.orchestrator.domain.trying.replaying import Heard, Known, Replay
from services.orchestrator.store import history
from services.orchestrator.store.history import Extent

Progress = Callable[[int, int], None]
"""Told how many decisions have been played, of how many."""
GLANCE = 1000
"""Decisions between two tellings."""


@dataclass(frozen=True)
class Replayed:
    """What there was to play, and what came of it. `unseen` are service levels of the policy that no decision has looked at."""

    extent: Extent
    until: datetime
    report: Report
    differences: Sequence[Difference]
    unseen: Sequence[str]


async def replay(
    connection: AsyncConnection, policy: Policy, since: datetime | None, now: datetime, progress: Progress
) -> Replayed | None:
    """Play what was decided since a moment (everything, without one); None when there was nothing. In one snapshot."""
    extent = await history.extent(connection, since, policy.memory, policy.version)
    if extent is None:
        return None
    later = await history.opened_later(connection, extent.start)
    player = Replay(policy, Known(extent.first, extent.incident, extent.since, later))
    player.simulation.plan(await history.planned(connection, extent.start))
    played, total, told = 0, extent.last - extent.first + 1, 0
    async for step in history.log(connection, extent.start, extent.first):
        player.play(step)
        if type(step) is Heard:
            played += len(step.decided)
            if played >= told:
                progress(played, total)
                told = played + GLANCE
    report = player.finish(now)
    recorded = await history.recorded_incidents(connection, extent.incident)
    found = differences(report, recorded, player.simulation.world.incidents)
    unseen = [slo.name for slo in policy.slos if slo.name not in report.levels]
    return Replayed(extent, now, report, found, unseen)
