"""Carrying out what a batch decides, on its world, and keeping account of all that has to be stored."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from schemas.incidents import MAX_TEXT, Actor, IncidentEvent
from schemas.vocabulary import ActorKind, IncidentState
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.deciding.world import GUARD_KEY, UMBRELLA_KEY, World
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.groups import Group, newest
from services.orchestrator.domain.policy.policy import Policy


@dataclass(frozen=True)
class Turn:
    """Something that later became of a firing, after its decision: `opened`, `joined`, `moved` …"""

    seq: int
    at: datetime
    event: str
    incident: str | None
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What to store: new firings (in order; of one fingerprint the last is the latest), those that changed, what later became
    of older ones, events, who now holds which key, the evidence that changed, and the alerts (by fingerprint) that are to be
    looked at again because of it."""

    began: list[Firing]
    changed: list[Firing]
    turns: list[Turn]
    events: list[IncidentEvent]
    holders: dict[str, str]
    groups: dict[str, Group]
    stirred: set[str]


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcomes of several batches, one after the other, as one; what changed more than once is as it was last."""
    began: list[Firing] = []
    changed: dict[int, Firing] = {}
    whole = Outcome(began, [], [], [], {}, {}, set())
    for outcome in outcomes:
        began += outcome.began
        changed |= {firing.decision.seq: firing for firing in outcome.changed if firing.decision}
        whole.turns.extend(outcome.turns)
        whole.events.extend(outcome.events)
        whole.holders.update(outcome.holders)
        whole.groups.update(outcome.groups)
        whole.stirred.update(outcome.stirred)
    whole.changed.extend(changed.values())
    return whole


@dataclass(frozen=True)
class Cause:
    """By what something is done, why, and when what led to it was heard of."""

    rule: str
    reason: str
    at: datetime
    kind: ActorKind = ActorKind.RULE


class Ledger:
    """One batch's account. Without `telling` incidents change and hardly an event is made: a simulation has no use for them."""

    def __init__(
        self, policy: Policy, world: World, now: datetime, *, telling: bool, recorded_at: datetime | None = None
    ) -> None:
        self._policy, self._world, self._now, self._telling = policy, world, now, telling
        self._recorded_at = recorded_at
        self.began: dict[int, Firing] = {}
        self.changed: dict[int, Firing] = {}
        self._turns: list[Turn] = []
        self._events: list[IncidentEvent] = []
        self._holders: dict[str, str] = {}
        self._groups: dict[str, Group] = {}
        self._stirred: set[str] = set()
        self._opened: dict[str, None] = {}

    def outcome(self) -> Outcome:
        """Everything since the beginning of the batch."""
        return Outcome(
            began=list(self.began.values()),
            changed=list(self.changed.values()),
            turns=self._turns,
            events=self._events,
            holders=self._holders,
            groups=self._groups,
            stirred=self._stirred,
        )

    def begin(self, firing: Firing) -> None:
        """A new firing with its decision."""
        assert firing.decision is not None
        self.began[firing.decision.seq] = firing
        self._world.keep(firing)

    def keep(self, firing: Firing) -> None:
        """A firing that has changed."""
        assert firing.decision is not None
        seq = firing.decision.seq
        (self.began if seq in self.began else self.changed)[seq] = firing
        self._world.keep(firing)

    def link(self, firing: Firing, incident: str, event: str, reason: str) -> None:
        """A firing that was decided before belongs to an incident from now on."""
        assert firing.decision is not None
        self._turns.append(Turn(firing.decision.seq, self._now, event, incident, one_line(reason, MAX_TEXT)))
        self.keep(firing.but(incident=incident))

    def stir(self, alerts: Iterable[str]) -> None:
        """What became known shows these alerts in another light: they are to be looked at again at once."""
        for alert in alerts:
            self._stirred.add(alert)
            firing = self._world.latest.get(alert)
            if firing is not None and firing.ends_at is None and firing.decision is not None:
                self.keep(firing.but(recheck_at=self._now))

    def set_group(self, key: str, group: Group) -> None:
        self._world.groups[key] = self._groups[key] = group

    def count_opening(self) -> None:
        """For the guard: one more that rules opened, or would have."""
        group = self._world.group(GUARD_KEY)
        self.set_group(GUARD_KEY, replace(group, openings=newest(group.openings, self._now, self._policy.guard)))

    def hold(self, key: str, incident: str) -> None:
        """The incident holds the key from now on."""
        self._world.holders[key] = self._holders[key] = incident

    def note_opened(self, *keys: str | None) -> None:
        """These have an open incident from now on: what fires under them without one belongs to it."""
        self._opened |= dict.fromkeys(key for key in keys if key is not None and key != UMBRELLA_KEY)

    def opened_keys(self) -> list[str]:
        """The keys that came to have an open incident."""
        return list(self._opened)

    def carry_out(self, name: str, command: ask.Command, cause: Cause) -> None:
        """Do it, and promote a triage incident that this makes worth it."""
        self._record(name, command, cause)
        why = self._promotion(name)
        if why is not None:
            self.promote(name, replace(cause, kind=ActorKind.RULE, rule="triage-promotion", reason=why))

    def promote(self, name: str, cause: Cause) -> None:
        """Make a triage incident an active one; another stays as it is."""
        if self._world.incidents[name].state is IncidentState.TRIAGE:
            self._record(name, ask.Move(Step.PROMOTE), cause)

    def _record(self, name: str, command: ask.Command, cause: Cause) -> None:
        before = self._world.incidents.get(name)
        changes = decide(before, command, Context(now=self._now, periods=self._policy.periods))
        assert not isinstance(changes, Refusal), changes
        actor = Actor(kind=cause.kind, name=cause.rule, policy=self._policy.version)
        after, events = record(
            name,
            before,
            changes,
            actor=actor,
            reason=cause.reason,
            now=self._now,
            caused_at=cause.at,
            recorded_at=self._recorded_at,
            telling=self._telling,
        )
        if after is not None and changes:
            self._world.put(after)
            self._events += events

    def _promotion(self, name: str) -> str | None:
        """Why a triage incident is to be promoted now; None when it is not."""
        incident, wanted = self._world.incidents.get(name), self._policy.promotion
        if incident is None or incident.state is not IncidentState.TRIAGE:
            return None
        if wanted.severity is not None and not wanted.severity.outranks(incident.severity):
            return f"its severity is {incident.severity}"
        return None
