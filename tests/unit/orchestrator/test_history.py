"""The rules about what came before: off by default, each on its own."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.incidents import Incident
from schemas.vocabulary import Action, IncidentState, Severity
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, History, Rate
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

OPEN_ALL = replace(POLICY, rules=(DecisionRule("open-all", EVERYTHING, Action.OPEN),))


def remembering(policy: Policy = OPEN_ALL, **history: object) -> Desk:
    return Desk(replace(policy, history=History(**history)))  # type: ignore[arg-type]  # whatever a history has


def closed(desk: Desk, severity: str = "s2", service: str = "web", *, by: Step = Step.RESOLVE, at: datetime = NOW) -> Incident:
    """An incident of the service that is over."""
    name = desk.fire(an_alert("Before", severity=severity, service=service, starts_at=at), now=at).incident
    assert name is not None
    return desk.order(name, ask.Move(by), at)


def opened(desk: Desk, after: timedelta, severity: str = "s3", **labels: Any) -> tuple[Severity, str]:
    """With what severity an alert opens an incident of its own so much later, and why."""
    later = NOW + after
    decision = desk.fire(an_alert("After", severity=severity, starts_at=later, **labels), now=later)
    assert (decision.action, decision.severity) == (Action.OPEN, Severity(severity.upper()))
    return desk.incidents[decision.incident or ""].severity, decision.reason


@pytest.mark.parametrize("before", ["s2", "s3"])
@pytest.mark.parametrize("after", ["s2", "s3"])
def test_an_s2_or_s3_soon_after_one_of_the_same_service_opens_as_s2(before: str, after: str) -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk, before)
    severity, reason = opened(desk, timedelta(hours=3), after)
    assert severity is Severity.S2
    assert "it opens as S2: INC-1 of the same service was closed less than 3h ago" in reason


@pytest.mark.parametrize(
    ("before", "later", "after"),
    [
        (("s2", "web", Step.RESOLVE), timedelta(hours=3, seconds=1), "s3"),
        (("s1", "web", Step.RESOLVE), timedelta(hours=1), "s3"),
        (("s4", "web", Step.RESOLVE), timedelta(hours=1), "s3"),
        (("s2", "api", Step.RESOLVE), timedelta(hours=1), "s3"),
        (("s2", "web", Step.DISMISS), timedelta(hours=1), "s3"),
        (("s2", "web", Step.RESOLVE), timedelta(hours=1), "s4"),
        (("s2", "web", Step.RESOLVE), timedelta(hours=1), "s1"),
    ],
    ids=["too late", "after an S1", "after an S4", "another service", "a false alarm", "an S4", "an S1"],
)
def test_else_it_opens_as_what_it_is(before: tuple[str, str, Step], later: timedelta, after: str) -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk, before[0], before[1], by=before[2])
    assert opened(desk, later, after)[0] is Severity(after.upper())


@pytest.mark.parametrize(("env", "severity"), [(None, Severity.S2), ("staging", Severity.S3)])
def test_a_repeat_counts_where_the_environment_is_not_another(env: str | None, severity: Severity) -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk)
    assert opened(desk, minutes(10), env=env)[0] is severity


def test_what_was_reopened_is_not_closed() -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk)
    desk.order("INC-1", ask.Move(Step.REOPEN), NOW + minutes(1))
    assert opened(desk, minutes(10), env=None)[0] is Severity.S3


def test_what_is_reopened_in_the_same_batch_is_not_closed_either() -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk)
    later = NOW + minutes(10)
    refire, other = an_alert("Again", severity="s2", starts_at=later), an_alert(severity="s3", env="staging", starts_at=later)
    desk.take(refire, other, now=later)
    assert [(incident.state, incident.severity) for incident in desk.incidents.values()] == [
        (IncidentState.ACTIVE, Severity.S2),
        (IncidentState.ACTIVE, Severity.S3),
    ]


def test_what_people_say_later_of_a_closed_incident_counts() -> None:
    desk = remembering(repeat_within=timedelta(hours=3))
    closed(desk)
    desk.order("INC-1", ask.SetSeverity(Severity.S4), NOW + minutes(1))
    assert opened(desk, minutes(40))[0] is Severity.S3


def test_a_repeat_in_triage_is_no_longer_quiet() -> None:
    policy = replace(POLICY, rules=(DecisionRule("look-first", EVERYTHING, Action.TRIAGE),))
    desk = remembering(policy, repeat_within=timedelta(hours=3))
    closed(desk)
    later = NOW + minutes(40)
    desk.take(an_alert("After", severity="s3", starts_at=later), now=later)
    assert (desk.incidents["INC-2"].state, desk.incidents["INC-2"].severity) == (IncidentState.ACTIVE, Severity.S2)


@pytest.mark.parametrize(
    ("severity", "after", "state"),
    [
        ("s1", minutes(60), IncidentState.ACTIVE),
        ("s2", minutes(60), IncidentState.ACTIVE),
        ("s2", minutes(61), IncidentState.RESOLVED),
        ("s3", minutes(60), IncidentState.RESOLVED),
        ("s3", minutes(30), IncidentState.ACTIVE),
    ],
)
def test_a_critical_incident_counts_as_closed_after_its_stable_time_only(
    severity: str, after: timedelta, state: IncidentState
) -> None:
    desk = remembering(stable_period=minutes(60))
    closed(desk, severity)
    decision = desk.fire(an_alert("Again", starts_at=NOW + after), now=NOW + after)
    assert desk.incidents["INC-1"].state is state
    assert (decision.rule == "refire") is (state is IncidentState.ACTIVE)
    assert ("which counts as closed only after 1h" in decision.reason) is (severity != "s3" and decision.rule == "refire")


def test_a_repeat_is_counted_from_the_end_of_the_stable_time() -> None:
    desk = remembering(repeat_within=timedelta(hours=1), stable_period=minutes(30))
    closed(desk)
    assert opened(desk, minutes(90))[0] is Severity.S2
    desk = remembering(repeat_within=timedelta(hours=1), stable_period=minutes(30))
    closed(desk)
    assert opened(desk, minutes(91))[0] is Severity.S3


def test_so_many_lesser_alerts_that_belong_together_open_an_s2() -> None:
    desk = remembering(POLICY, combine=Rate(3, timedelta(hours=1)))
    decisions = [
        desk.fire(an_alert("Slow", severity="s3")),
        desk.fire(an_alert("Full", severity="s4"), now=NOW + minutes(30)),
        desk.fire(an_alert("Odd", severity="odd"), now=NOW + minutes(40)),
        desk.fire(an_alert("Late", severity="warning"), now=NOW + minutes(60)),
    ]
    assert [decision.action for decision in decisions] == [Action.RECORD, Action.RECORD, Action.RECORD, Action.OPEN]
    assert decisions[3].reason.startswith("S2 alert Late (third S3/S4 alert within 1h, rule combine-s3-s4)")
    assert (desk.incidents["INC-1"].severity, desk.incidents["INC-1"].alerts.firing) == (Severity.S2, 4)


@pytest.mark.parametrize(
    "last", [{"env": "staging"}, {"severity": "s1", "env": "staging"}, {}], ids=["another key", "a critical one", "too late"]
)
def test_fewer_do_not(last: dict[str, str]) -> None:
    desk = remembering(POLICY, combine=Rate(3, timedelta(hours=1)))
    desk.take(an_alert("Slow", severity="s3"), an_alert("Full", severity="s4"))
    later = NOW if last else NOW + minutes(61)
    decision = desk.fire(an_alert("Last", **({"severity": "s3"} | last)), now=later)  # type: ignore[arg-type]
    assert "combine-s3-s4" not in decision.reason


def test_an_alert_that_comes_back_counts_each_time() -> None:
    desk = remembering(POLICY, combine=Rate(2, timedelta(hours=1)))
    first = an_alert(severity="s4")
    desk.take(first)
    desk.take(resolved(first, NOW + minutes(5)), now=NOW + minutes(5))
    again = an_alert(severity="s4", starts_at=NOW + minutes(10))
    assert desk.fire(again, now=NOW + minutes(10)).action is Action.OPEN


def test_all_of_it_is_off_by_default() -> None:
    desk = Desk(OPEN_ALL)
    closed(desk)
    assert opened(desk, minutes(31))[0] is Severity.S3
    desk = Desk()
    assert {desk.fire(an_alert(f"{number}", severity="s3")).action for number in range(50)} == {Action.RECORD}
