"""Merging two incidents: what either side becomes, and what is refused."""

from typing import Any

import pytest

from schemas.incidents import AlertCounts, Incident, IncidentEvent, Proposal
from schemas.vocabulary import IncidentState, Severity
from services.orchestrator.domain.deciding.merging import merge
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide, next_due
from tests.builders import ANN, NOW, POLICY, minutes

CONTEXT = Context(NOW, POLICY.periods)
TWO_FIRING = AlertCounts(firing=2, muted=1, resolved=3, gating=1)


def an_incident(name: str, **given: Any) -> Incident:
    opened = decide(None, ask.Open(name, name, "Down", Severity.S2, ("web",)), CONTEXT)
    assert not isinstance(opened, Refusal)
    incident, _ = record(name, None, opened, actor=ANN, reason="because", now=NOW)
    assert incident
    return incident.model_copy(update=given)


def merged(source: Incident, target: Incident) -> tuple[Incident, Incident, list[IncidentEvent]]:
    """Both sides after the merge, and the target's events."""
    merging = merge(source, target, CONTEXT)
    assert not isinstance(merging, Refusal), merging
    ends, _ = record(source.id, source, merging.source, actor=ANN, reason="same cause", now=NOW)
    goes_on, events = record(target.id, target, merging.target, actor=ANN, reason="same cause", now=NOW)
    assert ends
    assert goes_on
    return ends, goes_on, events


def refused(source: Incident, target: Incident) -> str:
    merging = merge(source, target, CONTEXT)
    assert isinstance(merging, Refusal)
    assert merging.code == "illegal_transition"
    return merging.detail


def types(events: list[IncidentEvent]) -> list[str]:
    return [event.type.split(".")[2] for event in events]


def test_the_target_counts_the_alerts_of_both_and_the_source_none() -> None:
    source = an_incident("INC-3", alerts=TWO_FIRING, services=("db",), links={"runbook": "https://r.example"})
    ends, goes_on, events = merged(source, an_incident("INC-2", alerts=AlertCounts(firing=1, gating=1)))
    assert (ends.state, ends.merged_into, ends.alerts) == (IncidentState.MERGED, "INC-2", AlertCounts())
    assert goes_on.alerts == AlertCounts(firing=3, muted=1, resolved=3, gating=2)
    assert (goes_on.services, goes_on.links) == (("web", "db"), {"runbook": "https://r.example"})
    assert [event.text for event in events] == ["INC-3 merged into this, with 3 alerts not over"]


def test_what_was_merged_waits_for_nothing() -> None:
    source = an_incident("INC-3", quiet_since=NOW - minutes(3), alert_severity=Severity.S1, alerts=AlertCounts(resolved=1))
    assert next_due(source, POLICY.periods) is not None
    proposal = Proposal(state=IncidentState.MITIGATED, at=NOW, reason="quiet")
    ends, _, _ = merged(source.model_copy(update={"proposal": proposal}), an_incident("INC-2"))
    assert (next_due(ends, POLICY.periods), ends.proposal) == (None, None)


def test_the_severity_rises_to_that_of_the_sources_alerts_with_the_reason() -> None:
    source = an_incident("INC-3", alert_severity=Severity.S1)
    _, goes_on, events = merged(source, an_incident("INC-2"))
    assert (goes_on.severity, goes_on.alert_severity) == (Severity.S1, Severity.S1)
    assert (types(events), events[-1].reason) == (["absorbed", "severity_changed"], "S2 → S1: INC-3 was merged into it")


def test_a_pinned_severity_stays_and_a_lesser_one_lowers_nothing() -> None:
    worse, lesser = an_incident("INC-3", alert_severity=Severity.S1), an_incident("INC-4", alert_severity=Severity.S4)
    assert merged(worse, an_incident("INC-2", severity_pinned=True))[1].severity is Severity.S2
    assert merged(lesser, an_incident("INC-2"))[1].severity is Severity.S2


def test_a_critical_alert_withdraws_the_targets_proposal() -> None:
    proposal = Proposal(state=IncidentState.MITIGATED, at=NOW, reason="all is quiet")
    _, goes_on, events = merged(an_incident("INC-3", alerts=TWO_FIRING), an_incident("INC-2", proposal=proposal))
    assert (goes_on.proposal, types(events)) == (None, ["absorbed", "proposal_cleared"])


def test_what_is_being_worked_on_is_not_hidden_in_triage() -> None:
    triage = IncidentState.TRIAGE
    _, goes_on, events = merged(an_incident("INC-3"), an_incident("INC-2", state=triage))
    assert (goes_on.state, types(events)) == (IncidentState.ACTIVE, ["absorbed", "promoted"])
    assert events[-1].reason == "INC-3, which was active, was merged into it"
    assert merged(an_incident("INC-3", state=triage), an_incident("INC-2", state=triage))[1].state is triage


def test_a_critical_alert_that_is_not_over_reopens_a_mitigated_target() -> None:
    mitigated = an_incident("INC-2", state=IncidentState.MITIGATED, mitigated_at=NOW)
    _, goes_on, events = merged(an_incident("INC-3", alerts=TWO_FIRING), mitigated)
    assert (goes_on.state, goes_on.mitigated_at, types(events)) == (IncidentState.ACTIVE, None, ["absorbed", "reopened"])
    assert "critical alert of INC-3" in events[-1].reason
    assert merged(an_incident("INC-3", alerts=AlertCounts(firing=1)), mitigated)[1].state is IncidentState.MITIGATED
    calm = an_incident("INC-3", alerts=TWO_FIRING, state=IncidentState.MITIGATED)
    assert merged(calm, mitigated)[1].state is IncidentState.MITIGATED


def test_the_first_alerts_a_target_ever_had_begin_its_quiet_period_when_they_are_over() -> None:
    source = an_incident("INC-3", alerts=AlertCounts(resolved=2), alert_severity=Severity.S1, quiet_since=NOW - minutes(2))
    _, goes_on, _ = merged(source, an_incident("INC-2"))
    assert goes_on.quiet_since == NOW
    assert next_due(goes_on, POLICY.periods) == NOW + minutes(5)


@pytest.mark.parametrize("state", [IncidentState.TRIAGE, IncidentState.ACTIVE, IncidentState.MITIGATED])
def test_each_open_state_can_be_merged(state: IncidentState) -> None:
    assert merged(an_incident("INC-3", state=state), an_incident("INC-2"))[0].state is IncidentState.MERGED


@pytest.mark.parametrize("state", [IncidentState.RESOLVED, IncidentState.REVIEWED, IncidentState.DISMISSED])
def test_what_is_over_is_neither_merged_nor_merged_into(state: IncidentState) -> None:
    over, open_one = an_incident("INC-3", state=state), an_incident("INC-2")
    assert refused(over, open_one).startswith(f"INC-3 is {state}, so it cannot merge; possible now: ")
    assert refused(open_one, over) == f"INC-3 is {state}; only an open incident takes in another."


def test_an_incident_is_not_merged_into_itself() -> None:
    assert refused(an_incident("INC-3"), an_incident("INC-3")) == "INC-3 cannot be merged into itself."


def test_what_was_merged_already_names_where_it_went() -> None:
    gone = an_incident("INC-2", state=IncidentState.MERGED, merged_into="INC-5")
    assert refused(an_incident("INC-3"), gone) == "INC-2 was merged into INC-5; merge into that one."
    assert refused(gone, an_incident("INC-3")) == "INC-2 was merged into INC-5 already."


def test_merges_never_make_a_circle() -> None:
    ends, goes_on, _ = merged(an_incident("INC-3"), an_incident("INC-2"))
    assert refused(goes_on, ends) == "INC-3 was merged into INC-2 already."
