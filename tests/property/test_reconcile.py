"""Open firings held against any list, in any order: nothing is taken for over that may not be, and counts stay true."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from schemas.incidents import AlertCounts, Incident
from schemas.vocabulary import FiringState, Severity
from services.orchestrator.domain.alerts.reconcile import Answer, Change, OpenFiring, Seen, reconcile
from services.orchestrator.domain.deciding.restating import tell
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Periods, Refusal, decide
from tests.builders import ANN, NOW, minutes

GRACE, STALE_AFTER = minutes(2), timedelta(hours=8)
OPEN = [FiringState.FIRING, FiringState.MUTED, FiringState.STALE]

moments = st.integers(-1000, 1000).map(lambda count: NOW + minutes(count))
perhaps = st.one_of(st.none(), moments)
words = st.sampled_from(["silenced by ann", "inhibited by NodeDown", *(f"silenced by {number}" for number in range(8))])


@st.composite
def firings(draw: st.DrawFn) -> list[OpenFiring]:
    found = []
    for seq in range(1, draw(st.integers(0, 12)) + 1):
        state = draw(st.sampled_from(OPEN))
        firing = OpenFiring(
            seq=seq,
            fingerprint=f"{seq:016x}",
            name="Alert",
            instance=None,
            severity=draw(st.one_of(st.none(), st.sampled_from(Severity))),
            incident=draw(st.sampled_from(["INC-1", "INC-2", None])),
            state=state,
            newest_start=draw(moments),
            last_seen=draw(moments),
            expires_at=draw(perhaps),
            muted_by=draw(words) if state is FiringState.MUTED else None,
        )
        found.append(firing)
    return found


seen = st.one_of(
    st.builds(Seen, st.just(FiringState.FIRING), perhaps), st.builds(Seen, st.just(FiringState.MUTED), perhaps, words)
)
answers = st.builds(
    Answer,
    at=moments,
    complete=st.booleans(),
    alerts=st.dictionaries(st.integers(1, 12).map(lambda seq: f"{seq:016x}"), seen),
    up_since=perhaps,
)


def judged(open_firings: list[OpenFiring], answer: Answer | None, now: datetime) -> list[Change]:
    return reconcile(open_firings, answer, now, STALE_AFTER, GRACE)


@given(firings(), st.one_of(st.none(), answers), moments)
def test_only_a_known_end_that_has_passed_in_a_complete_answer_ends_anything(
    held: list[OpenFiring], answer: Answer | None, now: datetime
) -> None:
    before = {firing.seq: firing for firing in held}
    for change in judged(held, answer, now):
        over = change.after.state is FiringState.RESOLVED
        assert over == (change.after.ends_at is not None)
        if over:
            firing = before[change.after.seq]
            assert answer is not None and answer.complete and answer.settled
            assert firing.fingerprint not in answer.alerts
            assert firing.expires_at is not None and firing.last_seen < firing.expires_at <= answer.at


@given(firings(), st.one_of(st.none(), answers), moments)
def test_judging_again_changes_nothing(held: list[OpenFiring], answer: Answer | None, now: datetime) -> None:
    after = {change.after.seq: change.after for change in judged(held, answer, now)}
    still_open = [after.get(firing.seq, firing) for firing in held]
    assert judged([firing for firing in still_open if firing.ends_at is None], answer, now) == []


@given(firings(), answers, moments, st.randoms())
def test_the_order_of_firings_is_irrelevant(held: list[OpenFiring], answer: Answer, now: datetime, dice: Random) -> None:
    changes = judged(held, answer, now)
    shuffled = list(held)
    dice.shuffle(shuffled)
    assert judged(shuffled, answer, now) == changes
    mixed = list(changes)
    dice.shuffle(mixed)
    assert tell(mixed) == tell(changes)


@given(firings(), st.one_of(st.none(), answers), moments)
def test_what_is_listed_is_never_stale_nor_over(held: list[OpenFiring], answer: Answer | None, now: datetime) -> None:
    for change in judged(held, answer, now):
        if answer is not None and change.after.fingerprint in answer.alerts:
            assert change.after.state is answer.alerts[change.after.fingerprint].state


@given(firings(), st.one_of(st.none(), answers), moments)
def test_incidents_count_what_their_firings_are(held: list[OpenFiring], answer: Answer | None, now: datetime) -> None:
    changes = judged(held, answer, now)
    after = {firing.seq: firing for firing in held} | {change.after.seq: change.after for change in changes}
    for name in ("INC-1", "INC-2"):
        incident = an_incident(name, [firing for firing in held if firing.incident == name])
        for telling in tell(changes):
            if telling.incident == name:
                incident = told(incident, telling.command)
        assert incident.alerts == counts([firing for firing in after.values() if firing.incident == name])


def counts(of: list[OpenFiring]) -> AlertCounts:
    states = Counter(firing.state for firing in of)
    gating = [firing for firing in of if firing.ends_at is None and firing.severity is not None and firing.severity.critical]
    return AlertCounts(**{state.value: states[state] for state in FiringState}, gating=len(gating))


def an_incident(name: str, of: list[OpenFiring]) -> Incident:
    opened = ask.Open(name, "u", "t", Severity.S1)
    incident = told(None, opened)
    return incident.model_copy(update={"alerts": counts(of)})


def told(incident: Incident | None, command: ask.Command) -> Incident:
    changes = decide(incident, command, Context(NOW, Periods(minutes(5))))
    assert not isinstance(changes, Refusal)
    after, _ = record("INC-1", incident, changes, actor=ANN, reason="because", now=NOW)
    assert after is not None
    return after


@given(firings(), answers, moments)
def test_at_most_a_handful_of_reasons_are_told_of_one_transition(held: list[OpenFiring], answer: Answer, now: datetime) -> None:
    tellings = tell(judged([replace(firing, incident="INC-1") for firing in held], answer, now))
    transitions = Counter(
        (telling.rule, telling.command.before, telling.command.after) if isinstance(telling.command, ask.Restate) else None
        for telling in tellings
    )
    assert all(count <= 5 for count in transitions.values())
