"""A policy tried out in memory: the same decisions as in earnest, on a world that lasts, at moments that are played.

Time is what it is given: whatever falls due before a moment is done first, at its own moment. The same code decides as in
earnest, so what is recorded, replayed under the policy that was in force, comes out as it was decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from schemas.incidents import Actor, IncidentEvent
from services.orchestrator.domain.alerts.firings import Message
from services.orchestrator.domain.alerts.maintenance import Planned
from services.orchestrator.domain.deciding.batch import Batch
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.deciding.merging import merge
from services.orchestrator.domain.deciding.splitting import New, Wish, split
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Because, Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.played import Played

__all__ = ["Played", "Simulation"]


class Simulation:
    """Plays alerts, people's commands and what else decisions depend on under a policy.

    With `telling` all events of incidents are made and given back; without it only those that tell of an incident's beginning
    and of its severity, and decisions have no facts.
    """

    def __init__(self, policy: Policy, *, telling: bool = False, world: Played | None = None) -> None:
        self._policy, self._telling = policy, telling
        self.world = world or Played(1, 1)
        self.world.periods, self.world.maintenance = policy.periods, policy.maintenance
        self._planned: Sequence[Planned] = ()

    def plan(self, planned: Sequence[Planned]) -> None:
        """All that people plan, beside the policy's own maintenance; each from when it was planned until it was ended."""
        known = {(each.number, each.ended_at) for each in self._planned}
        for each in planned:
            if (each.number, each.ended_at) not in known:
                self.world.expect_release(each)
        self._planned = planned

    def advance(self, moment: datetime) -> Iterator[Outcome]:
        """Do whatever falls due up to the moment, each at its own."""
        while (due := self.world.next_moment(self._policy.periods)) is not None and due <= moment:
            self._expect(due)
            self.world.release(due)
            batch = Batch(self._policy, self.world, due, telling=self._telling)
            batch.catch_up()
            yield self._outcome(batch)

    def alerts(
        self, moment: datetime, alerts: Sequence[Message], slos: Mapping[str, SloState] | None = None, *, wordy: bool = True
    ) -> Outcome:
        """Decide the alerts at the moment; everything due until then has been done. Unless it is `wordy`, nothing is said about
        those of which nothing comes."""
        self.world.slos = slos or {}
        self._expect(moment)
        batch = Batch(self._policy, self.world, moment, telling=self._telling, wordy=wordy)
        batch.hear(alerts)
        return self._outcome(batch)

    def _outcome(self, batch: Batch) -> Outcome:
        opened = batch.opened_keys
        if opened:
            batch.adopt(self.world.waiting(opened))
        return batch.outcome()

    def levels(self, moment: datetime, slos: Mapping[str, SloState]) -> Iterator[Outcome]:
        """Service levels are as given from now on; what fires for one that got bad is looked at again."""
        before, self.world.slos = self.world.slos, slos
        bad = {name for name, state in slos.items() if state.level.bad and _level(before, name) is not state.level}
        if bad:
            self.world.look_again(moment, [slo.selector for slo in self._policy.slos if slo.name in bad])
        return self.advance(moment)

    def _expect(self, moment: datetime) -> None:
        """What was planned at that moment, and not ended."""
        if self._planned:
            then = (each.maintenance for each in self._planned if each.holds(moment))
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
        events = self._record(moment, incident, changes, actor, reason)
        if command == ask.Move(Step.REOPEN) and before is not None and before.correlation_key is not None:
            self.world.holders[before.correlation_key] = incident
        return events

    def merge(self, moment: datetime, name: str, into: str, actor: Actor, reason: str) -> list[IncidentEvent] | Refusal:
        """A person merges one incident into another."""
        source, target = self.world.incidents.get(name), self.world.incidents.get(into)
        if source is None or target is None:
            return Refusal("not_found", f"There is no incident {name if source is None else into}.")
        merging = merge(source, target, Context(moment, self._policy.periods))
        if isinstance(merging, Refusal):
            return merging
        self.world.hand_over(name, into)
        ends = self._record(moment, name, merging.source, actor, reason)
        return ends + self._record(moment, into, merging.target, actor, reason)

    def split(
        self, moment: datetime, name: str, wish: Wish, new: New, actor: Actor, reason: str
    ) -> list[IncidentEvent] | Refusal:
        """A person splits alerts out of an incident."""
        source = self.world.incidents.get(name)
        if source is None:
            return Refusal("not_found", f"There is no incident {name}.")
        splitting = split(source, wish, self.world.linked(name, wish.alerts), new, Context(moment, self._policy.periods))
        if isinstance(splitting, Refusal):
            return splitting
        self.world.move(splitting.moved, new.name)
        self.world.holders |= dict.fromkeys(splitting.keys, new.name)
        stays = self._record(moment, name, splitting.source, actor, reason)
        return stays + self._record(moment, new.name, splitting.new, actor, f"split from {name}: {reason}")

    def _record(self, moment: datetime, name: str, changes: Sequence[Because], actor: Actor, reason: str) -> list[IncidentEvent]:
        before = self.world.incidents.get(name)
        after, events = record(name, before, changes, actor=actor, reason=reason, now=moment, telling=self._telling)
        if after is not None and changes:
            self.world.put(after)
        return events


def _level(states: Mapping[str, SloState], name: str) -> object:
    return states[name].level if name in states else None
