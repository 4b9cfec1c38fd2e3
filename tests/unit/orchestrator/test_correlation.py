"""Which incident an alert belongs to: by its key, by what its service stands on, by what was open or opened later."""

from dataclasses import replace

import pytest

from schemas.vocabulary import Action, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.deciding.world import pin_key
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, CorrelationRule, DecisionRule, SeverityRule
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

LAYERED = replace(POLICY, dependencies={"web": ("api", "cache"), "api": ("db",), "shop": ("db",)})


def test_a_rule_gives_some_alerts_another_key() -> None:
    rule = CorrelationRule("one-per-region", selector(['alertname="RegionDown"']), ("region",))
    desk = Desk(replace(POLICY, correlation_rules=(rule,)))
    region = [desk.fire(an_alert("RegionDown", service=service, region="eu")) for service in ("web", "api")]
    assert [decision.incident for decision in region] == ["INC-1", "INC-1"]
    assert desk.incidents["INC-1"].correlation_key == "region=eu"
    assert desk.fire(an_alert(region="eu")).incident == "INC-2"


def test_a_missing_label_counts_as_empty_and_is_named() -> None:
    desk = Desk()
    decision = desk.fire(an_alert(env=None))
    assert "(service=web,env=; without env, which counts as empty)" in decision.reason
    assert desk.fire(an_alert("Other", env=None)).incident == "INC-1"
    assert desk.fire(an_alert("Other")).incident == "INC-2"


def test_several_missing_labels_are_all_named() -> None:
    desk = Desk(replace(POLICY, correlation=("region", "cell", "env")))
    assert "without region and cell, which counts as empty" in desk.fire(an_alert()).reason


def test_a_label_that_stands_in_for_another_is_not_missing() -> None:
    decision = Desk().fire(an_alert(service=None, env=None, job="web", cluster="gprd"))
    assert decision.facts["correlation_key"] == "service=web,env=gprd"
    assert "counts as empty" not in decision.reason


def test_an_alert_on_a_dependant_joins_the_incident_on_what_it_stands_on_with_the_reason() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    decision = desk.fire(an_alert(service="api"))
    assert (decision.action, decision.rule, decision.incident) == (Action.ATTACH, "dependency", "INC-1")
    assert decision.reason == ("S1 alert ErrorRateHigh (service=api,env=gprd) joins INC-1: api which depends on db.")
    assert desk.incidents["INC-1"].services == ("db", "api")


def test_dependencies_are_followed_through() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    assert "joins INC-1: web which depends on api which depends on db." in desk.fire(an_alert()).reason


def test_the_nearest_trouble_is_the_one_that_counts() -> None:
    desk = Desk(replace(LAYERED, dependencies={"web": ("api",), "api": ("db",)}))
    desk.take(an_alert(service="db", env="x"), an_alert(service="api", env="x"))
    api = Desk(replace(LAYERED, dependencies={"web": ("db", "api")}))
    api.take(an_alert(service="api"), an_alert(service="db"))
    assert api.fire(an_alert()).incident == "INC-2"


def test_the_incident_of_its_own_key_comes_first() -> None:
    desk = Desk(LAYERED)
    assert desk.fire(an_alert()).incident == "INC-1"
    desk.take(an_alert(service="db"))
    assert desk.fire(an_alert("Other")).incident == "INC-1"


def test_lesser_alerts_on_dependants_join_as_well() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    assert desk.fire(an_alert(severity="s4")).incident == "INC-1"


@pytest.mark.parametrize(
    ("below", "above", "joins"),
    [("gprd", "gprd", True), ("gprd", "gstg", False), (None, "gprd", True), ("gprd", None, True), (None, None, True)],
)
def test_environments_must_not_differ_where_both_are_known(below: str | None, above: str | None, joins: bool) -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db", env=below))
    assert (desk.fire(an_alert(env=above)).rule == "dependency") is joins


def test_dependencies_work_in_one_direction_and_the_other_is_a_hint() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert())
    decision = desk.fire(an_alert(service="db"))
    assert (decision.action, decision.incident) == (Action.OPEN, "INC-2")
    assert "(INC-1 is open on web, which depends on db: merge them if they are one trouble)." in decision.reason


def test_a_dependant_in_another_environment_is_no_hint() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(env="gstg"))
    assert "merge them" not in desk.fire(an_alert(service="db")).reason


def test_a_service_that_depends_on_nothing_declared_stands_alone() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    assert desk.fire(an_alert(service="mail")).incident == "INC-2"
    assert desk.fire(an_alert(service="cache")).incident == "INC-3"


def test_dependants_join_no_incident_that_is_over() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    assert desk.fire(an_alert()).incident == "INC-2"


def test_a_critical_alert_on_a_dependant_reopens_what_was_mitigated() -> None:
    desk = Desk(LAYERED)
    desk.take(an_alert(service="db"))
    desk.order("INC-1", ask.Move(Step.MITIGATE))
    desk.take(an_alert("Slow", severity="s3"))
    assert desk.incidents["INC-1"].state is IncidentState.MITIGATED
    decision = desk.fire(an_alert())
    assert (decision.action, decision.incident) == (Action.ATTACH, "INC-1")
    assert "web which depends on api which depends on db" in decision.reason
    assert (desk.incidents["INC-1"].state, desk.incidents["INC-1"].alerts.firing) == (IncidentState.ACTIVE, 3)


def test_a_drill_draws_no_alerts_from_dependants() -> None:
    desk = Desk(LAYERED)
    desk.order("INC-1", ask.Open("INC-1", "u", "Fire drill", Severity.S1, services=("db",), drill=True))
    desk.world.next_incident = 2
    assert desk.fire(an_alert()).incident == "INC-2"


def test_a_declared_incident_draws_alerts_from_dependants() -> None:
    desk = Desk(LAYERED)
    desk.order("INC-1", ask.Open("INC-1", "u", "The database is slow", Severity.S2, services=("db",)))
    desk.world.next_incident = 2
    assert desk.fire(an_alert()).incident == "INC-1"


def test_of_several_incidents_on_one_service_the_oldest_takes_it() -> None:
    desk = Desk(replace(LAYERED, correlation=("alertname",)))
    desk.take(an_alert("A", service="db"), an_alert("B", service="db"))
    assert desk.fire(an_alert("C")).incident == "INC-1"
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    assert desk.fire(an_alert("D")).incident == "INC-2"
    desk.order("INC-1", ask.Move(Step.REOPEN))
    assert desk.fire(an_alert("E")).incident == "INC-1"


def test_a_service_that_joined_in_the_same_batch_counts() -> None:
    rule = CorrelationRule("by-env", selector(['service!="web"']), ("env",))
    alerts = [an_alert(service="mail"), an_alert(service="db"), an_alert(service="web")]
    apart, together = (Desk(replace(LAYERED, correlation_rules=(rule,))) for _ in range(2))
    for alert in alerts:
        apart.take(alert)
    together.take(*alerts)
    assert [firing.incident for firing in apart.firings.values()] == ["INC-1"] * 3
    assert [firing.incident for firing in together.firings.values()] == ["INC-1"] * 3


@pytest.mark.parametrize(
    ("step", "severity", "after", "incident"),
    [
        (Step.RESOLVE, "s1", 30, "INC-1"),
        (Step.RESOLVE, "s1", 31, "INC-2"),
        (Step.RESOLVE, "s3", 1, None),
        (Step.DISMISS, "s1", 1, "INC-2"),
        (Step.MITIGATE, "s1", 600, "INC-1"),
    ],
)
def test_an_alert_joins_what_is_over_within_the_window_only(
    step: Step, severity: str, after: float, incident: str | None
) -> None:
    desk = Desk()
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(step))
    later = NOW + minutes(after)
    assert desk.fire(an_alert("Other", severity=severity, starts_at=later), now=later).incident == incident


def test_a_reviewed_incident_is_not_reopened() -> None:
    desk = Desk()
    desk.take(an_alert())
    resolved_one = desk.order("INC-1", ask.Move(Step.RESOLVE))
    desk.world.put(resolved_one.model_copy(update={"state": IncidentState.REVIEWED}))
    assert desk.fire(an_alert("Other")).incident == "INC-2"


def test_what_waits_joins_the_incident_that_is_opened_for_its_key() -> None:
    desk = Desk()
    slow = an_alert("Slow", severity="s3")
    desk.take(slow, an_alert("Slow", severity="s3", env="gstg"))
    desk.take(an_alert("Slow", severity="s3", instance="2"), an_alert(), now=NOW + minutes(1))
    assert [(turn.seq, turn.at, turn.event, turn.incident) for turn in desk.turns] == [
        (1, NOW + minutes(1), "joined", "INC-1"),
        (3, NOW + minutes(1), "joined", "INC-1"),
    ]
    assert desk.turns[0].reason == "INC-1 was opened for the same key"
    assert (desk.incidents["INC-1"].alerts.firing, desk.incidents["INC-1"].alerts.gating) == (3, 1)
    assert {firing.decision.action for number, firing in desk.firings.items() if number < 4 and firing.decision} == {
        Action.RECORD
    }
    desk.take(resolved(slow, NOW + minutes(2)), now=NOW + minutes(2))
    assert (desk.incidents["INC-1"].alerts.firing, desk.incidents["INC-1"].alerts.resolved) == (2, 1)


def test_what_waits_joins_even_when_it_is_repeated_in_the_same_batch() -> None:
    desk = Desk()
    desk.take(an_alert("Slow", severity="s3"))
    desk.take(an_alert("Slow", severity="s3", received_at=NOW + minutes(1)), an_alert(), now=NOW + minutes(1))
    assert desk.firings[1].incident == "INC-1"


def test_what_waits_joins_an_incident_that_is_reopened() -> None:
    desk = Desk()
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    desk.take(an_alert("Slow", severity="s3"))
    assert desk.firings[2].incident is None
    desk.take(an_alert("Again"))
    assert desk.firings[2].incident == "INC-1"


def test_what_is_over_or_only_to_be_recorded_joins_nothing_later() -> None:
    noise = DecisionRule("noise", selector(['alertname="Noise"']), Action.RECORD)
    desk = Desk(replace(POLICY, rules=(noise,)))
    over = an_alert("Over", severity="s3")
    desk.take(an_alert("Noise"), over)
    desk.take(resolved(over, NOW + minutes(1)), now=NOW + minutes(1))
    desk.take(an_alert(), now=NOW + minutes(2))
    assert desk.turns == []


def test_a_new_key_never_gives_alerts_to_an_incident_that_is_over() -> None:
    desk = Desk()
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    desk.take(an_alert("Slow", severity="s3"), an_alert(env="gstg"))
    assert (desk.firings[2].incident, desk.incidents["INC-1"].alerts.firing) == (None, 1)


def test_what_waited_long_counts_as_what_it_has_become() -> None:
    slow = SeverityRule("slow-for-long", selector(['alertname="Slow"']), Severity.S2, persists=minutes(30))
    attach = DecisionRule("symptom", selector(['alertname="Slow"']), Action.ATTACH)
    opening = DecisionRule("open-all", EVERYTHING, Action.OPEN)
    desk = Desk(replace(POLICY, severity_rules=(slow,), rules=(attach, opening)))
    desk.take(an_alert("Slow", severity="s3"))
    later = NOW + minutes(40)
    desk.take(an_alert(severity="s3", starts_at=later), now=later)
    assert (desk.incidents["INC-1"].severity, desk.incidents["INC-1"].alerts.gating) == (Severity.S2, 1)
    assert desk.events[-1].reason == "S3 → S2: firing for 30m, rule slow-for-long"


def test_what_waits_goes_on_becoming_worse_where_it_joined() -> None:
    slow = SeverityRule("slow-for-long", selector(['alertname="Slow"']), Severity.S2, persists=minutes(30))
    desk = Desk(
        replace(POLICY, severity_rules=(slow,), rules=(DecisionRule("all", selector(['alertname!="Slow"']), Action.OPEN),))
    )
    desk.take(an_alert("Slow", severity="s3"))
    desk.take(an_alert(severity="s3"), now=NOW + minutes(10))
    desk.tick(NOW + minutes(30))
    assert desk.incidents["INC-1"].severity is Severity.S2


def test_an_alert_that_was_split_out_comes_back_to_its_incident_while_that_is_open() -> None:
    desk = Desk()
    alert = an_alert()
    desk.take(alert)
    desk.take(an_alert(env="gstg"))
    desk.world.holders[pin_key(alert.fingerprint)] = "INC-2"
    desk.take(resolved(alert, NOW + minutes(1)), now=NOW + minutes(1))
    assert desk.fire(an_alert(starts_at=NOW + minutes(2)), now=NOW + minutes(2)).incident == "INC-2"
    desk.order("INC-2", ask.Move(Step.DISMISS), NOW + minutes(3))
    desk.take(resolved(an_alert(starts_at=NOW + minutes(2)), NOW + minutes(4)), now=NOW + minutes(4))
    assert desk.fire(an_alert(starts_at=NOW + minutes(5)), now=NOW + minutes(5)).incident == "INC-1"
