"""Deciding under random policies and random histories: what holds whatever the rules are and whatever comes in which order."""

import random
from collections import Counter
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alerts import AlertReceived
from schemas.incidents import CHANGES, Incident, IncidentEvent
from schemas.vocabulary import ActorKind, FiringState, Severity
from services.orchestrator.domain.incident.evolve import Happening, evolve
from services.orchestrator.domain.policy.policy import Policy
from tests.builders import NOW, minutes
from tests.support.desk import Desk
from tests.support.histories import Delivery, Order, Story, histories, play, play_one, policies

EXAMPLES = settings(deadline=None)


def messages(history: Story) -> list[AlertReceived]:
    """Everything that was delivered."""
    return [alert for step in history if isinstance(step, Delivery) for alert in step.alerts]


@EXAMPLES
@given(policies(), histories())
def test_severity_falls_by_a_persons_hand_only(policy: Policy, history: Story) -> None:
    desk = Desk(policy)
    play(history, desk)
    severity: dict[str, Severity] = {}
    for event in desk.events:
        before, after = severity.get(event.incident.id), event.incident.severity
        assert event.actor.kind is ActorKind.PERSON or before is None or not before.outranks(after), event
        severity[event.incident.id] = after


@EXAMPLES
@given(policies(), histories(), st.randoms())
def test_every_firing_has_one_decision_and_what_is_heard_again_gets_none(
    policy: Policy, history: Story, dice: random.Random
) -> None:
    desk = Desk(policy)
    play(history, desk)
    assert sorted(desk.firings) == list(range(1, len(desk.firings) + 1))
    assert set(desk.latest) == {alert.fingerprint for alert in messages(history)}
    assert all(firing.decision and firing.decision.seq == number for number, firing in desk.firings.items())
    again = messages(history)
    dice.shuffle(again)
    assert desk.take(*again, now=history[-1].now).began == []


@EXAMPLES
@given(policies(), histories())
def test_the_same_history_gives_the_same_decisions(policy: Policy, history: Story) -> None:
    one, other = Desk(policy), Desk(policy)
    play(history, one)
    play(history, other)
    assert repr((one.firings, one.turns, one.events)) == repr((other.firings, other.turns, other.events))


@EXAMPLES
@given(policies(), histories())
def test_one_incident_is_open_per_key_and_alerts_join_open_ones_only(policy: Policy, history: Story) -> None:
    desk = Desk(policy)
    for step in history:
        play_one(step, desk)
        keys = Counter(incident.correlation_key for incident in desk.incidents.values() if incident.state.open)
        assert max(keys.values(), default=0) <= 1, keys
    before: dict[str, Incident] = {}
    for event in desk.events:
        if event.type == "tocsin.incident.alerts_attached.v1":
            assert before[event.incident.id].state.open, event
        before[event.incident.id] = event.incident


@EXAMPLES
@given(policies(), histories())
def test_an_incident_counts_the_firings_that_are_linked_to_it(policy: Policy, history: Story) -> None:
    desk = Desk(policy)
    for step in history:
        play_one(step, desk)
        for incident in desk.incidents.values():
            linked = [firing for firing in desk.firings.values() if firing.incident == incident.id]
            states = Counter(firing.state for firing in linked)
            gating = sum(firing.gating for firing in linked if firing.ends_at is None)
            assert incident.alerts.firing == states[FiringState.FIRING]
            assert incident.alerts.resolved == states[FiringState.RESOLVED]
            assert (incident.alerts.muted, incident.alerts.stale, incident.alerts.gating) == (0, 0, gating)


@EXAMPLES
@given(policies(), histories())
def test_an_incident_is_the_fold_of_its_events(policy: Policy, history: Story) -> None:
    desk = Desk(policy)
    play(history, desk)
    folded: dict[str, Incident] = {}
    for event in desk.events:
        folded[event.incident.id] = incident = _after(folded.get(event.incident.id), event)
        assert incident == event.incident
    assert folded == desk.incidents


_KINDS = {change.TYPE: change for change in CHANGES}


def _after(incident: Incident | None, event: IncidentEvent) -> Incident:
    change = _KINDS[event.type].model_validate(event.change)
    return evolve(incident, change, Happening(event.incident.id, event.actor, event.occurred_at, event.reason))


LASTING = {"quiet_period": minutes(5), "triage_quiet_period": minutes(8)}
"""Where nothing is due at the very moment of its cause."""


def decided(desk: Desk) -> list[tuple[object, ...]]:
    """What every decision says, as far as it does not tell of the batch."""
    decisions = [firing.decision for _, firing in sorted(desk.firings.items()) if firing.decision]
    return [(each.seq, each.action, each.incident, each.severity, each.rule) for each in decisions]


@EXAMPLES
@given(policies(**LASTING), histories(ticks=True, back=False))
def test_it_makes_no_difference_when_what_is_due_is_done(policy: Policy, history: Story) -> None:
    late, timely = Desk(policy), Desk(policy)
    now = NOW
    for step in history:
        while now < step.now:
            timely.tick(now)
            now += minutes(1)
        play_one(step, late)
        play_one(step, timely)
    assert (late.firings, late.turns, late.incidents) == (timely.firings, timely.turns, timely.incidents)
    assert decided(late) == decided(timely)


@EXAMPLES
@given(policies(**LASTING), histories(ticks=True, back=False), st.randoms())
def test_a_batch_is_decided_like_its_messages_one_by_one(policy: Policy, history: Story, dice: random.Random) -> None:
    whole, parts = Desk(policy), Desk(policy)
    for step in history:
        play_one(step, whole)
        for part in _in_parts(step, dice):
            play_one(part, parts)
    assert decided(parts) == decided(whole)


def _in_parts(step: Delivery | Order, dice: random.Random) -> Iterator[Delivery | Order]:
    """The same messages in several batches at the same moment."""
    if isinstance(step, Order) or not step.alerts:
        yield step
        return
    begin = 0
    while begin < len(step.alerts):
        end = dice.randint(begin + 1, len(step.alerts))
        yield Delivery(step.now, step.alerts[begin:end])
        begin = end
