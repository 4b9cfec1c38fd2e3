"""Triage: quiet until something makes it worth a page, and gone by itself when nothing did."""

from dataclasses import replace

import pytest

from schemas.vocabulary import Action, ActorKind, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, Promotion, SeverityRule
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

LOOK_FIRST = DecisionRule("look-first", EVERYTHING, Action.TRIAGE)
NEVER = Promotion(severity=None)
S3 = an_alert(severity="s3")


def triaging(promotion: Promotion = Promotion()) -> Desk:
    """A desk where every alert opens for triage, and an open one."""
    desk = Desk(replace(POLICY, rules=(LOOK_FIRST,), promotion=promotion, triage_quiet_period=minutes(30)))
    assert desk.fire(S3).action is Action.TRIAGE
    return desk


def state(desk: Desk, name: str = "INC-1") -> IncidentState:
    return desk.incidents[name].state


def test_a_triage_incident_takes_in_alerts_and_stays_quiet() -> None:
    desk = triaging()
    desk.take(an_alert("Other", severity="s4"), an_alert("Odd", severity="odd"))
    assert (state(desk), desk.incidents["INC-1"].alerts.firing) == (IncidentState.TRIAGE, 3)
    assert desk.types == ["opened", "alerts_attached"]


def test_a_worse_alert_promotes_it_with_the_reason() -> None:
    desk = triaging()
    desk.take(an_alert("Worse", severity="s2"))
    assert desk.types == ["opened", "alerts_attached", "severity_changed", "promoted"]
    promoted = desk.events[-1]
    assert (promoted.reason, promoted.actor.kind, promoted.actor.name) == (
        "its severity is S2",
        ActorKind.RULE,
        "triage-promotion",
    )
    assert state(desk) is IncidentState.ACTIVE


def test_what_is_bad_enough_from_the_start_is_opened_aloud() -> None:
    desk = Desk(replace(POLICY, rules=(LOOK_FIRST,)))
    decision = desk.fire(an_alert(severity="s2"))
    assert (decision.action, decision.rule, state(desk)) == (Action.OPEN, "look-first", IncidentState.ACTIVE)


def test_how_bad_is_bad_enough_is_the_policys_choice() -> None:
    desk = triaging(Promotion(Severity.S1))
    desk.take(an_alert("Worse", severity="s2"))
    assert state(desk) is IncidentState.TRIAGE
    desk.take(an_alert("Worst", severity="s1"))
    assert state(desk) is IncidentState.ACTIVE


def test_severity_promotes_nothing_where_the_policy_says_so() -> None:
    desk = triaging(NEVER)
    desk.take(an_alert("Worst", severity="s1"))
    assert (state(desk), desk.incidents["INC-1"].severity) == (IncidentState.TRIAGE, Severity.S1)


def test_breadth_promotes_it_with_the_reason() -> None:
    desk = triaging(Promotion(None, Breadth("instance", 3, minutes(10))))
    desk.take(an_alert(severity="s3", instance="a"), an_alert(severity="s3", instance="b"))
    assert state(desk) is IncidentState.TRIAGE
    desk.take(an_alert(severity="s4", instance="c"), now=NOW + minutes(10))
    assert desk.events[-1].reason == "third instance firing within 10m (a, b, c)"
    assert (state(desk), desk.incidents["INC-1"].severity) == (IncidentState.ACTIVE, Severity.S3)


def test_persistence_promotes_it_at_its_moment_with_the_reason() -> None:
    desk = triaging(Promotion(None, persists=minutes(20)))
    desk.tick(NOW + minutes(19))
    assert state(desk) is IncidentState.TRIAGE
    desk.tick(NOW + minutes(25))
    promoted = desk.events[-1]
    assert (state(desk), promoted.actor.kind) == (IncidentState.ACTIVE, ActorKind.TIMER)
    assert (promoted.reason, promoted.occurred_at) == ("its alerts have not been over for 20 minutes", NOW + minutes(20))


def test_short_alerts_apart_do_not_persist() -> None:
    desk = triaging(Promotion(None, persists=minutes(20)))
    desk.take(resolved(S3, NOW + minutes(1)), now=NOW + minutes(1))
    again = an_alert("Other", severity="s3", starts_at=NOW + minutes(25))
    desk.take(again, now=NOW + minutes(25))
    desk.take(resolved(again, NOW + minutes(26)), now=NOW + minutes(26))
    assert state(desk) is IncidentState.TRIAGE
    desk.take(an_alert(severity="s3", starts_at=NOW + minutes(40)), now=NOW + minutes(40))
    desk.tick(NOW + minutes(60))
    assert desk.events[-1].reason == "its alerts have not been over for 20 minutes"
    assert desk.events[-1].occurred_at == NOW + minutes(60)


def test_alerts_that_follow_without_a_gap_persist_together() -> None:
    desk = triaging(Promotion(None, persists=minutes(20)))
    desk.take(an_alert("Other", severity="s3"), now=NOW + minutes(10))
    desk.take(resolved(S3, NOW + minutes(11)), now=NOW + minutes(11))
    desk.tick(NOW + minutes(20))
    assert state(desk) is IncidentState.ACTIVE


def test_a_person_promotes_it() -> None:
    desk = triaging()
    assert desk.order("INC-1", ask.Move(Step.PROMOTE)).state is IncidentState.ACTIVE
    desk.take(resolved(S3, NOW + minutes(1)), now=NOW + minutes(1))
    desk.tick(NOW + minutes(60))
    assert desk.types[-1] == "mitigation_proposed"


def test_a_quiet_one_is_dismissed_by_itself_at_its_moment_with_the_reason() -> None:
    desk = triaging()
    desk.take(resolved(S3, NOW + minutes(5)), now=NOW + minutes(5))
    desk.tick(NOW + minutes(34))
    assert state(desk) is IncidentState.TRIAGE
    desk.tick(NOW + minutes(50))
    dismissed = desk.events[-1]
    assert (state(desk), dismissed.actor.kind, dismissed.occurred_at) == (
        IncidentState.DISMISSED,
        ActorKind.TIMER,
        NOW + minutes(35),
    )
    assert dismissed.reason == "it was never promoted, and all its alerts have been over for 30 minutes"


@pytest.mark.parametrize("promotion", [Promotion(), NEVER, Promotion(Severity.S1)])
def test_it_is_not_dismissed_while_any_of_its_alerts_fires(promotion: Promotion) -> None:
    desk = triaging(promotion)
    worse = an_alert("Worse", severity="s2")
    if promotion.severity is Severity.S2:
        worse = an_alert("Worse", severity="s4")
    desk.take(worse)
    desk.take(resolved(worse, NOW + minutes(5)), now=NOW + minutes(5))
    desk.tick(NOW + minutes(120))
    assert (state(desk), desk.incidents["INC-1"].alerts.firing) == (IncidentState.TRIAGE, 1)
    desk.take(resolved(S3, NOW + minutes(120)), now=NOW + minutes(120))
    desk.tick(NOW + minutes(150))
    assert state(desk) is IncidentState.DISMISSED


def test_once_promoted_only_critical_alerts_hold_it_again() -> None:
    desk = triaging(NEVER)
    worse = an_alert("Worse", severity="s2")
    desk.take(worse)
    desk.take(resolved(worse, NOW + minutes(5)), now=NOW + minutes(5))
    desk.order("INC-1", ask.Move(Step.PROMOTE), NOW + minutes(20))
    desk.tick(NOW + minutes(60))
    proposal = desk.incidents["INC-1"].proposal
    assert proposal is not None
    assert proposal.at == NOW + minutes(25)


def test_an_alert_before_its_end_begins_the_quiet_period_anew() -> None:
    desk = triaging()
    desk.take(resolved(S3, NOW + minutes(5)), now=NOW + minutes(5))
    again = an_alert(severity="s3", starts_at=NOW + minutes(34))
    assert desk.fire(again, now=NOW + minutes(34)).incident == "INC-1"
    desk.take(resolved(again, NOW + minutes(36)), now=NOW + minutes(36))
    desk.tick(NOW + minutes(65))
    assert state(desk) is IncidentState.TRIAGE
    desk.tick(NOW + minutes(66))
    assert state(desk) is IncidentState.DISMISSED


def test_what_comes_back_after_its_dismissal_is_looked_at_anew() -> None:
    desk = triaging()
    desk.take(resolved(S3, NOW + minutes(5)), now=NOW + minutes(5))
    decision = desk.fire(an_alert(severity="s3", starts_at=NOW + minutes(36)), now=NOW + minutes(36))
    assert (decision.action, decision.incident) == (Action.TRIAGE, "INC-2")
    assert (state(desk), state(desk, "INC-2")) == (IncidentState.DISMISSED, IncidentState.TRIAGE)


def test_a_person_who_dismisses_it_does_not_silence_what_comes() -> None:
    desk = triaging()
    desk.order("INC-1", ask.Move(Step.DISMISS))
    assert desk.fire(an_alert("Other", severity="s3")).incident == "INC-2"
    assert desk.fire(an_alert("Worse", severity="s1")).incident == "INC-2"
    assert state(desk, "INC-2") is IncidentState.ACTIVE


def test_what_a_rule_makes_worse_in_time_promotes_it() -> None:
    slow = SeverityRule("slow-for-long", EVERYTHING, Severity.S2, persists=minutes(15))
    desk = Desk(replace(POLICY, rules=(LOOK_FIRST,), severity_rules=(slow,)))
    desk.take(S3)
    desk.tick(NOW + minutes(15))
    assert desk.types == ["opened", "severity_changed", "promoted"]


@pytest.mark.parametrize("floor", [True, False])
def test_what_would_open_an_active_one_does_not_disappear_in_it(floor: bool) -> None:
    aloud = DecisionRule("checkout", selector(['alertname="CheckoutDown"']), Action.OPEN)
    desk = Desk(replace(POLICY, rules=(aloud, LOOK_FIRST), promotion=NEVER, floor=floor))
    desk.take(S3, an_alert("Other", severity="s2"))
    assert state(desk) is IncidentState.TRIAGE
    desk.take(an_alert("CheckoutDown", severity="s3"))
    assert desk.events[-1].reason == "CheckoutDown would have opened one that is active, rule checkout"
    assert state(desk) is IncidentState.ACTIVE
