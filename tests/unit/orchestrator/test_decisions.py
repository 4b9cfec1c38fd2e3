"""The file's rules: their order, what each action does, and what holds where none says anything."""

from dataclasses import replace

import pytest

from schemas.vocabulary import Action, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, CorrelationRule, DecisionRule, SeverityRule
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk


def rule(action: Action, *matchers: str, of: frozenset[Severity | None] | None = None, name: str = "") -> DecisionRule:
    return DecisionRule(name or f"{action}-it", selector(matchers), action, of)


def ruled(*rules: DecisionRule) -> Desk:
    return Desk(replace(POLICY, rules=rules))


def test_the_first_rule_that_matches_decides() -> None:
    desk = ruled(rule(Action.RECORD, 'service="web"'), rule(Action.OPEN, 'env="gprd"'), rule(Action.IGNORE))
    assert [desk.fire(alert).rule for alert in (an_alert(), an_alert(service="api"), an_alert(service="api", env="x"))] == [
        "record-it",
        "open-it",
        "ignore-it",
    ]


def test_a_rule_for_some_severities_is_passed_over_by_others() -> None:
    desk = ruled(rule(Action.RECORD, of=frozenset({Severity.S1, None})))
    assert desk.fire(an_alert(severity="s1")).rule == "record-it"
    assert desk.fire(an_alert(severity="odd")).rule == "record-it"
    assert desk.fire(an_alert(severity="s2")).rule == "open-s1-s2"


def test_rules_are_asked_about_the_severity_that_was_found_not_the_label() -> None:
    worse = SeverityRule("money", selector(['service="checkout"']), Severity.S1)
    desk = Desk(replace(POLICY, severity_rules=(worse,), rules=(rule(Action.RECORD, of=frozenset({Severity.S1})),)))
    assert desk.fire(an_alert(severity="s3", service="checkout")).rule == "record-it"


@pytest.mark.parametrize(
    ("word", "action"), [("s1", Action.OPEN), ("s2", Action.OPEN), ("s3", Action.RECORD), ("s4", Action.RECORD)]
)
def test_without_rules_critical_alerts_open_and_others_are_recorded(word: str, action: Action) -> None:
    assert Desk().fire(an_alert(severity=word)).action is action


@pytest.mark.parametrize("action", [Action.IGNORE, Action.RECORD])
def test_ignored_and_recorded_alerts_touch_no_incident(action: Action) -> None:
    desk = ruled(rule(action, 'alertname="Noise"'))
    desk.take(an_alert())
    decision = desk.fire(an_alert("Noise"))
    assert (decision.action, decision.incident, decision.rule) == (action, None, f"{action}-it")
    assert decision.reason == f"S1 alert Noise (service=web,env=gprd): rule {action}-it says {action}."
    assert desk.incidents["INC-1"].alerts.firing == 1


@pytest.mark.parametrize("action", [Action.IGNORE, Action.RECORD])
def test_ignored_and_recorded_alerts_reopen_nothing(action: Action) -> None:
    desk = ruled(rule(action, 'alertname="Noise"'))
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.MITIGATE))
    desk.take(an_alert("Noise"))
    assert desk.types[-1] == "mitigated"
    desk.order("INC-1", ask.Move(Step.RESOLVE))
    desk.take(an_alert("Noise", instance="2"))
    assert desk.incidents["INC-1"].state is IncidentState.RESOLVED


def test_attach_joins_what_is_open_and_opens_nothing() -> None:
    desk = ruled(rule(Action.ATTACH, 'alertname="Symptom"'))
    alone = desk.fire(an_alert("Symptom"))
    assert (alone.action, alone.rule) == (Action.RECORD, "attach-it")
    assert alone.reason.endswith("no open incident has this key, and rule attach-it opens none.")
    desk.take(an_alert())
    joined = desk.fire(an_alert("Symptom", instance="2"))
    assert (joined.action, joined.rule, joined.incident) == (Action.ATTACH, "attach-same-key", "INC-1")
    assert joined.reason.endswith("joins INC-1, which is active for the same key.")


def test_open_opens_whatever_the_severity_is() -> None:
    desk = ruled(rule(Action.OPEN))
    decision = desk.fire(an_alert(severity="s4"))
    assert (decision.action, decision.rule) == (Action.OPEN, "open-it")
    assert decision.reason.endswith("no open incident has this key, and rule open-it opens one.")
    assert desk.incidents["INC-1"].severity is Severity.S4


def test_triage_opens_quietly() -> None:
    desk = ruled(rule(Action.TRIAGE))
    decision = desk.fire(an_alert(severity="s3"))
    assert (decision.action, decision.rule, desk.incidents["INC-1"].state) == (Action.TRIAGE, "triage-it", IncidentState.TRIAGE)
    assert decision.reason.endswith("no open incident has this key, and rule triage-it opens for triage.")


@pytest.mark.parametrize(("action", "assumed"), [(Action.OPEN, Severity.S2), (Action.TRIAGE, Severity.S3)])
def test_an_incident_for_an_unknown_severity_says_what_is_assumed(action: Action, assumed: Severity) -> None:
    desk = ruled(rule(action))
    decision = desk.fire(an_alert(severity="odd"))
    assert (decision.severity, desk.incidents["INC-1"].severity) == (None, assumed)
    assert decision.reason.startswith("Unrated alert")
    assert decision.reason.endswith(f"since its severity is unknown, {assumed} is assumed.")
    assert (desk.incidents["INC-1"].alerts.firing, desk.incidents["INC-1"].alerts.gating) == (1, 0)


def test_an_unknown_severity_joins_what_is_open() -> None:
    desk = Desk()
    desk.take(an_alert())
    assert desk.fire(an_alert("Odd", severity="odd")).incident == "INC-1"


def test_a_decision_carries_the_policy_and_what_was_looked_at() -> None:
    decision = Desk().fire(an_alert(severity="critical", starts_at=NOW - minutes(2)), now=NOW)
    assert (decision.policy, decision.at) == (POLICY.version, NOW)
    assert decision.facts == {
        "severity_label": "critical",
        "severity": Severity.S1,
        "service": "web",
        "environment": "gprd",
        "correlation_key": "service=web,env=gprd",
        "starts_at": "2026-11-23T03:10:00+00:00",
        "incident": "INC-1",
        "incident_severity": Severity.S1,
    }


def test_an_alert_that_was_over_before_it_was_heard_of_has_a_decision_too() -> None:
    decision = ruled(rule(Action.OPEN)).fire(resolved(an_alert(), NOW + minutes(1)), now=NOW + minutes(1))
    assert (decision.action, decision.rule, decision.severity) == (Action.RECORD, "over-before-seen", Severity.S1)


def test_matchers_see_a_missing_label_as_empty() -> None:
    desk = ruled(rule(Action.IGNORE, 'team=""'), rule(Action.OPEN))
    assert desk.fire(an_alert()).action is Action.IGNORE
    assert desk.fire(an_alert(team="shop")).action is Action.OPEN


def test_of_correlation_rules_too_the_first_that_matches_decides() -> None:
    rules = (
        CorrelationRule("by-cluster", selector(['service="db"']), ("cluster",)),
        CorrelationRule("by-region", EVERYTHING, ("region",)),
    )
    desk = Desk(replace(POLICY, correlation_rules=rules))
    assert desk.fire(an_alert(service="db", cluster="eu-1", region="eu")).facts["correlation_key"] == "cluster=eu-1"
    assert desk.fire(an_alert(region="eu")).facts["correlation_key"] == "region=eu"
