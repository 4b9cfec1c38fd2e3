"""Alerts that planned work explains: recorded, and decided anew when they outlive it."""

from dataclasses import replace
from datetime import timedelta

from schemas.vocabulary import Action, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, SeverityRule
from services.windows import Window
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

END = NOW + minutes(60)


def planned(name: str = "upgrade", *, since: float = -60, until: float = 60, rrule: str | None = None) -> Maintenance:
    """Work on the web, from and until so many minutes from now."""
    window = Window.parse(starts=NOW + minutes(since), duration=minutes(until - since), rrule=rrule)
    return Maintenance(f"file:{name}", name, selector(['service="web"']), window)


def maintained(*maintenance: Maintenance, **more: object) -> Desk:
    return Desk(replace(POLICY, maintenance=maintenance or (planned(),), **more))  # type: ignore[arg-type]  # whatever a policy has


def test_what_is_expected_is_recorded_with_the_maintenance_and_its_end() -> None:
    desk = maintained()
    decision = desk.fire(an_alert())
    assert (decision.action, decision.rule, decision.severity) == (Action.RECORD, "maintenance", Severity.S1)
    assert decision.reason == (
        "S1 alert ErrorRateHigh (service=web,env=gprd): recorded only, "
        "maintenance upgrade holds until 2026-11-23 04:12 UTC. Decided anew then."
    )
    assert decision.facts["maintenance"] == "file:upgrade"
    assert desk.incidents == {}


def test_what_outlives_it_opens_at_its_end_and_its_decision_stands() -> None:
    desk = maintained()
    decision = desk.fire(an_alert())
    desk.tick(END - minutes(1))
    assert desk.incidents == {}
    desk.tick(END + minutes(5))
    (turn,) = desk.turns
    assert (turn.seq, turn.at, turn.event, turn.incident) == (1, END, "opened", "INC-1")
    assert turn.reason.endswith("no open incident has this key, and S1 opens one.")
    assert (desk.firings[1].decision, desk.incidents["INC-1"].opened_at) == (decision, END)


def test_of_many_that_outlive_it_the_first_that_was_heard_of_opens() -> None:
    desk = maintained()
    desk.take(*(an_alert(f"Alert{number}") for number in range(9, 0, -1)))
    desk.tick(END)
    assert [turn.event for turn in desk.turns] == ["opened"] + ["joined"] * 8
    assert [turn.seq for turn in desk.turns] == list(range(1, 10))
    assert desk.incidents["INC-1"].title == "Alert9 on web"


def test_what_is_over_in_time_opens_nothing() -> None:
    desk = maintained()
    desk.take(an_alert())
    desk.take(resolved(an_alert(), END - minutes(1)), now=END - minutes(1))
    desk.tick(END + minutes(60))
    assert (desk.incidents, desk.turns) == ({}, [])


def test_what_fires_after_it_or_elsewhere_is_not_expected() -> None:
    desk = maintained()
    assert desk.fire(an_alert(service="api")).action is Action.OPEN
    assert desk.fire(an_alert(starts_at=END), now=END).action is Action.OPEN


def test_what_began_before_it_and_is_open_stays_open() -> None:
    desk = maintained(planned(since=10))
    desk.take(an_alert())
    decision = desk.fire(an_alert("Other"), now=NOW + minutes(20))
    assert (decision.action, decision.incident) == (Action.ATTACH, "INC-1")


def test_a_critical_alert_reopens_no_resolved_incident_while_it_is_expected() -> None:
    desk = maintained(planned(since=10, until=40))
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.RESOLVE), NOW + minutes(15))
    assert desk.fire(an_alert("Again"), now=NOW + minutes(20)).rule == "maintenance"
    assert desk.incidents["INC-1"].state is IncidentState.RESOLVED
    desk.tick(NOW + minutes(40))
    assert [(turn.event, turn.incident) for turn in desk.turns] == [("joined", "INC-1")]
    assert desk.types[-2:] == ["reopened", "alerts_attached"]


def test_lesser_alerts_are_recorded_for_what_they_are() -> None:
    assert maintained().fire(an_alert(severity="s3")).rule == "record-s3-s4"


def test_a_rule_that_ignores_does_so_in_maintenance_too() -> None:
    desk = maintained(rules=(DecisionRule("noise", EVERYTHING, Action.IGNORE),))
    assert desk.fire(an_alert()).action is Action.IGNORE


def test_what_is_for_triage_is_recorded_as_well_and_triaged_at_the_end() -> None:
    desk = maintained(rules=(DecisionRule("look-first", EVERYTHING, Action.TRIAGE),))
    assert desk.fire(an_alert(severity="s3")).rule == "maintenance"
    desk.tick(END)
    assert desk.incidents["INC-1"].state is IncidentState.TRIAGE


def test_the_longest_of_several_counts() -> None:
    desk = maintained(planned("short", until=10), planned("long", until=90), planned("over", until=-5))
    assert "maintenance long holds until 2026-11-23 04:42 UTC" in desk.fire(an_alert()).reason


def test_maintenance_that_follows_without_a_gap_goes_on() -> None:
    desk = maintained(planned("first"), planned("second", since=60, until=120))
    desk.take(an_alert())
    desk.tick(NOW + minutes(119))
    assert desk.incidents == {}
    desk.tick(NOW + minutes(120))
    assert [turn.at for turn in desk.turns] == [NOW + minutes(120)]


def test_recurring_maintenance_covers_each_of_its_times() -> None:
    desk = maintained(planned(until=0.5, rrule="FREQ=DAILY"))
    day = timedelta(days=1)
    for days in range(3):
        alert = an_alert(starts_at=NOW + days * day)
        assert desk.fire(alert, now=NOW + days * day).rule == "maintenance"
        desk.take(resolved(alert, NOW + days * day), now=NOW + days * day)
    assert desk.fire(an_alert(starts_at=NOW + 2 * day + minutes(1)), now=NOW + 2 * day + minutes(1)).action is Action.OPEN


def test_what_is_expected_joins_the_incident_that_was_opened_for_its_key_at_the_end() -> None:
    desk = maintained(replace(planned(), selector=selector(['alertname="Expected"'])))
    desk.take(an_alert("Expected"))
    desk.take(an_alert("Surprise"), now=NOW + minutes(10))
    assert desk.firings[1].incident is None
    desk.tick(END)
    assert [(turn.at, turn.event, turn.incident) for turn in desk.turns] == [(END, "joined", "INC-1")]


def test_what_has_become_worse_in_the_meantime_is_decided_as_what_it_is() -> None:
    slow = SeverityRule("slow-for-long", EVERYTHING, Severity.S2, persists=minutes(30))
    desk = maintained(severity_rules=(slow,))
    decision = desk.fire(an_alert(severity="s3"))
    assert decision.rule == "record-s3-s4"
    desk.tick(NOW + minutes(30))
    assert desk.incidents == {}
    desk.tick(END)
    assert (desk.incidents["INC-1"].severity, desk.turns[0].at) == (Severity.S2, END)
