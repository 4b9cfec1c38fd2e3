"""What webhooks make of alerts that Alertmanager's list had made muted, stale or over."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.alerts import AlertReceived
from schemas.vocabulary import Action, FiringState, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import News, observe
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, SeverityRule
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

FIRING, MUTED, STALE, RESOLVED = FiringState.FIRING, FiringState.MUTED, FiringState.STALE, FiringState.RESOLVED


@pytest.fixture
def desk() -> Desk:
    return Desk()


def turn(desk: Desk, alert: AlertReceived, state: FiringState, **more: Any) -> None:
    """As reconciling does: the firing and what its incident counts."""
    before = desk.latest[alert.fingerprint]
    desk.world.keep(replace(before, state=state, **more))
    if before.incident is None:
        return
    if state is RESOLVED:
        desk.order(before.incident, ask.Detach(1, int(before.gating), ()))
    else:
        desk.order(before.incident, ask.Restate(before.state, state, 1, ()))


def counted(desk: Desk, name: str = "INC-1") -> tuple[int, int, int, int, int]:
    alerts = desk.incidents[name].alerts
    return alerts.firing, alerts.muted, alerts.stale, alerts.resolved, alerts.gating


def test_a_stale_one_that_is_sent_again_fires_again(desk: Desk) -> None:
    desk.take(an_alert())
    turn(desk, an_alert(), STALE)
    outcome = desk.take(an_alert(received_at=NOW + minutes(300)), now=NOW + minutes(300))
    [event] = outcome.events
    assert (event.change["before"], event.change["after"], event.reason) == ("stale", "firing", "Alertmanager sends them again.")
    assert (outcome.began, counted(desk)) == ([], (1, 0, 0, 0, 1))


def test_a_late_duplicate_does_not_revive(desk: Desk) -> None:
    desk.take(an_alert(received_at=NOW + minutes(2)))
    turn(desk, an_alert(), STALE)
    assert desk.take(an_alert(received_at=NOW + minutes(1))).events == []
    assert desk.latest[an_alert().fingerprint].state is STALE


def test_ten_thousand_that_are_heard_of_again_are_one_event(desk: Desk) -> None:
    alerts = [an_alert(instance=f"web-{number}") for number in range(10_000)]
    desk.take(*alerts)
    for alert in alerts:
        desk.world.keep(replace(desk.latest[alert.fingerprint], state=STALE))
    desk.order("INC-1", ask.Restate(FIRING, STALE, 10_000, ()))
    later = NOW + minutes(300)
    [event] = desk.take(*(alert.model_copy(update={"received_at": later}) for alert in alerts), now=later).events
    assert event.change["count"] == 10_000
    assert len(event.change["examples"]) == 20
    assert counted(desk) == (10_000, 0, 0, 0, 10_000)


def test_a_muted_one_stays_muted_whatever_webhooks_say(desk: Desk) -> None:
    """A late message of a peer may come after the silence; Alertmanager's list tells within a minute."""
    desk.take(an_alert())
    turn(desk, an_alert(), MUTED, muted_by="silenced by ann")
    outcome = desk.take(an_alert(received_at=NOW + minutes(1)), now=NOW + minutes(1))
    assert outcome.events == []
    firing = desk.latest[an_alert().fingerprint]
    assert (firing.state, firing.muted_by, firing.last_seen) == (MUTED, "silenced by ann", NOW + minutes(1))


@pytest.mark.parametrize(("state", "word"), [(MUTED, "muted"), (STALE, "stale"), (FIRING, None)])
def test_a_resolve_ends_it_in_any_state_and_says_in_which(desk: Desk, state: FiringState, word: str | None) -> None:
    desk.take(an_alert())
    if state is not FIRING:
        turn(desk, an_alert(), state, muted_by="silenced by ann", expires_at=NOW + minutes(4))
    [event] = desk.take(resolved(an_alert(), NOW + minutes(2)), now=NOW + minutes(2)).events
    assert {name for name in ("muted", "stale") if event.change[name]} == ({word} if word else set())
    assert event.reason == "Alertmanager reports them resolved."
    assert counted(desk) == (0, 0, 0, 1, 0)
    firing = desk.latest[an_alert().fingerprint]
    assert (firing.muted_by, firing.expires_at, firing.presumed_over) == (None, None, False)


def test_a_stale_one_that_began_anew_is_over_and_another_begins(desk: Desk) -> None:
    desk.take(an_alert())
    turn(desk, an_alert(), STALE)
    later = NOW + minutes(600)
    outcome = desk.take(an_alert(starts_at=later), now=later)
    assert [firing.decision.action for firing in outcome.began if firing.decision] == [Action.ATTACH]
    assert (outcome.changed[0].state, outcome.changed[0].ends_at) == (RESOLVED, NOW)
    assert [event.reason for event in outcome.events if "resolved" in event.type] == [
        "1 that had not been heard of for long began anew."
    ]
    assert counted(desk) == (1, 0, 0, 1, 1)


def test_one_that_began_anew_after_its_incident_was_resolved_opens_another(desk: Desk) -> None:
    desk.take(an_alert())
    turn(desk, an_alert(), STALE)
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    later = NOW + minutes(600)
    desk.take(an_alert(starts_at=later), now=later)
    assert (counted(desk), counted(desk, "INC-2")) == ((0, 0, 0, 1, 0), (1, 0, 0, 0, 1))


@pytest.mark.parametrize("before", [MUTED, STALE])
def test_no_critical_alert_fires_again_into_an_incident_that_looks_calm(desk: Desk, before: FiringState) -> None:
    desk.take(an_alert())
    turn(desk, an_alert(), before)
    desk.order("INC-1", ask.Move(Step.MITIGATE))
    states = []
    for command in (
        ask.Restate(before, FIRING, 1, (), gating=0),
        ask.Restate(FIRING, before, 1, (), gating=1),
        ask.Restate(before, FIRING, 1, (), gating=1),
    ):
        desk.order("INC-1", command)
        states.append(desk.incidents["INC-1"].state)
    assert states == [IncidentState.MITIGATED, IncidentState.MITIGATED, IncidentState.ACTIVE]


def test_what_is_linked_while_it_is_muted_counts_as_muted(desk: Desk) -> None:
    desk.take(an_alert("Minor", severity="s4"))
    turn(desk, an_alert("Minor", severity="s4"), MUTED, muted_by="silenced by ann")
    desk.take(an_alert())
    assert counted(desk) == (1, 1, 0, 0, 1)


def test_an_end_that_was_presumed_gives_way_to_the_one_that_is_told(desk: Desk) -> None:
    desk.take(an_alert())
    presumed, told = NOW + minutes(5), NOW + minutes(2)
    turn(desk, an_alert(), RESOLVED, ends_at=presumed, expires_at=presumed)
    outcome = desk.take(resolved(an_alert(), told), now=NOW + minutes(3))
    assert outcome.events == []
    firing = desk.latest[an_alert().fingerprint]
    assert (firing.ends_at, firing.presumed_over) == (told, False)


def test_one_that_fires_although_its_end_was_presumed_begins_again(desk: Desk) -> None:
    """Alertmanager came back late and was told of it again with the old start: it must not be taken for old news."""
    desk.take(an_alert())
    presumed, later = NOW + minutes(5), NOW + minutes(20)
    turn(desk, an_alert(), RESOLVED, ends_at=presumed, expires_at=presumed)
    outcome = desk.take(an_alert(received_at=later), now=later)
    [firing] = outcome.began
    assert (firing.state, firing.starts_at > presumed) == (FIRING, True)
    assert counted(desk) == (1, 0, 0, 1, 1)
    again = desk.take(an_alert(received_at=later + minutes(1)), now=later + minutes(1))
    assert (again.began, [each.last_seen for each in again.changed]) == ([], [later + minutes(1)])
    desk.take(resolved(an_alert(), later + minutes(2)), now=later + minutes(2))
    assert counted(desk) == (0, 0, 0, 2, 0)


def test_what_was_received_before_a_presumed_end_is_old_news(desk: Desk) -> None:
    desk.take(an_alert())
    presumed = NOW + minutes(5)
    turn(desk, an_alert(), RESOLVED, ends_at=presumed, expires_at=presumed)
    assert desk.take(an_alert(received_at=presumed), now=NOW + minutes(20)).began == []


def test_an_end_that_was_told_stays_old_news_for_late_messages(desk: Desk) -> None:
    desk.take(an_alert(), resolved(an_alert(), NOW + minutes(2)))
    news, _ = observe(desk.latest[an_alert().fingerprint], an_alert(received_at=NOW + minutes(20)))
    assert news is News.OLD


def test_time_alone_opens_nothing_for_what_is_muted_and_does_once_it_fires_again() -> None:
    desk = Desk(replace(POLICY, severity_rules=(SeverityRule("long", EVERYTHING, Severity.S2, persists=minutes(30)),)))
    minor = an_alert("Minor", severity="s3")
    desk.take(minor)
    turn(desk, minor, MUTED, muted_by="silenced by ann")
    desk.tick(NOW + minutes(40))
    assert desk.incidents == {}
    turn(desk, minor, FIRING, muted_by=None)
    desk.tick(NOW + minutes(42))
    assert desk.turns[-1].reason.startswith("S2 alert Minor (firing for 30m, rule long)")
