"""How bad an alert is, and what that makes of its incident: label, breadth, persistence, service levels; upwards only."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.vocabulary import Action, ActorKind, IncidentState, Severity
from services.matching import Selector, selector
from services.orchestrator.domain.evidence.evidence import Level, Slo, SloState, Threshold
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, SeverityRule
from services.orchestrator.domain.policy.severity import ordinal
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

MULTI_SERVICE = SeverityRule("multi-service", EVERYTHING, Severity.S2, breadth=Breadth("service", 3, minutes(10)))
BY_ENV = replace(POLICY, correlation=("env",), severity_rules=(MULTI_SERVICE,))
SLOW = SeverityRule("slow-for-long", EVERYTHING, Severity.S2, persists=minutes(30))


def raised_by(*rules: SeverityRule, **more: object) -> Desk:
    return Desk(replace(POLICY, severity_rules=rules, **more))  # type: ignore[arg-type]  # whatever a policy has


def opening_all(*rules: SeverityRule) -> Desk:
    """A desk where every alert opens an incident, whose severity the rules may raise."""
    return raised_by(*rules, rules=(DecisionRule("open-all", EVERYTHING, Action.OPEN),))


@pytest.mark.parametrize(
    ("word", "severity"),
    [("s1", Severity.S1), (" S2 ", Severity.S2), ("Critical", Severity.S1), ("warn", Severity.S4), ("page", None), (None, None)],
)
def test_the_label_says_how_bad_it_is_as_far_as_its_word_is_known(word: str | None, severity: Severity | None) -> None:
    assert Desk().fire(an_alert(severity=word)).severity is severity


def test_another_label_can_tell_it_and_other_words() -> None:
    desk = Desk(replace(POLICY, severity_label="prio", severity_map={"P1": Severity.S1}))
    assert desk.fire(an_alert(severity="s4", prio="p1")).severity is Severity.S1
    assert desk.fire(an_alert(severity="s1", prio="critical")).severity is None


def test_a_rule_makes_it_worse_and_says_so() -> None:
    rule = SeverityRule("checkout-is-money", selector(['service="checkout"']), Severity.S1)
    desk = raised_by(rule)
    decision = desk.fire(an_alert(severity="s3", service="checkout"))
    assert (decision.severity, decision.action) == (Severity.S1, Action.OPEN)
    assert 'S1 alert ErrorRateHigh (it matches {service="checkout"}, rule checkout-is-money)' in decision.reason
    assert decision.facts["severity_rule"] == "checkout-is-money"
    assert desk.fire(an_alert(severity="s3")).severity is Severity.S3


def test_in_doubt_the_higher_one_holds() -> None:
    rules = [SeverityRule(f"{severity}", EVERYTHING, severity) for severity in (Severity.S3, Severity.S2, Severity.S4)]
    assert raised_by(*rules).fire(an_alert(severity="s4")).severity is Severity.S2
    decision = raised_by(*rules).fire(an_alert(severity="s1"))
    assert decision.severity is Severity.S1
    assert "severity_rule" not in decision.facts


def test_a_rule_rates_what_has_no_known_severity() -> None:
    assert raised_by(SeverityRule("any", EVERYTHING, Severity.S4)).fire(an_alert(severity="odd")).severity is Severity.S4


def test_the_third_service_raises_the_incident_with_the_reason() -> None:
    desk = Desk(replace(BY_ENV, rules=opening_all().policy.rules))
    for after, service in enumerate(["api", "db", "web"]):
        desk.take(an_alert(severity="s3", service=service), now=NOW + minutes(after))
    assert desk.types == ["opened", "alerts_attached", "alerts_attached", "severity_changed"]
    raised = desk.events[-1]
    assert raised.reason == "S3 → S2: third service firing within 10m (api, db, web), rule multi-service"
    assert raised.change == {"before": "S3", "after": "S2", "pinned": False}
    assert desk.incidents["INC-1"].severity is Severity.S2


def test_the_third_service_opens_where_lesser_alerts_do_not() -> None:
    desk = Desk(BY_ENV)
    decisions = [desk.fire(an_alert(severity="s3", service=service)) for service in ("api", "db", "web")]
    assert [decision.action for decision in decisions] == [Action.RECORD, Action.RECORD, Action.OPEN]
    assert "third service firing within 10m (api, db, web), rule multi-service" in decisions[2].reason
    assert desk.incidents["INC-1"].alerts.firing == 3


@pytest.mark.parametrize(
    ("services", "apart"),
    [(["api", "db", "db"], 1), (["api", "db", "web"], 6)],
    ids=["the same service twice", "too far apart"],
)
def test_breadth_counts_different_values_within_its_time(services: list[str], apart: int) -> None:
    desk = Desk(BY_ENV)
    for number, service in enumerate(services):
        at = NOW + minutes(number * apart)
        desk.take(an_alert(severity="s3", service=service, instance=f"{number}", starts_at=at), now=at)
    assert desk.incidents == {}


def test_breadth_counts_to_the_very_end_of_its_time() -> None:
    desk = Desk(BY_ENV)
    for number, service in enumerate(["api", "db", "web"]):
        desk.take(an_alert(severity="s3", service=service), now=NOW + minutes(number * 5))
    assert list(desk.incidents) == ["INC-1"]


def test_breadth_counts_what_belongs_together_and_matches() -> None:
    rule = replace(MULTI_SERVICE, selector=selector(['team="shop"']))
    desk = Desk(replace(BY_ENV, severity_rules=(rule,)))
    desk.take(*(an_alert(severity="s3", service=service, env="other", team="shop") for service in ("api", "db", "web")))
    assert [incident.environment for incident in desk.incidents.values()] == ["other"]
    desk.take(*(an_alert(severity="s3", service=service, team="shop") for service in ("api", "db")))
    assert desk.fire(an_alert(severity="s3")).severity is Severity.S3


def test_an_incident_that_is_bad_enough_already_stays_as_it_is() -> None:
    desk = Desk(BY_ENV)
    desk.take(an_alert(severity="s1", service="api"))
    desk.take(an_alert(severity="s3", service="db"), an_alert(severity="s3"), an_alert(severity="s2", service="edge"))
    assert desk.incidents["INC-1"].severity is Severity.S1
    assert "severity_changed" not in desk.types


def test_what_fires_for_long_becomes_worse_at_its_moment() -> None:
    desk = opening_all(SLOW)
    desk.take(an_alert(severity="s3", starts_at=NOW - minutes(10)))
    desk.tick(NOW + minutes(19.9))
    assert desk.incidents["INC-1"].severity is Severity.S3
    desk.tick(NOW + minutes(20))
    raised = desk.events[-1]
    assert (raised.reason, raised.occurred_at) == ("S3 → S2: firing for 30m, rule slow-for-long", NOW + minutes(20))
    assert (raised.actor.kind, raised.actor.name, raised.actor.policy) == (ActorKind.RULE, "slow-for-long", POLICY.version)


def test_what_has_long_been_firing_is_worse_at_once() -> None:
    decision = raised_by(SLOW).fire(an_alert(severity="s3", starts_at=NOW - minutes(30)))
    assert (decision.severity, decision.action) == (Severity.S2, Action.OPEN)


def test_what_is_over_in_time_never_becomes_worse() -> None:
    desk = opening_all(SLOW)
    desk.take(an_alert(severity="s3"))
    desk.take(resolved(an_alert(severity="s3"), NOW + minutes(29)), now=NOW + minutes(29))
    desk.take(an_alert(severity="s3", starts_at=NOW + minutes(31)), now=NOW + minutes(31))
    desk.tick(NOW + minutes(60))
    assert desk.incidents["INC-1"].severity is Severity.S3


def test_what_persists_is_opened_later_where_it_was_recorded_and_its_decision_stands() -> None:
    desk = raised_by(SLOW)
    decision = desk.fire(an_alert(severity="s3"))
    desk.tick(NOW + minutes(30))
    assert [(turn.seq, turn.at, turn.event, turn.incident) for turn in desk.turns] == [(1, NOW + minutes(30), "opened", "INC-1")]
    assert "S2 alert ErrorRateHigh (firing for 30m, rule slow-for-long)" in desk.turns[0].reason
    assert desk.firings[1].decision == decision
    assert {event.caused_at for event in desk.events} == {NOW + minutes(30)}, "nobody waited for this for half an hour"
    assert (desk.incidents["INC-1"].severity, desk.incidents["INC-1"].alerts.gating) == (Severity.S2, 1)


def test_one_rule_after_the_other_raises_it() -> None:
    desk = opening_all(SLOW, replace(SLOW, name="very-slow", severity=Severity.S1, persists=timedelta(hours=1)))
    desk.take(an_alert(severity="s3"))
    desk.tick(NOW + timedelta(hours=2))
    raised = [(event.occurred_at, event.reason) for event in desk.events if event.type.endswith("severity_changed.v1")]
    assert raised == [
        (NOW + minutes(30), "S3 → S2: firing for 30m, rule slow-for-long"),
        (NOW + minutes(60), "S2 → S1: firing for 1h, rule very-slow"),
    ]


def test_a_rule_with_both_conditions_needs_both() -> None:
    rule = SeverityRule("wide-and-long", EVERYTHING, Severity.S2, Breadth("instance", 2, minutes(60)), minutes(10))
    desk = opening_all(rule)
    desk.take(an_alert(severity="s3", instance="1"))
    desk.tick(NOW + minutes(30))
    assert desk.incidents["INC-1"].severity is Severity.S3
    desk.take(an_alert(severity="s3", instance="2", starts_at=NOW + minutes(30)), now=NOW + minutes(30))
    desk.tick(NOW + minutes(40))
    assert desk.events[-1].reason == ("S3 → S2: second instance firing within 1h (1, 2) and firing for 10m, rule wide-and-long")


SLO = Slo("web-errors", selector(['service="web"']), "errors / requests", Threshold(above=0.01), Threshold(above=0.1))


def levels(level: Level) -> Mapping[str, SloState]:
    sentence = f"web-errors: 0.2 above 0.1 for 5 minutes ({level})"
    return {SLO.name: SloState(SLO.name, level, 0.2, NOW, sentence, NOW)}


@pytest.mark.parametrize(
    ("level", "severity"),
    [(Level.OUTAGE, Severity.S1), (Level.DEGRADED, Severity.S2), (Level.OK, Severity.S3), (Level.UNKNOWN, Severity.S3)],
)
def test_a_service_level_beyond_its_line_is_evidence(level: Level, severity: Severity) -> None:
    decision = Desk(replace(POLICY, slos=(SLO,))).fire(an_alert(severity="s3"), slos=levels(level))
    assert (decision.severity, decision.facts["slos"]) == (severity, {"web-errors": level})
    said = f"web-errors: 0.2 above 0.1 for 5 minutes ({level}), rule slo:web-errors"
    assert (said in decision.reason) is level.bad


def test_a_service_level_is_evidence_for_the_alerts_that_it_is_about_only() -> None:
    decision = Desk(replace(POLICY, slos=(SLO,))).fire(an_alert(severity="s3", service="api"), slos=levels(Level.OUTAGE))
    assert (decision.severity, decision.facts["slos"]) == (Severity.S3, {})


def test_a_service_level_never_makes_it_milder() -> None:
    assert Desk(replace(POLICY, slos=(SLO,))).fire(an_alert(), slos=levels(Level.DEGRADED)).severity is Severity.S1


def test_severity_never_falls_by_itself() -> None:
    desk = Desk()
    desk.take(an_alert())
    desk.take(an_alert("Other", severity="s4"), resolved(an_alert(), NOW + minutes(1)), now=NOW + minutes(1))
    desk.order("INC-1", ask.Move(Step.RESOLVE), NOW + minutes(2))
    later = NOW + minutes(3)
    desk.take(an_alert("Third", severity="s2", starts_at=later), now=later)
    assert (desk.incidents["INC-1"].state, desk.incidents["INC-1"].severity) == (IncidentState.ACTIVE, Severity.S1)


def test_a_pinned_severity_stands_whatever_rules_find_and_the_highest_is_kept_on_record() -> None:
    desk = opening_all(SLOW)
    desk.take(an_alert(severity="s2"))
    desk.order("INC-1", ask.SetSeverity(Severity.S4))
    desk.take(an_alert("Slow", severity="s3"))
    desk.tick(NOW + minutes(30))
    incident = desk.incidents["INC-1"]
    assert (incident.severity, incident.severity_pinned, incident.highest_severity) == (Severity.S4, True, Severity.S2)


def test_what_a_person_lowers_without_pinning_rises_with_the_next_fact() -> None:
    desk = Desk()
    desk.take(an_alert(severity="s2"))
    desk.order("INC-1", ask.SetSeverity(Severity.S4, pin=False))
    desk.take(an_alert("Worse", severity="s3"))
    assert desk.events[-1].reason == "S4 → S3: an S3 alert is linked, rule alert-severity-floor"


def test_without_the_floor_labels_raise_nothing_and_rules_do() -> None:
    rule = SeverityRule("checkout-is-money", selector(['alertname="Checkout"']), Severity.S2)
    desk = Desk(replace(opening_all(rule).policy, floor=False))
    desk.take(an_alert(severity="s3"))
    desk.take(an_alert("Label", severity="s1"))
    assert "severity_changed" not in desk.types
    desk.take(an_alert("Another label", severity="s1"), an_alert("Checkout", severity="s3"))
    assert desk.incidents["INC-1"].severity is Severity.S2
    assert desk.events[-1].reason == 'S3 → S2: it matches {alertname="Checkout"}, rule checkout-is-money'


@pytest.mark.parametrize(
    ("number", "word"), [(2, "second"), (10, "tenth"), (11, "11th"), (21, "21st"), (22, "22nd"), (33, "33rd"), (112, "112th")]
)
def test_ordinals_are_words_up_to_ten(number: int, word: str) -> None:
    assert ordinal(number) == word


def test_the_empty_selector_says_that_it_matches_everything() -> None:
    decision = raised_by(SeverityRule("any", Selector(), Severity.S2)).fire(an_alert(severity="s3"))
    assert "(it matches {}, rule any)" in decision.reason
