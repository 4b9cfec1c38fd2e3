"""An alert that comes and goes is told once, and its incident stays open until it stays away."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from schemas.vocabulary import Action, IncidentState
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, Rate
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

POLICY_3 = replace(POLICY, flapping=Rate(3, timedelta(hours=1)))


def blink(desk: Desk, *moments: float, **labels: str) -> datetime:
    """The alert begins at each of these minutes and is over a minute later; when the last one was over."""
    over = NOW
    for moment in moments:
        begins, over = NOW + minutes(moment), NOW + minutes(moment + 1)
        alert = an_alert(starts_at=begins, **labels)  # type: ignore[arg-type]  # only labels
        desk.take(alert, now=begins)
        desk.take(resolved(alert, over), now=over)
    return over


def test_it_is_told_once_with_how_often_and_why() -> None:
    desk = Desk(POLICY_3)
    blink(desk, 0, 10)
    assert "flapping" not in desk.types
    blink(desk, 20, 30, 40, 50)
    (told,) = [event for event in desk.events if event.type.endswith("flapping.v1")]
    assert (told.text, told.occurred_at) == ("Flapping ×3: ErrorRateHigh", NOW + minutes(20))
    assert told.reason == "it began 3 times within 1h; the incident stays open until it is quiet for so long"
    assert len(desk.incidents) == 1


def test_decisions_say_that_it_flaps() -> None:
    desk = Desk(POLICY_3)
    blink(desk, 0, 10, 20)
    reasons = [firing.decision.reason for firing in desk.firings.values() if firing.decision]
    assert ["flapping ×3" in reason for reason in reasons] == [False, False, True]


def test_the_incident_stays_open_until_the_alert_has_stayed_away_for_as_long() -> None:
    desk = Desk(POLICY_3)
    over = blink(desk, 0, 10, 20, 30, 40, 50)
    desk.tick(over + minutes(59))
    assert desk.incidents["INC-1"].proposal is None
    desk.tick(over + minutes(60))
    assert desk.incidents["INC-1"].proposal is not None


def test_a_triage_incident_is_not_dismissed_while_its_alert_flaps() -> None:
    look_first = DecisionRule("look-first", EVERYTHING, Action.TRIAGE)
    desk = Desk(replace(POLICY_3, rules=(look_first,), triage_quiet_period=minutes(5)))
    over = blink(desk, 0, 3, 6, severity="s3")
    desk.tick(over + minutes(59))
    assert desk.types[-1] != "dismissed"
    desk.tick(over + minutes(60))
    assert desk.incidents["INC-1"].state is IncidentState.DISMISSED


def test_what_comes_back_once_more_after_that_is_as_quiet_as_any_other() -> None:
    desk = Desk(POLICY_3)
    blink(desk, 0, 10, 20)
    over = blink(desk, 100)
    desk.tick(over + minutes(5))
    assert desk.incidents["INC-1"].proposal is not None


def test_a_new_spell_is_told_anew() -> None:
    desk = Desk(POLICY_3)
    blink(desk, 0, 10, 20, 200, 210, 220)
    assert desk.types.count("flapping") == 2


@pytest.mark.parametrize("moments", [(0, 31, 62), (0, 10)], ids=["too slow", "too few"])
def test_what_comes_back_less_often_does_not_flap(moments: tuple[float, ...]) -> None:
    desk = Desk(POLICY_3)
    blink(desk, *moments)
    assert "flapping" not in desk.types


def test_each_alert_flaps_for_itself() -> None:
    desk = Desk(POLICY_3)
    for number in range(5):
        blink(desk, number * 5, instance=f"{number}")
    assert "flapping" not in desk.types


def test_repeats_are_no_beginnings() -> None:
    desk = Desk(POLICY_3)
    for number in range(5):
        desk.take(an_alert(received_at=NOW + minutes(number)), now=NOW + minutes(number))
    assert "flapping" not in desk.types


def test_what_is_recorded_only_is_not_told() -> None:
    desk = Desk(POLICY_3)
    blink(desk, 0, 10, 20, severity="s4")
    assert desk.events == []
    assert "flapping ×3" in max(desk.firings.items())[1].decision.reason  # type: ignore[union-attr]  # all are decided


def test_begins_of_one_batch_count_like_those_of_many() -> None:
    desk = Desk(POLICY_3)
    began = [an_alert(starts_at=NOW + minutes(number * 2)) for number in range(3)]
    desk.take(*(each for alert in began for each in (alert, resolved(alert, alert.starts_at + minutes(1)))), now=NOW + minutes(6))
    assert desk.types == ["opened", "alerts_attached", "flapping", "alerts_resolved"]


def test_a_spell_that_outlasts_its_time_is_told_again() -> None:
    desk = Desk(POLICY_3)
    blink(desk, *range(0, 130, 10))
    told = [event.occurred_at for event in desk.events if event.type.endswith("flapping.v1")]
    assert told == [NOW + minutes(20), NOW + minutes(80)]
