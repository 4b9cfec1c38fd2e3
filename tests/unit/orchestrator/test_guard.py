"""The rate guard: a storm of openings becomes one umbrella incident."""

from dataclasses import replace
from datetime import datetime

import pytest

from schemas.vocabulary import Action, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import Decision
from services.orchestrator.domain.deciding.world import UMBRELLA_KEY
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, Promotion, Rate
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

GUARDED = replace(POLICY, guard=Rate(2, minutes(10)))


def stormy(**changes: object) -> Desk:
    """Two incidents were opened just now, and the third opening made the umbrella INC-3."""
    desk = Desk(replace(GUARDED, **changes))  # type: ignore[arg-type]  # whatever a policy has
    for number in range(3):
        fire(desk, f"s{number}")
    return desk


def fire(desk: Desk, service: str, *, severity: str = "s1", at: datetime = NOW, name: str = "Down") -> Decision:
    return desk.fire(an_alert(name, severity=severity, service=service, starts_at=at), now=at)


def test_one_opening_too_many_opens_an_umbrella_and_says_why() -> None:
    desk = Desk(GUARDED)
    assert [fire(desk, f"s{number}").rule for number in range(2)] == ["open-s1-s2", "open-s1-s2"]
    decision = fire(desk, "s2")
    assert (decision.action, decision.rule, decision.incident) == (Action.OPEN, "rate-guard", "INC-3")
    assert decision.reason == (
        "S1 alert Down (service=s2,env=gprd): 2 openings within 10m already, so one umbrella incident takes it."
    )
    umbrella = desk.incidents["INC-3"]
    assert (umbrella.title, umbrella.correlation_key) == ("Alert storm: more than 2 incidents within 10m", UMBRELLA_KEY)
    assert (umbrella.environment, umbrella.services, umbrella.severity) == (None, ("s2",), Severity.S1)


def test_the_next_ones_join_it() -> None:
    desk = stormy()
    decision = fire(desk, "s3")
    assert (decision.action, decision.rule, decision.incident) == (Action.ATTACH, "rate-guard", "INC-3")
    assert decision.reason.endswith("so one umbrella incident takes it: INC-3.")
    assert (len(desk.incidents), desk.incidents["INC-3"].alerts.firing) == (3, 2)


def test_its_alerts_draw_their_likes_and_others_go_where_they_belong() -> None:
    desk = stormy()
    fire(desk, "s3")
    likes = [fire(desk, service, severity="s4", name="Slow") for service in ("s2", "s3", "s0")]
    assert [(like.incident, like.rule) for like in likes] == [
        ("INC-3", "attach-same-key"),
        ("INC-3", "attach-same-key"),
        ("INC-1", "attach-same-key"),
    ]


def test_what_waits_under_a_key_that_it_takes_joins_it() -> None:
    desk = Desk(GUARDED)
    for number in range(4):
        fire(desk, f"s{number}", severity="s3", name="Slow")
    for number in range(4):
        fire(desk, f"s{number}")
    assert [firing.incident for firing in desk.firings.values()] == ["INC-1", "INC-2", "INC-3", "INC-3"] * 2


def test_a_storm_lasts_as_long_as_it_would_open_so_many() -> None:
    desk = stormy()
    for number in range(3, 12):
        assert fire(desk, f"s{number}", at=NOW + minutes(4 * (number - 2))).incident == "INC-3"


def test_after_the_storm_incidents_open_again_and_its_keys_stay_with_it() -> None:
    desk = stormy()
    later = NOW + minutes(10.1)
    assert fire(desk, "s9", at=later).incident == "INC-4"
    assert fire(desk, "s2", at=later, name="Other").incident == "INC-3"


def test_once_it_is_over_its_keys_are_free_outside_of_the_window() -> None:
    desk = stormy()
    desk.order("INC-3", ask.Move(Step.RESOLVE))
    decision = fire(desk, "s2", at=NOW + minutes(31), name="Other")
    assert (decision.action, decision.incident) == (Action.OPEN, "INC-4")
    assert desk.incidents["INC-4"].correlation_key == "service=s2,env=gprd"


def test_a_refire_of_one_of_its_keys_reopens_it_within_the_window() -> None:
    desk = stormy()
    desk.order("INC-3", ask.Move(Step.RESOLVE))
    assert fire(desk, "s2", at=NOW + minutes(20), name="Other").rule == "refire"
    assert desk.incidents["INC-3"].state is IncidentState.ACTIVE


def test_the_next_storm_has_an_umbrella_of_its_own_and_the_old_one_stays_closed() -> None:
    desk = stormy()
    desk.order("INC-3", ask.Move(Step.RESOLVE))
    assert (fire(desk, "s3").incident, fire(desk, "s4").incident) == ("INC-4", "INC-4")
    decision = fire(desk, "s2", name="Other")
    assert (decision.incident, decision.rule) == ("INC-4", "rate-guard")
    later = fire(desk, "s2", at=NOW + minutes(11), name="Third")
    assert (later.incident, later.rule) == ("INC-4", "attach-same-key")
    assert desk.incidents["INC-3"].state is IncidentState.RESOLVED


def test_a_critical_alert_that_joins_a_mitigated_one_reopens_it() -> None:
    desk = stormy()
    desk.order("INC-3", ask.Move(Step.MITIGATE))
    fire(desk, "s4")
    assert (desk.incidents["INC-3"].state, desk.incidents["INC-3"].alerts.firing) == (IncidentState.ACTIVE, 2)


def test_a_quiet_storm_has_a_quiet_umbrella_which_a_critical_alert_promotes() -> None:
    look_first = DecisionRule("look-first", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
    desk = Desk(replace(GUARDED, rules=(look_first,)))
    decisions = [fire(desk, f"s{number}", severity="s3") for number in range(3)]
    assert (decisions[2].action, decisions[2].rule) == (Action.TRIAGE, "rate-guard")
    assert desk.incidents["INC-3"].state is IncidentState.TRIAGE
    fire(desk, "s3")
    assert (desk.incidents["INC-3"].state, desk.incidents["INC-3"].severity) == (IncidentState.ACTIVE, Severity.S1)


@pytest.mark.parametrize(
    "changes", [{"floor": False}, {"promotion": Promotion(None)}], ids=["no floor", "no promotion by severity"]
)
def test_an_opening_that_is_not_quiet_wakes_a_quiet_umbrella_in_any_case(changes: dict[str, object]) -> None:
    look_first = DecisionRule("look-first", EVERYTHING, Action.TRIAGE, frozenset({Severity.S3}))
    desk = Desk(replace(GUARDED, rules=(look_first,), **changes))  # type: ignore[arg-type]  # whatever a policy has
    for number in range(3):
        fire(desk, f"s{number}", severity="s3")
    fire(desk, "s3")
    assert desk.incidents["INC-3"].state is IncidentState.ACTIVE


def test_openings_fade_out_of_the_window_one_by_one() -> None:
    desk = Desk(GUARDED)
    assert fire(desk, "s0").action is Action.OPEN
    assert fire(desk, "s1", at=NOW + minutes(6)).action is Action.OPEN
    assert fire(desk, "s2", at=NOW + minutes(10.1)).rule == "open-s1-s2"
    assert fire(desk, "s3", at=NOW + minutes(15.9)).rule == "rate-guard"


def test_what_opens_nothing_is_not_counted() -> None:
    desk = Desk(GUARDED)
    fire(desk, "s0")
    desk.take(resolved(an_alert("Down", service="s0"), NOW + minutes(1)), now=NOW + minutes(1))
    desk.order("INC-1", ask.Move(Step.RESOLVE), NOW + minutes(1))
    fire(desk, "s0", at=NOW + minutes(2), name="Again")
    for number in range(5):
        fire(desk, f"s{number}", severity="s3", name="Slow", at=NOW + minutes(2))
    assert fire(desk, "s1", at=NOW + minutes(3)).rule == "open-s1-s2"


def test_a_storm_in_one_batch_is_guarded_too() -> None:
    desk = Desk(GUARDED)
    outcome = desk.take(*(an_alert(service=f"s{number}") for number in range(50)))
    assert list(desk.incidents) == ["INC-1", "INC-2", "INC-3"]
    assert desk.incidents["INC-3"].alerts.firing == 48
    assert len(outcome.events) == 4
