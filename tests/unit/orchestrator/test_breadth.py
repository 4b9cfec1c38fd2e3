"""How far breadth looks: among alerts that agree in everything else by which they belong together."""

from dataclasses import replace
from typing import Any

from schemas.vocabulary import Action, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, CorrelationRule, DecisionRule, Promotion, SeverityRule
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

THREE = Breadth("service", 3, minutes(10))
TRIAGE = DecisionRule("look", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
MULTI = SeverityRule("multi-service", EVERYTHING, Severity.S2, breadth=THREE)


def desk(*rules: SeverityRule, **more: object) -> Desk:
    policy: Policy = replace(POLICY, severity_rules=rules, rules=(TRIAGE,), **more)  # type: ignore[arg-type]
    return Desk(policy)


def fire(on: Desk, service: str, minute: int, env: str = "prod", **labels: Any) -> None:
    at = NOW + minutes(minute)
    on.take(an_alert(severity="s3", service=service, env=env, starts_at=at, **labels), now=at)
    on.tick(at)


def states(on: Desk) -> list[tuple[Severity, IncidentState]]:
    return [(incident.severity, incident.state) for incident in on.incidents.values()]


def test_services_are_counted_within_an_environment_although_each_has_an_incident_of_its_own() -> None:
    on = desk(MULTI)
    fire(on, "web", 0)
    fire(on, "api", 1)
    fire(on, "db", 1, env="staging")
    assert states(on) == [(Severity.S3, IncidentState.TRIAGE)] * 3
    fire(on, "cache", 2)
    s2, s3 = (Severity.S2, IncidentState.ACTIVE), (Severity.S3, IncidentState.TRIAGE)
    assert states(on) == [s2, s2, s3, s2]
    raised = [event for event in on.events if event.incident.id == "INC-1" and event.type.endswith("severity_changed.v1")]
    assert [event.reason for event in raised] == [
        "S3 → S2: third service firing within 10m (api, cache, web), rule multi-service"
    ]


def test_instances_are_counted_within_a_service() -> None:
    on = desk(SeverityRule("many", EVERYTHING, Severity.S1, breadth=Breadth("instance", 2, minutes(10))))
    fire(on, "web", 0, instance="a")
    fire(on, "api", 1, instance="b")
    assert [severity for severity, _ in states(on)] == [Severity.S3, Severity.S3]
    fire(on, "web", 2, instance="b")
    assert [severity for severity, _ in states(on)] == [Severity.S1, Severity.S3]


def test_what_belongs_together_by_nothing_else_is_counted_over_all() -> None:
    by_service = (CorrelationRule("alone", EVERYTHING, ("service",)),)
    on = desk(MULTI, correlation_rules=by_service)
    for minute, (service, env) in enumerate([("web", "prod"), ("api", "lab"), ("db", "dev")]):
        fire(on, service, minute, env)
    assert [severity for severity, _ in states(on)] == [Severity.S2] * 3


def test_what_is_ignored_or_only_recorded_is_no_evidence() -> None:
    rules = (
        DecisionRule("noise", selector(['service="web"']), Action.IGNORE),
        DecisionRule("lab", selector(['service="api"']), Action.RECORD),
        TRIAGE,
    )
    on = Desk(replace(POLICY, severity_rules=(MULTI,), rules=rules))
    for minute, service in enumerate(["web", "api", "db"]):
        fire(on, service, minute)
    assert states(on) == [(Severity.S3, IncidentState.TRIAGE)]


def test_what_was_recorded_before_opens_when_it_turns_out_to_be_wide() -> None:
    on = Desk(replace(POLICY, severity_rules=(MULTI,)))
    for minute, service in enumerate(["web", "api", "db"]):
        fire(on, service, minute)
    assert [(turn.event, turn.incident) for turn in on.turns] == [("opened", "INC-2"), ("opened", "INC-3")]
    assert [severity for severity, _ in states(on)] == [Severity.S2] * 3


def test_what_is_over_is_not_looked_at_again() -> None:
    on = desk(MULTI)
    fire(on, "web", 0)
    gone = an_alert(severity="s3", service="web", env="prod", starts_at=NOW)
    on.take(resolved(gone, NOW + minutes(1)), now=NOW + minutes(1))
    fire(on, "api", 2)
    fire(on, "db", 3)
    assert [severity for severity, _ in states(on)] == [Severity.S3, Severity.S2, Severity.S2]


def test_breadth_alone_promotes_every_triage_incident_that_it_is_about() -> None:
    on = desk(promotion=Promotion(severity=Severity.S1, breadth=THREE))
    for minute, service in enumerate(["web", "api", "db"]):
        fire(on, service, minute)
    assert states(on) == [(Severity.S3, IncidentState.ACTIVE)] * 3
    promoted = [event.reason for event in on.events if event.type.endswith("promoted.v1")]
    assert promoted == ["third service firing within 10m (api, db, web)"] * 2
