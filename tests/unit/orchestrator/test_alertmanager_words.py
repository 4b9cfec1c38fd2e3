"""What Alertmanager's words become."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.vocabulary import FiringState
from services.orchestrator.adapters.alertmanager_words import MAX_WORDS, Listed, Silence, Status, name_of, seen

ENDS = "2026-11-24T12:00:00.123456789Z"
SILENCE = {
    "id": "1b2c3d4e-0000-0000-0000-000000000000", "createdBy": "ann", "comment": "db upgrade", "endsAt": ENDS, "new": {},
}  # fmt: skip


def listed(**status: Any) -> Listed:
    item = {"fingerprint": "ab", "endsAt": ENDS, "status": {"state": "active", **status}, "labels": {}, "receivers": [{}]}
    return Listed.model_validate(item)


def words(alert: Listed, *silences: dict[str, Any], names: dict[str, str] | None = None) -> str | None:
    known = [Silence.model_validate(silence) for silence in silences]
    return seen(alert, {silence.id: silence for silence in known}, names or {}).by


def test_an_active_alert_fires_until_its_end() -> None:
    found = seen(listed(), {}, {})
    assert (found.state, found.by) == (FiringState.FIRING, None)
    assert found.ends_at == datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)


def test_a_silence_says_by_whom_until_when_and_why() -> None:
    alert = listed(state="suppressed", silencedBy=[SILENCE["id"]])
    assert words(alert, SILENCE) == "silenced by ann until 2026-11-24 12:00 UTC: db upgrade (silence 1b2c3d4e…)"


def test_of_many_silences_the_one_that_lasts_longest_is_named() -> None:
    shorter = SILENCE | {"id": "ffff", "endsAt": "2026-11-24T11:00:00Z", "createdBy": "bob"}
    alert = listed(silencedBy=["ffff", SILENCE["id"], "unknown"])
    assert words(alert, shorter, SILENCE) == (
        "silenced by ann until 2026-11-24 12:00 UTC: db upgrade (silence 1b2c3d4e…, and 2 more)"
    )


def test_a_silence_that_nobody_knows_more_of_is_named() -> None:
    assert words(listed(silencedBy=["1b2c"])) == "silenced (silence 1b2c)"


def test_an_inhibition_names_the_alert_behind_it() -> None:
    alert = listed(inhibitedBy=["0123456789abcdef", "fedcba9876543210"])
    named = words(alert, names={"fedcba9876543210": "NodeDown"})
    assert named == "inhibited by NodeDown (fingerprint fedcba9876543210, and 1 more)"
    assert words(listed(inhibitedBy=["ab"])) == "inhibited by an alert (fingerprint ab)"


def test_several_ways_of_muting_are_all_told() -> None:
    alert = listed(silencedBy=["s"], inhibitedBy=["i"], mutedBy=["weekends"])
    assert words(alert) == (
        "silenced (silence s) and inhibited by an alert (fingerprint i) and muted by the time interval weekends"
    )
    assert words(listed(state="suppressed")) == "muted, Alertmanager does not say by what"


def test_hostile_words_are_one_short_printable_line() -> None:
    comment = "\x1b[31m\n/close \u2028" + "x" * 10_000 + "\ud800"
    said = words(listed(silencedBy=["s"] * 3), SILENCE | {"id": "s", "comment": comment, "createdBy": "\n" * 500 + "a\x00b"})
    assert said is not None
    assert said.isprintable()
    assert len(said) <= MAX_WORDS


@pytest.mark.parametrize("ends", [None, "0001-01-01T00:00:00Z", "soon", 17, {}, "9999-12-31T23:59:59+23:00x"])
def test_an_end_that_is_none_is_unknown(ends: object) -> None:
    assert Listed.model_validate({"fingerprint": "ab", "endsAt": ends}).ends_at is None


@pytest.mark.parametrize(
    "status", [None, "active", [], {"state": None, "silencedBy": None, "inhibitedBy": "x", "mutedBy": [1, None, ""]}]
)
def test_whatever_the_status_is_the_alert_is_there(status: object) -> None:
    found = Listed.model_validate({"fingerprint": "ab", "status": status})
    assert seen(found, {}, {}).state is FiringState.FIRING


def test_names_and_status_are_read_leniently() -> None:
    items: list[dict[str, Any]] = [{"labels": {"alertname": "A"}}, {"labels": {"alertname": 1}}, {"labels": []}, {}]
    assert [name_of(item) for item in items] == ["A", "", "", ""]
    status = Status.model_validate({"uptime": "2026-11-24T05:00:00Z", "versionInfo": {"version": "0.25.0"}, "cluster": {}})
    assert (status.uptime, status.version) == (datetime(2026, 11, 24, 5, tzinfo=UTC), "0.25.0")
    assert Status.model_validate({"uptime": 3, "versionInfo": None}) == Status()
