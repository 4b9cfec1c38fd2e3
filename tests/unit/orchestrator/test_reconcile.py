"""Open firings held against what Alertmanager lists."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.vocabulary import FiringState, Severity
from services.orchestrator.domain.alerts.reconcile import (
    RECONCILED,
    SETTLED,
    UNHEARD,
    Answer,
    Change,
    OpenFiring,
    Seen,
    reconcile,
)
from tests.builders import NOW, minutes

GRACE, STALE_AFTER = minutes(2), timedelta(hours=8)
LONG_AGO = NOW - timedelta(days=7)
BY = "silenced by ann until 2026-11-23 05:00 UTC: db upgrade (silence 1b2c…)"
FIRING, MUTED, STALE, RESOLVED = FiringState.FIRING, FiringState.MUTED, FiringState.STALE, FiringState.RESOLVED


def a_firing(seq: int = 1, **given: Any) -> OpenFiring:
    values: dict[str, Any] = {
        "seq": seq,
        "fingerprint": f"{seq:016x}",
        "name": "ErrorRateHigh",
        "instance": f"web-{seq}",
        "severity": Severity.S1,
        "incident": "INC-1",
        "state": FIRING,
        "newest_start": NOW - minutes(30),
        "last_seen": NOW - minutes(20),
    }
    return OpenFiring(**values | given)


def an_answer(*listed: tuple[OpenFiring, Seen], at: datetime = NOW, complete: bool = True, up: datetime = LONG_AGO) -> Answer:
    return Answer(at, complete, {firing.fingerprint: seen for firing, seen in listed}, up)


def judged(firing: OpenFiring, answer: Answer | None, now: datetime = NOW) -> Change | None:
    changes = reconcile([firing], answer, now, STALE_AFTER, GRACE)
    return changes[0] if changes else None


def states(change: Change | None) -> tuple[FiringState, FiringState] | None:
    return (change.before, change.after.state) if change else None


ACTIVE = Seen(FIRING, NOW + minutes(4))
SILENCED = Seen(MUTED, NOW + minutes(4), BY)


def test_a_listed_one_goes_on_firing_and_nobody_is_told() -> None:
    firing = a_firing()
    first = judged(firing, an_answer((firing, ACTIVE)))
    assert first
    assert (first.reason, first.after.expires_at, first.after.last_seen) == (None, NOW + minutes(4), NOW)


def test_what_is_known_of_a_listed_one_is_written_anew_only_when_it_says_too_little() -> None:
    firing = a_firing(expires_at=NOW + minutes(1.5))
    assert judged(firing, an_answer((firing, ACTIVE))) is None
    soon = replace(firing, expires_at=NOW + minutes(1))
    assert states(judged(soon, an_answer((soon, ACTIVE)))) == (FIRING, FIRING)
    for_ever = Seen(FIRING, NOW + timedelta(days=3650))
    unheard = replace(firing, expires_at=for_ever.ends_at, last_seen=NOW - STALE_AFTER / 2)
    kept = judged(unheard, an_answer((unheard, for_ever)))
    assert kept and (kept.reason, kept.after.last_seen) == (None, NOW)


@pytest.mark.parametrize("before", [FIRING, STALE])
def test_a_suppressed_one_is_muted_in_words(before: FiringState) -> None:
    firing = a_firing(state=before)
    change = judged(firing, an_answer((firing, SILENCED)))
    assert change
    assert (states(change), change.after.muted_by, change.reason) == ((before, MUTED), BY, BY)


@pytest.mark.parametrize("before", [MUTED, STALE])
def test_an_active_one_fires_again(before: FiringState) -> None:
    firing = a_firing(state=before, muted_by=BY if before is MUTED else None)
    change = judged(firing, an_answer((firing, ACTIVE)))
    assert change
    assert (states(change), change.after.muted_by) == ((before, FIRING), None)
    assert change.reason == "Alertmanager lists them as firing."


def test_another_silence_is_written_down_and_told_to_nobody() -> None:
    firing = a_firing(state=MUTED, muted_by="silenced by bob", expires_at=NOW + minutes(4))
    change = judged(firing, an_answer((firing, SILENCED)))
    assert change
    assert (change.after.muted_by, change.reason) == (BY, None)


def test_it_is_over_when_it_is_gone_and_its_announced_end_has_passed() -> None:
    end = NOW - minutes(1)
    change = judged(a_firing(expires_at=end), an_answer())
    assert change
    assert (states(change), change.after.ends_at, change.rule) == ((FIRING, RESOLVED), end, RECONCILED)
    assert change.reason == "Alertmanager no longer lists them, and the end that it had announced has passed."


@pytest.mark.parametrize("before", [MUTED, STALE])
def test_muted_and_stale_ones_end_in_the_same_way(before: FiringState) -> None:
    change = judged(a_firing(state=before, muted_by=BY, expires_at=NOW), an_answer())
    assert change
    assert (states(change), change.after.muted_by) == ((before, RESOLVED), None)


def test_one_that_has_not_reached_its_end_stays_as_it_is() -> None:
    assert judged(a_firing(expires_at=NOW + minutes(1)), an_answer()) is None


def test_it_never_ends_before_its_newest_start() -> None:
    change = judged(a_firing(expires_at=NOW - minutes(1), newest_start=NOW), an_answer())
    assert change and change.after.ends_at == NOW


def test_an_alertmanager_that_has_just_started_ends_nothing() -> None:
    """It has forgotten everything, and those who send alerts repeat themselves every few minutes only."""
    gone = a_firing(expires_at=NOW - minutes(1))
    assert judged(gone, an_answer(up=NOW - SETTLED + minutes(1))) is None
    assert judged(gone, replace(an_answer(), up_since=None)) is None
    assert states(judged(gone, an_answer(up=NOW - SETTLED))) == (FIRING, RESOLVED)


@pytest.mark.parametrize("end", [None, NOW - minutes(25), NOW + timedelta(hours=9)])
def test_one_whose_end_is_not_known_is_stale_and_not_over(end: datetime | None) -> None:
    """An end before it was last heard of was put off; one in the far future is as good as none."""
    firing = a_firing(expires_at=end)
    change = judged(firing, an_answer())
    assert states(change) == (FIRING, STALE)
    assert change and change.after.ends_at is None
    assert "nobody said so" in str(change.reason)


def test_what_was_heard_of_lately_is_not_stale() -> None:
    assert judged(a_firing(last_seen=NOW - GRACE), an_answer()) is None
    assert states(judged(a_firing(last_seen=NOW - GRACE - minutes(0.1)), an_answer())) == (FIRING, STALE)


def test_an_older_answer_never_judges_what_was_heard_since() -> None:
    heard = a_firing(last_seen=NOW, expires_at=NOW + minutes(1))
    for answer in (an_answer(), an_answer((heard, SILENCED)), an_answer(complete=False)):
        assert judged(heard, answer, NOW + timedelta(days=1)) is None


def test_where_somebody_did_not_answer_absence_means_nothing_and_presence_counts() -> None:
    gone, muted = a_firing(1, expires_at=NOW - minutes(1)), a_firing(2)
    answer = an_answer((muted, SILENCED), complete=False)
    changes = reconcile([gone, muted], answer, NOW, STALE_AFTER, GRACE)
    assert [(change.after.seq, change.after.state) for change in changes] == [(2, MUTED)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "Nothing has been heard of them for 8 hours: they may be over, but nobody said so."),
        (
            an_answer(complete=False),
            "Alertmanager does not answer, and nothing has been heard of them for 8 hours: they may be over, but nobody said so.",
        ),
    ],
)
def test_unheard_of_for_too_long_is_stale_once(answer: Answer | None, words: str) -> None:
    firing = a_firing(last_seen=NOW - STALE_AFTER, expires_at=NOW - minutes(1))
    assert judged(firing, answer) is None
    change = judged(firing, answer, NOW + minutes(1))
    assert change
    assert (states(change), change.rule, change.reason) == ((FIRING, STALE), UNHEARD, words)
    assert judged(change.after, answer, NOW + timedelta(days=30)) is None


def test_where_nobody_is_asked_any_more_nothing_stays_muted() -> None:
    change = judged(a_firing(state=MUTED, muted_by=BY), None)
    assert change
    assert (states(change), change.after.muted_by) == ((MUTED, FIRING), None)
    assert "No Alertmanager is asked any more" in str(change.reason)


def test_ten_thousand_unchanged_ones_are_no_changes() -> None:
    firings = [a_firing(seq, expires_at=NOW + minutes(3)) for seq in range(1, 10_001)]
    assert reconcile(firings, an_answer(*((firing, ACTIVE) for firing in firings)), NOW, STALE_AFTER, GRACE) == []
