"""A policy tried out in memory: the same decisions as in earnest, on a world that lasts, at moments that are played.

Time is what it is given: whatever falls due before a moment is done first, at its own moment. The same code decides as in
earnest, so what is recorded, replayed under the policy that was in force, comes out as it was decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush

from schemas.alerts import AlertReceived
from schemas.incidents import Actor, Incident, IncidentEvent
from services.matching import Selector
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.deciding import Batch
from services.orchestrator.domain.evidence import SloState
from services.orchestrator.domain.firings import Firing
from services.orchestrator.domain.happen import record
from services.orchestrator.domain.incident import Context, Periods, Refusal, decide, next_due
from services.orchestrator.domain.ledger import Outcome
from services.orchestrator.domain.maintenance import Planned
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.transitions import Step
from services.orchestrator.domain.world import World

CLOSED = 1000
"""How many incidents that ended are remembered for rules about what came before."""


@dataclass
class Played(World):
    """A world that lasts: it knows by itself what waits for which moment, and what waits for an incident."""

    periods: Periods | None = None
    _incident_moments: list[tuple[datetime, str]] = field(default_factory=list)
    _firing_moments: list[tuple[datetime, str]] = field(default_factory=list)
    _waiting: dict[str, dict[str, None]] = field(default_factory=dict)
    _proposed: list[str] = field(default_factory=list)
    _releases: list[tuple[datetime, int, Selector]] = field(default_factory=list)

    def name_like(self, incident: str) -> str:
        """The name of what a person began, who called it this."""
        del incident
        return self.new_name(self.next_decision)

    def put(self, incident: Incident) -> None:
        before = self.incidents.get(incident.id)
        super().put(incident)
        assert self.periods is not None
        due = next_due(incident, self.periods)
        if due is not None:
            heappush(self._incident_moments, (due, incident.id))
        if incident.resolved_at is not None and (before is None or before.resolved_at != incident.resolved_at):
            self.closed = [incident, *self.closed][:CLOSED]
        if incident.proposal is not None and (before is None or before.proposal is None):
            self._proposed.append(incident.id)

    def take_proposed(self) -> list[str]:
        """The incidents for which mitigation has been proposed since this was last asked."""
        taken, self._proposed = self._proposed, []
        return taken

    def keep(self, firing: Firing) -> None:
        super().keep(firing)
        if firing.recheck_at is not None:
            heappush(self._firing_moments, (firing.recheck_at, firing.fingerprint))
        waits = firing.incident is None and firing.ends_at is None
        here = self._waiting.setdefault(firing.key, {}) if waits else self._waiting.get(firing.key)
        if here is not None:
            if waits:
                here[firing.fingerprint] = None
            else:
                here.pop(firing.fingerprint, None)

    def due_incidents(self, periods: Periods, now: datetime) -> list[str]:
        found: dict[str, None] = {}
        while self._incident_moments and self._incident_moments[0][0] <= now:
            name = heappop(self._incident_moments)[1]
            due = next_due(self.incidents[name], periods)
            if due is not None and due <= now:
                found[name] = None
        return list(found)

    def due_firings(self, now: datetime) -> Sequence[Firing]:
        found: dict[str, Firing] = {}
        while self._firing_moments and self._firing_moments[0][0] <= now:
            firing = self.latest[heappop(self._firing_moments)[1]]
            if firing.recheck_at is not None and firing.recheck_at <= now:
                found[firing.fingerprint] = firing
        return list(found.values())

    def waiting(self, keys: Iterable[str]) -> list[Firing]:
        """Firings of these keys that are not over and have no incident, in the order of their decisions."""
        names = [name for key in keys for name in self._waiting.get(key, ())]
        return sorted((self.latest[name] for name in names), key=_number)

    def next_moment(self) -> datetime | None:
        """The next moment that something may wait for."""
        waiting = (self._incident_moments, self._firing_moments, self._releases)
        return min((moments[0][0] for moments in waiting if moments), default=None)

    def expect_release(self, planned: Planned) -> None:
        """A maintenance is ended before its time."""
        if planned.ended_at is not None:
            heappush(self._releases, (planned.ended_at, planned.number, planned.maintenance.selector))

    def release(self, now: datetime) -> None:
        """Firings that were expected because of a maintenance that has been ended are to be looked at again."""
        while self._releases and self._releases[0][0] <= now:
            selector = heappop(self._releases)[2]
            for firing in list(self.latest.values()):
                if firing.ends_at is None and selector.matches(firing.labels):
                    self.keep(replace(firing, recheck_at=now))


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq


class Simulation:
    """Plays alerts and people's commands under a policy. With `telling`, events of incidents are made and given back."""

    def __init__(self, policy: Policy, *, telling: bool = False, world: Played | None = None) -> None:
        self._policy, self._telling = policy, telling
        self.world = world or Played(1, 1)
        self.world.periods, self.world.maintenance = policy.periods, policy.maintenance
        self._planned: Sequence[Planned] = ()

    def plan(self, planned: Sequence[Planned]) -> None:
        """All that people have planned so far, beside the policy's own maintenance."""
        known = {(each.number, each.ended_at) for each in self._planned}
        for each in planned:
            if (each.number, each.ended_at) not in known:
                self.world.expect_release(each)
        self._planned = planned

    def advance(self, moment: datetime) -> Iterable[Outcome]:
        """Do whatever falls due up to the moment, each at its own."""
        while (due := self.world.next_moment()) is not None and due <= moment:
            self._expect(due)
            self.world.release(due)
            batch = Batch(self._policy, self.world, due, telling=self._telling)
            batch.catch_up()
            batch.adopt(self.world.waiting(batch.opened_keys))
            yield batch.outcome()

    def alerts(self, moment: datetime, alerts: Sequence[AlertReceived], slos: Mapping[str, SloState] | None = None) -> Outcome:
        """Decide the alerts at the moment; everything due until then has been done."""
        self.world.slos = slos or {}
        self._expect(moment)
        batch = Batch(self._policy, self.world, moment, telling=self._telling)
        batch.decide(alerts)
        batch.adopt(self.world.waiting(batch.opened_keys))
        return batch.outcome()

    def _expect(self, moment: datetime) -> None:
        """What was planned at that moment, and not ended."""
        if self._planned:
            then = (
                each.maintenance
                for each in self._planned
                if each.created_at <= moment and (each.ended_at is None or moment < each.ended_at)
            )
            self.world.maintenance = (*self._policy.maintenance, *then)

    def command(
        self, moment: datetime, incident: str, command: ask.Command, actor: Actor, reason: str
    ) -> list[IncidentEvent] | Refusal:
        """What a person does to an incident."""
        before = self.world.incidents.get(incident)
        held = self.world.holders.get(before.correlation_key or "") if before else None
        holder = self.world.incidents.get(held or "")
        context = Context(moment, self._policy.periods, holder.id if holder is not None and holder.state.open else None)
        changes = decide(before, command, context)
        if isinstance(changes, Refusal):
            return changes
        after, events = record(incident, before, changes, actor=actor, reason=reason, now=moment, telling=self._telling)
        if after is not None and changes:
            self.world.put(after)
        if command == ask.Move(Step.REOPEN) and after is not None and after.correlation_key is not None:
            self.world.holders[after.correlation_key] = after.id
        return events
