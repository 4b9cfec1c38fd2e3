"""Merging and splitting among all else that happens: no alert is lost or counted twice, and a refusal changes nothing."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.alerts import AlertReceived
from schemas.incidents import AlertCounts, AlertExample, Incident
from schemas.vocabulary import FiringState, worst
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.deciding.batch import Batch
from services.orchestrator.domain.deciding.merging import merge
from services.orchestrator.domain.deciding.splitting import Linked, New, Wish, split
from services.orchestrator.domain.deciding.world import World, pin_key
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Because, Context, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from tests.builders import ANN, NOW, POLICY, an_alert, resolved

T = TypeVar("T")

NAMES, SERVICES, SEVERITIES = ("A", "B", "C"), ("web", "db", "api"), ("s1", "s2", "s3", "s4")
pick = st.integers(0, 11)
"""The nth of what there is at the moment, counted round and round."""
picks = st.lists(pick, max_size=3)
fires = st.tuples(st.just("fire"), st.tuples(st.sampled_from(NAMES), st.sampled_from(SERVICES), st.sampled_from(SEVERITIES)))
regroupings = st.one_of(
    st.tuples(st.just("merge"), st.tuples(pick, pick)),
    st.tuples(st.just("split"), st.tuples(pick, picks, st.booleans())),
)
others = st.one_of(
    st.tuples(st.just("end"), st.tuples(pick)),
    st.tuples(st.just("mute"), st.tuples(pick)),
    st.tuples(st.just("move"), st.tuples(pick, st.sampled_from([Step.RESOLVE, Step.MITIGATE, Step.REOPEN, Step.DISMISS]))),
)
histories = st.builds(
    lambda first, then: [*first, *then],
    st.lists(fires, min_size=5, max_size=10),
    st.lists(st.one_of(fires, others, regroupings), max_size=20),
)
Words = tuple[str, tuple[object, ...]]


def nth(known: Sequence[T], number: int) -> T | None:
    return known[number % len(known)] if known else None


@dataclass
class Play:
    """The orchestrator in memory: what its store would hold, changed as its handlers would."""

    world: World
    firings: dict[int, Firing]
    now: datetime = NOW

    def do(self, action: str, given: tuple[object, ...]) -> bool:
        """Whether it was not refused."""
        self.now += timedelta(minutes=1)
        done: bool | None = getattr(self, f"_{action}")(*given)
        return done is not False

    def linked(self, name: str) -> list[Firing]:
        return [firing for firing in self.firings.values() if firing.incident == name]

    def _fire(self, name: str, service: str, severity: str) -> None:
        self._decide(an_alert(name, service=service, severity=severity, starts_at=self.now))

    def _end(self, number: int) -> bool:
        firing = nth(self._alive(), number)
        if firing is None:
            return False
        labels = dict(firing.labels)
        alert = an_alert(labels.pop("alertname"), **labels)  # type: ignore[arg-type]  # labels are words only
        self._decide(resolved(alert, self.now))
        return True

    def _decide(self, alert: AlertReceived) -> None:
        batch = Batch(POLICY, self.world, self.now)
        batch.decide([alert])
        batch.adopt(list(self.world.latest.values()))
        self._note([*batch.outcome().changed, *batch.outcome().began])

    def _alive(self) -> list[Firing]:
        return [firing for firing in self.world.latest.values() if firing.ends_at is None]

    def _mute(self, number: int) -> bool:
        firing = nth([each for each in self._alive() if each.incident and each.state is FiringState.FIRING], number)
        if firing is None:
            return False
        assert firing.incident
        self._note([replace(firing, state=FiringState.MUTED)])
        example = AlertExample(fingerprint=firing.fingerprint, name=firing.name)
        return self._order(firing.incident, ask.Restate(FiringState.FIRING, FiringState.MUTED, 1, (example,)))

    def _move(self, number: int, step: Step) -> bool:
        incident = nth(list(self.world.incidents.values()), number)
        if incident is None or (step is Step.REOPEN and self._held_by_another(incident)):
            return False
        done = self._order(incident.id, ask.Move(step))
        if done and step is Step.REOPEN and incident.correlation_key is not None:
            self.world.holders[incident.correlation_key] = incident.id
        return done

    def _held_by_another(self, incident: Incident) -> bool:
        holder = self.world.incidents.get(self.world.holders.get(incident.correlation_key or "", ""))
        return holder is not None and holder.state.open and holder.id != incident.id

    def _order(self, name: str, command: ask.Command) -> bool:
        changes = decide(self.world.incidents[name], command, self._context())
        if isinstance(changes, Refusal):
            return False
        self._record(name, changes)
        return True

    def _merge(self, one: int, other: int) -> bool:
        known = list(self.world.incidents.values())
        source, target = nth(known, one), nth(known, other)
        if source is None or target is None:
            return False
        merging = merge(source, target, self._context())
        if isinstance(merging, Refusal):
            return False
        self._record(source.id, merging.source)
        self._record(target.id, merging.target)
        self._note(replace(firing, incident=target.id) for firing in self.linked(source.id))
        held = [key for key, holder in self.world.holders.items() if holder == source.id]
        self.world.holders |= dict.fromkeys(held, target.id)
        return True

    def _split(self, number: int, named: Sequence[int], foreign: bool) -> bool:
        """`foreign`: any alerts are named, not only what belongs to the incident and is not over."""
        source = nth(list(self.world.incidents.values()), number)
        if source is None:
            return False
        known = list(self.world.latest.values()) if foreign else [each for each in self._alive() if each.incident == source.id]
        found = [firing.fingerprint for each in named if (firing := nth(known, each)) is not None]
        wish = Wish(tuple(dict.fromkeys(found)))
        new = New(f"INC-{self.world.next_incident}", "uuid")
        splitting = split(source, wish, self._known(source.id, wish.alerts), new, self._context())
        if isinstance(splitting, Refusal):
            return False
        self.world.next_incident += 1
        self._record(source.id, splitting.source)
        self._record(new.name, splitting.new)
        self._note(replace(firing, incident=new.name) for firing in splitting.moved)
        self.world.holders |= dict.fromkeys(splitting.keys, new.name)
        return True

    def _known(self, name: str, wanted: Sequence[str]) -> Linked:
        leaving = {fingerprint for fingerprint in wanted if fingerprint in self.world.latest}
        mine = self.linked(name)
        staying = [firing for firing in mine if firing.fingerprint not in leaving]
        ended = [firing for firing in mine if firing.ends_at is not None]
        return Linked(
            named={fingerprint: self.world.latest[fingerprint] for fingerprint in leaving},
            others=bool(staying),
            worst=worst(firing.severity for firing in [*staying, *ended]),
            keys=frozenset(firing.key for firing in staying if firing.ends_at is None),
            holders=self.world.holders,
        )

    def _record(self, name: str, changes: Sequence[Because]) -> None:
        before = self.world.incidents.get(name)
        after, _ = record(name, before, changes, actor=ANN, reason="because", now=self.now)
        assert after
        self.world.put(after)

    def _note(self, changed: Iterable[Firing]) -> None:
        for firing in list(changed):
            assert firing.decision
            self.firings[firing.decision.seq] = firing
            latest = self.world.latest.get(firing.fingerprint)
            if latest is None or latest.decision is None or latest.decision.seq <= firing.decision.seq:
                self.world.latest[firing.fingerprint] = firing

    def _context(self) -> Context:
        return Context(self.now, POLICY.periods)


def counted(found: Sequence[Firing]) -> AlertCounts:
    states = [firing.state for firing in found]
    return AlertCounts(
        firing=states.count(FiringState.FIRING),
        muted=states.count(FiringState.MUTED),
        resolved=states.count(FiringState.RESOLVED),
        gating=sum(firing.gating and firing.ends_at is None for firing in found),
    )


def total(play: Play) -> dict[str, int]:
    every = [incident.alerts for incident in play.world.incidents.values()]
    return {name: sum(getattr(counts, name) for counts in every) for name in AlertCounts.model_fields}


def played(sequence: list[Words]) -> Play:
    play = Play(World(1, 1), {})
    for action, words in sequence:
        play.do(action, words)
    return play


@given(histories)
@settings(max_examples=200)
def test_every_incident_counts_exactly_the_firings_that_belong_to_it(sequence: list[Words]) -> None:
    play = played(sequence)
    for incident in play.world.incidents.values():
        found = play.linked(incident.id)
        assert incident.alerts == counted(found), incident.id
        assert incident.alert_severity is worst(firing.severity for firing in found) or incident.merged_into
        assert not (incident.merged_into and found), "what was merged has nothing left"


@given(histories)
@settings(max_examples=200)
def test_open_incidents_hold_their_own_keys_and_pinned_alerts_are_held_by_what_they_belong_to(
    sequence: list[Words],
) -> None:
    play = played(sequence)
    for incident in play.world.incidents.values():
        if incident.state.open and incident.correlation_key is not None:
            assert play.world.holders[incident.correlation_key] == incident.id
    for firing in play.world.latest.values():
        pinned = play.world.incidents.get(play.world.holders.get(pin_key(firing.fingerprint), ""))
        if pinned is not None and pinned.state.open and firing.ends_at is None and firing.incident is not None:
            assert firing.incident == pinned.id


@given(histories, regroupings)
@settings(max_examples=200)
def test_a_merge_or_split_keeps_the_sum_of_counts_and_a_refused_one_changes_nothing(
    sequence: list[Words], regrouping: Words
) -> None:
    play = played(sequence)
    before, sums, owners = deepcopy(play), total(play), {seq: firing.incident for seq, firing in play.firings.items()}
    done = play.do(*regrouping)
    event(f"{regrouping[0]} {'done' if done else 'refused'}")
    if done:
        assert total(play) == sums
        assert [seq for seq, owner in owners.items() if (owner is None) != (play.firings[seq].incident is None)] == []
    else:
        assert (play.world, play.firings) == (before.world, before.firings)
