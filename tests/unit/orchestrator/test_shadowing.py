"""A candidate in memory: from when on it has to know the log, what it tells, how its incidents are called."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.incidents import Opened, Resolved
from schemas.vocabulary import Action, AlertStatus, Severity
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.policy.rules import EVERYTHING, DecisionRule, SeverityRule
from services.orchestrator.domain.trying.comparing import Decided
from services.orchestrator.domain.trying.replaying import Heard, Ordered, Told
from services.orchestrator.domain.trying.shadowing import FURTHEST, Shadow, Span, WouldOpen, beginning, shadow_id
from tests.builders import ANN, NOW, POLICY, minutes

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SMALL = DecisionRule("small", EVERYTHING, Action.OPEN, frozenset({Severity.S3}))


def ago(hours: float) -> datetime:
    return NOW - HOUR * hours


class TestBeginning:
    """A moment at which there was no incident and had lately been none."""

    @pytest.mark.parametrize(
        ("spans", "expected"),
        [
            ([], ago(1)),
            ([(3, 2.5)], ago(1)),
            ([(3, 1.5)], ago(4)),
            ([(3, None)], ago(4)),
            ([(3, None), (5, 4.5), (9, 8)], ago(6)),
            ([(3, None), (8, 5.1)], ago(4)),
            ([(None, 3)], ago(1)),
            ([(None, 2)], NOW - FURTHEST),
            ([(7 * 24 + 3, None)], NOW - FURTHEST),
            ([(hours + 1, hours - 0.5) for hours in range(24 * 8)], NOW - FURTHEST),
        ],
    )
    def test_it_is_before_all_that_may_matter(self, spans: list[Any], expected: datetime) -> None:
        given = [
            Span(None if began is None else ago(began), None if ended is None else ago(ended)) for began, ended in spans
        ]  # fmt: skip
        assert beginning(NOW, HOUR, given) == expected

    def test_a_long_memory_reaches_no_further_than_seven_days(self) -> None:
        assert beginning(NOW, DAY * 30, []) == NOW - FURTHEST


def told(name: str, severity: str, at: datetime, *, over: bool = False) -> Told:
    labels = {"alertname": name, "severity": severity, "service": "web", "env": "gprd"}
    status = AlertStatus.RESOLVED if over else AlertStatus.FIRING
    return Told(name, status, labels, NOW, at if over else None, at)


def heard(at: datetime, *alerts: Told, **decided: Decided) -> Heard:
    return Heard(at, list(alerts), {each.seq: each for each in decided.values()})


def recorded(seq: int, severity: Severity = Severity.S3) -> Decided:
    return Decided(seq, Action.RECORD, None, severity, "record-s3-s4")


def opened(news: Any) -> list[tuple[str, Severity, bool]]:
    return [(each.incident, each.severity, each.ended_at is None) for each in news.would_open]


class TestShadow:
    """What it tells."""

    def test_its_incidents_are_called_after_the_decision_behind_them(self) -> None:
        shadow = Shadow(replace(POLICY, rules=(SMALL,)), 812, NOW)
        shadow.play(heard(NOW, told("Slow", "s3", NOW), was=recorded(812)))
        news = shadow.take()
        assert opened(news) == [("S-812", Severity.S3, True)]
        (decision,) = news.decisions
        assert (decision.would_be.incident, decision.change) == (shadow_id(812), ("record", "open"))
        assert "opens one" in news.would_open[0].reason
        assert shadow.take().decisions == []
        assert shadow.open == 1

    def test_what_a_person_begins_has_one_name_in_both(self) -> None:
        shadow = Shadow(POLICY, 1, NOW)
        change: dict[str, Any] = {"uuid": "u", "title": "By hand", "severity": "S2", "services": [], "split_from": None}
        shadow.play(Ordered(NOW, "INC-7", Opened.TYPE, change, ANN, "because"))
        assert (list(shadow.world.incidents), shadow.take().would_open, shadow.open) == (["INC-7"], [], 1)
        shadow.play(Ordered(NOW, "INC-7", Resolved.TYPE, {}, ANN, "because"))
        assert shadow.open == 0

    def test_what_changes_is_told_once(self) -> None:
        shadow = Shadow(replace(POLICY, rules=(SMALL,)), 1, NOW)
        shadow.play(heard(NOW, told("Slow", "s3", NOW), was=recorded(1)))
        assert opened(shadow.take()) == [("S-1", Severity.S3, True)]
        shadow.play(heard(NOW + minutes(1), told("Minor", "s4", NOW), was=recorded(2, Severity.S4)))
        assert opened(shadow.take()) == []
        shadow.play(heard(NOW + minutes(2), told("Down", "s1", NOW), was=recorded(3, Severity.S1)))
        (worse,) = shadow.take().would_open
        assert isinstance(worse, WouldOpen)
        assert (worse.severity, worse.reason) == (Severity.S1, "S3 → S1: an S1 alert is linked, rule alert-severity-floor")

    def test_one_that_nobody_sees_is_over_when_mitigation_would_be_proposed(self) -> None:
        shadow = self._after_its_alert_ended(None)
        assert opened(shadow.take()) == [("S-1", Severity.S3, False)]

    def test_one_that_people_see_waits_for_them(self) -> None:
        shadow = self._after_its_alert_ended(Turn(1, NOW + minutes(1), "opened", "INC-1", "it has lasted"))
        assert opened(shadow.take()) == [("S-1", Severity.S3, True)]
        shadow.play(Ordered(NOW + minutes(30), "INC-1", Resolved.TYPE, {}, ANN, "because"))
        assert opened(shadow.take()) == [("S-1", Severity.S3, False)]

    def _after_its_alert_ended(self, turn: Turn | None) -> Shadow:
        shadow = Shadow(replace(POLICY, rules=(SMALL,)), 1, NOW)
        shadow.play(heard(NOW, told("Slow", "s3", NOW), was=recorded(1)))
        shadow.learn([turn] if turn else [])
        shadow.play(heard(NOW + minutes(2), told("Slow", "s3", NOW + minutes(2), over=True)))
        shadow.wait(NOW + minutes(20))
        return shadow

    def test_what_was_opened_in_earnest_is_told_with_its_moment(self) -> None:
        shadow = Shadow(POLICY, 1, NOW)
        was = Decided(1, Action.OPEN, "INC-4", Severity.S1, "open-s1-s2")
        shadow.play(heard(NOW, told("Down", "s1", NOW), was=was))
        shadow.learn([Turn(9, NOW + minutes(1), "opened", "INC-5", "it has lasted"), Turn(9, NOW, "opened", None, "?")])
        found = [(each.seq, each.at, each.incident) for each in shadow.take().opened]
        assert found == [(1, NOW, "INC-4"), (9, NOW + minutes(1), "INC-5")]

    def test_a_gap_in_the_log_does_not_shift_what_comes_after(self) -> None:
        shadow = Shadow(POLICY, 1, NOW)
        shadow.play(heard(NOW, told("A", "s3", NOW), was=recorded(1)))
        shadow.play(heard(NOW + minutes(1), told("B", "s3", NOW), was=recorded(7)))
        assert [(each.was.seq, each.would_be.seq) for each in shadow.take().decisions] == [(1, 1), (7, 7)]


class TestMemory:
    """How far back decisions look."""

    def test_it_is_the_longest_of_all_spans(self) -> None:
        assert POLICY.memory == HOUR
        assert replace(POLICY, refire_window=HOUR * 2).memory == HOUR * 2
        slow = replace(POLICY, severity_rules=(SeverityRule("slow", EVERYTHING, Severity.S2, persists=DAY),))
        assert slow.memory == DAY
        assert replace(slow, history=replace(POLICY.history, repeat_within=DAY, stable_period=HOUR)).memory == DAY + HOUR
