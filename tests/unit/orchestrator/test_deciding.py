"""What becomes of each firing, and what that does to incidents."""

from dataclasses import replace
from itertools import permutations

import pytest

from schemas.vocabulary import Action, FiringState, IncidentState, Severity
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_s1_alert_opens_an_incident_and_says_why(desk: Desk) -> None:
    outcome = desk.take(an_alert(annotations={"title": "Web is down", "runbook": "https://runbooks.example/web"}))
    decision = outcome.began[0].decision
    assert decision
    assert (decision.seq, decision.action, decision.incident, decision.rule) == (1, Action.OPEN, "INC-1", "open-s1-s2")
    assert decision.reason == ("S1 alert ErrorRateHigh (service=web,env=gprd): no open incident has this key, and S1 opens one.")
    incident = desk.incidents["INC-1"]
    assert (incident.title, incident.state, incident.severity) == ("Web is down", IncidentState.ACTIVE, Severity.S1)
    assert (incident.alerts.firing, incident.alerts.gating) == (1, 1)
    assert incident.links == {"runbook": "https://runbooks.example/web"}
    assert incident.opened_by.policy == POLICY.version


@pytest.mark.parametrize("word", ["s3", "warning", "info", "S4"])
def test_lesser_alerts_are_recorded_only(desk: Desk, word: str) -> None:
    decision = desk.take(an_alert(severity=word)).began[0].decision
    assert decision
    assert (decision.action, decision.rule, desk.incidents) == (Action.RECORD, "record-s3-s4", {})


@pytest.mark.parametrize(("word", "said"), [("panic", "severity='panic' is no known severity"), (None, "it has no label")])
def test_an_unknown_severity_is_recorded_as_unknown(desk: Desk, word: str | None, said: str) -> None:
    decision = desk.take(an_alert(severity=word)).began[0].decision
    assert decision
    assert (decision.severity, decision.rule) == (None, "unknown-severity")
    assert said in decision.reason


def test_any_severity_joins_the_open_incident_of_its_key(desk: Desk) -> None:
    desk.take(an_alert())
    outcome = desk.take(an_alert("DiskFull", severity="s4"), an_alert("Other", env="staging"))
    assert [firing.incident for firing in outcome.began] == ["INC-1", "INC-2"]
    assert desk.incidents["INC-1"].alerts.firing == 2
    assert desk.incidents["INC-1"].alerts.gating == 1


def test_alerts_that_join_are_told_by_the_rule_and_the_reason_by_which_they_did() -> None:
    desk = Desk(replace(POLICY, dependencies={"web": ("db",)}))
    desk.take(an_alert("Slow", severity="s3"), an_alert("DbDown", service="db"))
    depends, same = desk.take(an_alert(), an_alert("DbFull", service="db")).events[-2:], desk.take(an_alert("Late", service="db"))
    assert (depends[-1].actor.name, depends[-1].change["count"]) == ("dependency", 2)
    assert depends[-1].reason == "S1 alert ErrorRateHigh (service=web,env=gprd) joins INC-1: web which depends on db."
    assert same.events[-1].actor.name == "attach-same-key"


def test_what_waited_is_told_why_it_joined_and_not_why_it_was_recorded(desk: Desk) -> None:
    desk.take(an_alert("Slow", severity="s3"))
    joined = desk.take(an_alert()).events[-1]
    assert (joined.text, joined.actor.name, joined.reason) == (
        "1 alert linked: Slow",
        "attach-same-key",
        "INC-1 was opened for the same key",
    )


def test_what_fires_again_is_told_by_the_rule_that_reopened(desk: Desk) -> None:
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.MITIGATE))
    reopened, linked = desk.take(an_alert("Again")).events
    assert (reopened.actor.name, linked.actor.name) == ("refire", "refire")


def test_a_worse_alert_raises_the_severity_with_the_reason(desk: Desk) -> None:
    desk.take(an_alert(severity="s2"))
    outcome = desk.take(an_alert("Worse"))
    raised = outcome.events[-1]
    assert raised.change == {"before": "S2", "after": "S1", "pinned": False}
    assert raised.reason == "S2 → S1: an S1 alert is linked, rule alert-severity-floor"


def test_a_pinned_severity_stays(desk: Desk) -> None:
    desk.take(an_alert(severity="s2"))
    desk.order("INC-1", ask.SetSeverity(Severity.S3))
    desk.take(an_alert("Worse"))
    assert (desk.incidents["INC-1"].severity, desk.incidents["INC-1"].highest_severity) == (Severity.S3, Severity.S2)
    desk.order("INC-1", ask.Unpin())
    assert desk.incidents["INC-1"].severity is Severity.S1


def test_ten_thousand_alerts_are_a_handful_of_events(desk: Desk) -> None:
    outcome = desk.take(*(an_alert(instance=f"web-{number}") for number in range(10_000)))
    assert [event.type for event in outcome.events] == ["tocsin.incident.opened.v1", "tocsin.incident.alerts_attached.v1"]
    assert outcome.events[1].change["count"] == 9_999
    assert len(outcome.events[1].change["examples"]) == 20
    assert len({firing.decision.seq for firing in outcome.began if firing.decision}) == 10_000
    assert max(len(event.model_dump_json()) for event in outcome.events) < 16 * 1024


def test_a_repeat_changes_nothing_but_last_seen(desk: Desk) -> None:
    desk.take(an_alert())
    outcome = desk.take(an_alert(received_at=NOW + minutes(5)))
    assert (outcome.began, outcome.events) == ([], [])
    assert outcome.changed[0].last_seen == NOW + minutes(5)
    again = desk.take(an_alert(received_at=NOW + minutes(5)))
    assert (again.began, again.changed, again.events) == ([], [], [])


def test_a_refire_withdraws_the_proposal(desk: Desk) -> None:
    desk.take(an_alert())
    desk.take(resolved(an_alert(), NOW + minutes(1)), now=NOW + minutes(1))
    desk.order("INC-1", ask.TimePassed(), NOW + minutes(7))
    assert desk.incidents["INC-1"].proposal
    desk.take(an_alert(starts_at=NOW + minutes(8)), now=NOW + minutes(8))
    assert desk.incidents["INC-1"].proposal is None
    assert desk.types[-1] == "proposal_cleared"
    assert desk.incidents["INC-1"].quiet_since is None


@pytest.mark.parametrize(
    ("step", "after", "action", "state"),
    [
        (Step.MITIGATE, 20, Action.ATTACH, IncidentState.ACTIVE),
        (Step.RESOLVE, 20, Action.ATTACH, IncidentState.ACTIVE),
        (Step.RESOLVE, 40, Action.OPEN, IncidentState.RESOLVED),
        (Step.DISMISS, 20, Action.OPEN, IncidentState.DISMISSED),
    ],
)
def test_a_refire_reopens_within_the_window(desk: Desk, step: Step, after: int, action: Action, state: IncidentState) -> None:
    desk.take(an_alert())
    desk.take(resolved(an_alert(), NOW + minutes(1)), now=NOW + minutes(1))
    desk.order("INC-1", ask.Move(step), NOW + minutes(2))
    later = NOW + minutes(2 + after)
    outcome = desk.take(an_alert(starts_at=later), now=later)
    assert outcome.began[0].decision
    assert (outcome.began[0].decision.action, desk.incidents["INC-1"].state) == (action, state)


def test_a_lesser_alert_reopens_nothing(desk: Desk) -> None:
    desk.take(an_alert())
    desk.order("INC-1", ask.Move(Step.MITIGATE))
    desk.take(an_alert("Minor", severity="s4"))
    assert desk.incidents["INC-1"].state is IncidentState.MITIGATED


def test_resolved_before_it_was_seen_opens_nothing(desk: Desk) -> None:
    late = an_alert()
    outcome = desk.take(resolved(late, NOW + minutes(1)))
    assert outcome.began[0].state is FiringState.RESOLVED
    assert desk.take(late).began == []
    assert desk.incidents == {}


def test_all_orders_of_firing_resolved_refired_end_firing() -> None:
    first, again = an_alert(), an_alert(starts_at=NOW + minutes(3))
    over = resolved(first, NOW + minutes(2))
    for split in (True, False):
        for order in permutations([first, over, again]):
            desk = Desk()
            for batch in [[alert] for alert in order] if split else [list(order)]:
                desk.take(*batch, now=NOW + minutes(4))
            latest = desk.latest[first.fingerprint]
            assert (latest.state, latest.newest_start) == (FiringState.FIRING, again.starts_at), order
            incidents = [incident for incident in desk.incidents.values() if incident.state.open]
            assert [incident.alerts.gating for incident in incidents] == [1], order


def test_fire_resolve_fire_in_one_batch(desk: Desk) -> None:
    first, again = an_alert(), an_alert(starts_at=NOW + minutes(3))
    desk.take(first, resolved(first, NOW + minutes(2)), again)
    counts = desk.incidents["INC-1"].alerts
    assert (counts.firing, counts.gating, counts.resolved) == (1, 1, 1)


def test_firings_that_differ_in_a_fact_differ_in_facts_and_reason(desk: Desk) -> None:
    variants = [an_alert(), an_alert(service="api"), an_alert(env="staging"), an_alert(severity="s2"), an_alert("Other")]
    decisions = [Desk().take(alert).began[0].decision for alert in variants]
    reasons = {decision.reason for decision in decisions if decision}
    assert len(reasons) == len(variants)


def test_hostile_text_becomes_one_printable_line(desk: Desk) -> None:
    desk.take(an_alert(annotations={"title": "Down\n/close\r\x00now " + "x" * 500, "runbook": "javascript:alert(1)"}))
    incident = desk.incidents["INC-1"]
    assert incident.title.isprintable()
    assert len(incident.title) == 200
    assert incident.links == {}


def test_reopening_by_hand_begins_a_new_quiet_period(desk: Desk) -> None:
    desk.take(an_alert())
    desk.take(resolved(an_alert(), NOW + minutes(1)), now=NOW + minutes(1))
    desk.order("INC-1", ask.Move(Step.RESOLVE), NOW + minutes(20))
    desk.order("INC-1", ask.Move(Step.REOPEN), NOW + minutes(30))
    desk.order("INC-1", ask.TimePassed(), NOW + minutes(34))
    assert desk.incidents["INC-1"].proposal is None
    desk.order("INC-1", ask.TimePassed(), NOW + minutes(35))
    assert desk.incidents["INC-1"].proposal is not None
