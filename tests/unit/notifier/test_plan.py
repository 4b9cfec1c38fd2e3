"""What an event of an incident means for people."""

from datetime import timedelta

import pytest

from schemas.base import Contract
from schemas.incidents import (
    CHANGES,
    Absorbed,
    AlertCounts,
    AlertExample,
    AlertsAttached,
    AlertsRestated,
    Dismissed,
    Flapping,
    IncidentEvent,
    Merged,
    Mitigated,
    MitigationProposed,
    NoteAdded,
    Promoted,
    Proposal,
    ProposalCleared,
    PublicStateChanged,
    Reopened,
    Resolved,
    RoleHolder,
    SeverityChanged,
    SplitOut,
    Update,
    UpdatePosted,
)
from schemas.vocabulary import FiringState, IncidentState, PublicState, Role, Severity
from services.notifier.domain.delivery import Destination
from services.notifier.domain.plan import REPLIES, Planned, Why, plan
from tests.unit.notifier.events import START, an_event, an_update

BOARD, SLACK = Destination("board", "board"), Destination("slack", "#incidents")


def planned(event: IncidentEvent, *destinations: Destination) -> list[Planned]:
    return plan(event.type, event, destinations or (BOARD,))


def test_an_opened_incident_has_one_summary_at_each_destination() -> None:
    found = planned(an_event(), SLACK, BOARD)
    assert [(each.place.channel, each.kind) for each in found] == [("slack", "summary"), ("board", "summary")]
    assert {Why.OPENED} == {each.why for each in found}
    assert len({each.id for each in found}) == 2


def test_ids_depend_on_the_event_alone() -> None:
    first, again = planned(an_event(), SLACK), planned(an_event(caused_at=START), SLACK, BOARD)
    assert first[0].id == again[0].id
    assert first[0].id != planned(an_event(version=2), SLACK)[0].id


def test_a_note_is_told_to_nobody() -> None:
    assert planned(an_event(NoteAdded(text="for us"), version=2)) == []


def test_alerts_change_the_summary_without_a_reply() -> None:
    [summary] = planned(an_event(AlertsAttached(count=3, gating=1), version=2))
    assert (summary.kind, summary.why) == ("summary", Why.CHANGED)


@pytest.mark.parametrize(
    ("change", "headline"),
    [
        (UpdatePosted(text="we roll back"), "Update by open-s1-s2"),
        (SeverityChanged(before=Severity.S3, after=Severity.S1, pinned=False), "Severity raised from S3 to S1"),
        (SeverityChanged(before=Severity.S1, after=Severity.S2, pinned=True), "Severity lowered from S1 to S2"),
        (
            PublicStateChanged(before=PublicState.INVESTIGATING, after=PublicState.IDENTIFIED),
            "Public state: investigating → identified",
        ),
        (MitigationProposed(quiet_since=START), "Is it mitigated? All alerts that matter are quiet"),
        (ProposalCleared(), "Not mitigated after all: it fires again"),
        (Mitigated(), "Mitigated"),
        (Resolved(), "Resolved"),
        (Reopened(before=IncidentState.RESOLVED), "Reopened"),
        (Dismissed(), "Dismissed as a false alarm"),
        (Promoted(), "Promoted from triage"),
        (Absorbed(source="INC-3", alerts=AlertCounts(firing=2)), "INC-3 was merged into this one"),
        (SplitOut(into="INC-8", alerts=AlertCounts(firing=2)), "A part of it is now INC-8"),
        (
            Flapping(alert=AlertExample(fingerprint="f", name="HighErrorRate"), times=4, until=START),
            "Flapping ×4: HighErrorRate",
        ),
        (AlertsRestated(before=FiringState.FIRING, after=FiringState.MUTED, count=1), "1 alert muted"),
        (AlertsRestated(before=FiringState.FIRING, after=FiringState.STALE, count=2), "2 alerts no longer heard of"),
        (AlertsRestated(before=FiringState.MUTED, after=FiringState.FIRING, count=10_000), "10000 alerts firing again"),
    ],
)
def test_what_people_must_learn_is_a_reply_after_the_summary(change: Contract, headline: str) -> None:
    summary, reply = planned(an_event(change, version=2))
    assert (summary.kind, reply.kind) == ("summary", "reply")
    assert headline == reply.content.headline


def test_a_merged_incident_is_over_and_says_where_it_goes_on() -> None:
    merged = an_event(Merged(into="INC-7"), version=5, text="Merged into INC-7", state=IncidentState.MERGED, merged_into="INC-7")
    summary, reply = planned(merged)
    assert (summary.content.mood, reply.content.mood) == ("over", "over")
    assert summary.content.text.splitlines()[0] == "Merged into INC-7: it goes on there, with its alerts."
    assert {fact.name: fact.value for fact in summary.content.facts}["State"] == "merged into INC-7"
    assert (reply.content.headline, reply.content.text) == ("Merged into INC-7", "By rule open-s1-s2: because")


def test_only_the_last_word_about_a_merged_incident_silences_what_waits() -> None:
    merged = an_event(Merged(into="INC-7"), version=5, state=IncidentState.MERGED, merged_into="INC-7")
    assert [(each.kind, each.last) for each in planned(merged)] == [("summary", False), ("reply", True)]
    absorbed = an_event(Absorbed(source="INC-3", alerts=AlertCounts()), version=2)
    assert {False} == {each.last for each in [*planned(absorbed), *planned(an_event(Dismissed(), version=2))]}


def test_what_a_headline_leaves_out_stands_below_it() -> None:
    split = an_event(SplitOut(into="INC-8", alerts=AlertCounts(firing=2)), version=2, text="2 alerts split out into INC-8: A, B")
    assert planned(split)[1].content.text.splitlines()[0] == "2 alerts split out into INC-8: A, B"


@pytest.mark.parametrize(("after", "told"), [(FiringState.MUTED, 0), (FiringState.STALE, 0), (FiringState.FIRING, 1)])
def test_of_an_incident_that_is_over_only_what_fires_again_is_told(after: FiringState, told: int) -> None:
    before = FiringState.MUTED if after is FiringState.FIRING else FiringState.FIRING
    event = an_event(AlertsRestated(before=before, after=after, count=1), version=2, state=IncidentState.RESOLVED)
    assert [each.kind for each in planned(event)] == ["summary"] + ["reply"] * told


def test_that_something_is_muted_is_told_with_what_mutes_it() -> None:
    change = AlertsRestated(before=FiringState.FIRING, after=FiringState.MUTED, count=1)
    event = an_event(change, version=2, text="1 alert now muted (was firing): A")
    reply = planned(event.model_copy(update={"reason": "silenced by ann until 2026-11-24 12:00 UTC: db upgrade"}))[1]
    assert reply.content.text.splitlines() == [
        "1 alert now muted (was firing): A",
        "By rule open-s1-s2: silenced by ann until 2026-11-24 12:00 UTC: db upgrade",
    ]


def test_every_reply_is_for_a_known_event_and_each_reason_is_a_sentence() -> None:
    assert set(REPLIES) <= {change.TYPE for change in CHANGES}
    assert all(" " in why.sentence and " " not in why.word for why in Why)


def test_a_body_that_does_not_fit_its_type_is_told_from_the_snapshot() -> None:
    event = an_event(Mitigated(), version=2, severity=Severity.S2)
    assert [each.kind for each in plan(AlertsRestated.TYPE, event, (BOARD,))] == ["summary"]
    for kind in REPLIES.keys() - {AlertsRestated.TYPE}:
        _, reply = plan(kind, event, (BOARD,))
        assert reply.content.headline


def test_an_update_is_told_in_its_own_words() -> None:
    assert planned(an_update("we roll back", 2))[1].content.text == "we roll back"


def test_the_summary_shows_the_snapshot() -> None:
    event = an_event(
        severity_pinned=True,
        highest_severity=Severity.S1,
        severity=Severity.S2,
        state=IncidentState.MITIGATED,
        owner="ann",
        roles={Role.EOC: RoleHolder(person="ann", state="acknowledged", since=START), Role.IMOC: None},
        proposal=Proposal(state=IncidentState.RESOLVED, at=START, reason="all is quiet"),
        last_update=Update(text="rolled back", at=START, by="ann"),
        mitigated_at=START + timedelta(minutes=9),
    )
    content = planned(event)[0].content
    assert {fact.name: fact.value for fact in content.facts} == {
        "State": "mitigated",
        "Severity": "S2, at worst S1, pinned by a person",
        "Services": "web, payments",
        "Environment": "gprd",
        "Alerts": "2 firing, 1 resolved",
        "Public state": "investigating",
        "Who": "owner ann, EOC ann (acknowledged)",
        "Opened": "2026-03-01 03:12 UTC",
        "Mitigated": "2026-03-01 03:21 UTC",
    }
    assert (content.headline, content.mood, content.severity) == ("Checkout is down", "calm", Severity.S2)
    assert content.text.splitlines() == [
        "Proposed: resolved, since all is quiet. A person decides.",
        "Latest update, by ann at 2026-03-01 03:12 UTC: rolled back",
        "Why it was opened: an alert of severity critical fires",
    ]
    assert [(link.label, link.url) for link in content.links] == [("Runbook", "https://runbooks.example/checkout")]


def test_what_is_not_known_is_left_out() -> None:
    content = planned(an_event(services=(), environment=None, links={}))[0].content
    assert {"State", "Severity", "Alerts", "Public state", "Opened"} == {fact.name for fact in content.facts}
