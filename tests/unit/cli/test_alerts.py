"""How alerts look that went quiet."""

from typing import Any

import pytest

from services.cli.explain import _alert
from services.cli.incident import alerts_table

MUTED = "silenced by ann until 2026-11-24 12:00 UTC: db upgrade (silence 1b2c…)"


def an_alert(state: str = "firing", muted_by: str | None = None) -> dict[str, Any]:
    decision: dict[str, Any] = {
        "action": "open",
        "incident": "INC-1",
        "reason": "S1 opens one.",
        "rule": "open-s1-s2",
        "rule_text": None,
        "policy": "p",
        "facts": {},
    }
    return {
        "fingerprint": "650d28c840d4924e", "name": "ErrorRateHigh", "severity": "S1", "state": state, "muted_by": muted_by,
        "labels": {"alertname": "ErrorRateHigh"}, "starts_at": "2026-11-24T10:00:00Z", "ends_at": None, "decision": decision,
    }  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_table_says_what_mutes_alerts_only_where_some_are_muted(capsys: pytest.CaptureFixture[str]) -> None:
    alerts_table([an_alert(), an_alert("stale")])
    assert "MUTED BY" not in printed(capsys)[0]
    alerts_table([an_alert(), an_alert("muted", MUTED)])
    head, firing, muted = printed(capsys)
    assert "MUTED BY" in head
    assert (MUTED in firing, MUTED in muted) == (False, True)


def test_explaining_an_alert_says_what_mutes_it_and_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    later = [{"at": "2026-11-24T11:00:00Z", "event": "muted", "incident": "INC-1", "reason": MUTED}]
    told = an_alert("muted", MUTED)
    _alert(told | {"firings": [told | {"later": later}]})
    lines = printed(capsys)
    assert f"muted    {MUTED}" in lines
    assert f"later    2026-11-24 11:00:00 muted INC-1: {MUTED}" in lines
