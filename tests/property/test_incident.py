"""The incident under random commands: total, refusing without change, and equal to the fold of its events."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import CATALOGUE, decode, encode
from schemas.incidents import CHANGES, AlertCounts, AlertExample, Change, Incident, IncidentEvent
from schemas.vocabulary import FiringState, IncidentState, PublicState, Severity, worst
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.evolve import Happening, evolve
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Periods, Refusal, decide
from services.orchestrator.domain.incident.transitions import Step
from tests.builders import ANN, NOW

severities = st.sampled_from(Severity)
characters = st.characters(codec="utf-8", exclude_characters="\x00")  # the API refuses NUL
texts = st.one_of(st.text(characters, min_size=1, max_size=50), st.just("漢" * 200))
long_texts = st.one_of(texts, st.just("漢" * 4000))
many_services = tuple("漢" * 49 + str(number) for number in range(10))
links = st.dictionaries(
    st.sampled_from(["runbook", "dashboard"]), st.sampled_from(["https://a.example", "https://b.example/" + "x" * 780])
)
gating = st.integers(0, 3)
alert_counts = st.builds(AlertCounts, firing=st.integers(0, 3), muted=st.integers(0, 2), gating=st.integers(0, 3))
commands = st.one_of(
    st.builds(ask.Open, id=st.just("INC-1"), uuid=st.just("u"), title=texts, severity=severities, state=st.sampled_from(
        [IncidentState.ACTIVE, IncidentState.TRIAGE])),
    gating.flatmap(
        lambda g: st.builds(
            ask.Attach,
            count=st.integers(max(1, g), 5),
            gating=st.just(g),
            severity=severities if g == 0 else st.sampled_from([Severity.S1, Severity.S2]),
            at_least=st.one_of(st.none(), severities),
            services=st.sampled_from([("web",), many_services]),
            links=links,
            examples=st.just(()),
            muted=st.integers(0, 1),
        )
    ),
    gating.flatmap(lambda g: st.builds(ask.Detach, count=st.integers(max(1, g), 5), gating=st.just(g), examples=st.just(()))),
    st.builds(ask.SetSeverity, severity=severities, pin=st.booleans()),
    st.just(ask.Unpin()),
    st.builds(ask.SetPublicState, state=st.sampled_from(PublicState)),
    st.builds(ask.PostUpdate, text=long_texts, next_in=st.sampled_from([None, timedelta(minutes=10)])),
    st.builds(ask.AddNote, text=texts),
    st.just(ask.TimePassed()),
    st.builds(ask.Restate, before=st.sampled_from([FiringState.FIRING, FiringState.STALE]), after=st.just(FiringState.MUTED),
              count=st.integers(1, 3), examples=st.just(())),
    st.builds(ask.NoteFlapping, alert=st.just(AlertExample(fingerprint="f", name="a")), times=st.integers(3, 9),
              until=st.just(NOW + timedelta(minutes=40))),
    st.builds(ask.Raise, severity=severities),
    st.builds(ask.Merge, into=st.sampled_from(["INC-1", "INC-2"])),
    st.builds(ask.Absorb, source=st.just("INC-2"), alerts=alert_counts, severity=severities, services=st.sampled_from(
        [("db",), many_services]), links=links),
    st.builds(ask.SplitOut, into=st.just("INC-3"), alerts=alert_counts, severity=st.none() | severities, examples=st.just(())),
    st.builds(ask.Move, step=st.sampled_from(Step)),
)  # fmt: skip


def _run(sequence: list[ask.Command]) -> tuple[Incident | None, list[IncidentEvent]]:
    incident: Incident | None = None
    events: list[IncidentEvent] = []
    for number, command in enumerate(sequence):
        now = NOW + timedelta(minutes=number * 3)
        outcome = decide(incident, command, Context(now, Periods(timedelta(minutes=5))))
        if isinstance(outcome, Refusal):
            assert outcome.detail
            continue
        before = incident
        incident, happened = record("INC-1", incident, outcome, actor=ANN, reason="because 漢" * 300, now=now)
        events += happened
        if not isinstance(command, ask.SetSeverity) and before and incident:
            assert not before.severity.outranks(incident.severity), "only a person lowers a severity"
    return incident, events


@given(st.lists(commands, max_size=30))
def test_no_command_in_any_state_raises_and_replaying_gives_the_state(sequence: list[ask.Command]) -> None:
    incident, events = _run(sequence)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    rebuilt: Incident | None = None
    for event in events:
        change: Change = _change(event)
        rebuilt = evolve(rebuilt, change, Happening("INC-1", event.actor, event.occurred_at, event.reason))
        assert rebuilt == event.incident
    assert rebuilt == incident


@given(st.lists(commands, max_size=20))
def test_every_event_survives_the_wire_and_stays_small(sequence: list[ask.Command]) -> None:
    _, events = _run(sequence)
    for event in events:
        wire = encode(event.type, event, id="x", source="test", subject="INC-1")
        assert decode(wire)[1] == event
        assert len(event.incident.model_dump_json().encode()) <= 16 * 1024


@given(st.lists(commands, max_size=30))
def test_the_highest_severity_is_kept_on_record(sequence: list[ask.Command]) -> None:
    incident, events = _run(sequence)
    if incident:
        assert incident.highest_severity is worst(event.incident.severity for event in events)


def _change(event: IncidentEvent) -> Change:
    model = next(change for change in CHANGES if event.type == change.TYPE)
    return model.model_validate(event.change)


def test_every_change_is_in_the_catalogue_and_has_words() -> None:
    from services.orchestrator.domain.incident import evolve as folds
    from services.orchestrator.domain.incident import wording

    for change in CHANGES:
        assert change.TYPE in CATALOGUE
        assert change in wording._WORDS
        assert change.__name__ == "Opened" or change in folds._FOLDS


def test_a_refusal_names_what_is_possible() -> None:
    incident, _ = _run([ask.Open("INC-1", "u", "t", Severity.S1), ask.Move(Step.RESOLVE)])
    refused = decide(incident, ask.Move(Step.MITIGATE), Context(NOW, Periods(timedelta(minutes=5))))
    assert refused == Refusal("illegal_transition", "INC-1 is resolved, so it cannot mitigate; possible now: reopen.")


def test_reopening_is_refused_while_another_holds_the_key() -> None:
    incident, _ = _run([ask.Open("INC-1", "u", "t", Severity.S1, correlation_key="k"), ask.Move(Step.RESOLVE)])
    refused = decide(incident, ask.Move(Step.REOPEN), Context(NOW, Periods(timedelta(minutes=5)), key_holder="INC-2"))
    assert isinstance(refused, Refusal)
    assert "INC-2" in refused.detail
