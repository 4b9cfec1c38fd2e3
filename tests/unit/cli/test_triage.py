"""`tocsin triage`: the verdict first, then why, then what to type, then what was looked at; hostile text does nothing."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Running, Tocsin, answering

HOSTILE = "[red]\x1b[2J\u202e evil"
AT = "2026-11-23T03:12:00Z"


def told(**more: object) -> dict[str, Any]:
    """An answer of the API."""
    answer = {
        "at": AT,
        "verdict": "likely",
        "summary": "Probably. It is better to start one than to wait.",
        "reasons": ["web-errors: 0.034 above 0.01 for 12 minutes (degraded); no open incident is about it"],
        "command": "tocsin incident declare 'web-errors: degraded' --severity s2 --service=web",
        "start": {"title": "web-errors: degraded", "severity": "S2", "services": ["web"]},
        "services": [
            {
                "service": "web", "firing": {"S1": 0, "S2": 2, "S3": 1, "S4": 0, "unrated": 0}, "muted": 3, "stale": 0,
                "oldest_start": "2026-11-23T02:58:00Z", "incidents": [],
            }
        ],
        "more_services": 7,
        "slos": [
            {
                "name": "web-errors", "level": "degraded", "value": 0.034, "since": "2026-11-23T03:00:00Z", "at": AT,
                "text": "", "dashboard": "https://grafana.example/d/web", "incidents": [],
            }
        ],
        "saturation": [
            {"name": "disk", "saturated": None, "value": None, "since": None, "at": AT, "text": "", "dashboard": None}
        ],
        "prometheus": {"configured": True},
        "maintenance": [],
        "incidents": [],
        "more_incidents": 0,
    }  # fmt: skip
    return answer | more


def shown(tocsin: Tocsin, **more: object) -> str:
    with answering(200, json.dumps(told(**more))) as url:
        outcome = tocsin("triage", "--url", url)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.out


def test_the_verdict_comes_first_then_why_then_what_to_type_then_the_rest(tocsin: Tocsin) -> None:
    assert shown(tocsin).splitlines() == [
        "likely  Probably. It is better to start one than to wait.",
        "",
        "Why:",
        "  - web-errors: 0.034 above 0.01 for 12 minutes (degraded); no open incident is about it",
        "",
        "To start one:",
        "  tocsin incident declare 'web-errors: degraded' --severity s2 --service=web",
        "",
        "SERVICE  FIRING      MUTED  STALE  OLDEST      INCIDENTS",
        "web      2 S2, 1 S3  3      -      14 min ago  -",
        "and 7 more services",
        "",
        "SLO OR RESOURCE  STATE     VALUE  SINCE",
        "web-errors       degraded  0.034  12 min ago",
        "disk             unknown   -      -",
        "",
        "Dashboards:",
        "  web-errors: https://grafana.example/d/web",
        "",
        "No incident is open.",
    ]


@pytest.mark.parametrize(("configured", "line"), [(True, "No SLO is configured."), (False, "No Prometheus is configured.")])
def test_what_there_is_nothing_of_is_said(tocsin: Tocsin, configured: bool, line: str) -> None:
    empty: dict[str, object] = {"services": [], "more_services": 0, "slos": [], "saturation": [], "reasons": [], "command": None}
    lines = shown(tocsin, **empty, prometheus={"configured": configured}).splitlines()
    assert lines[2:] == ["No alert is open.", "", line, "", "No incident is open."]


def test_hostile_text_is_shown_but_does_nothing(tocsin: Tocsin) -> None:
    answer = told()
    hostile = {
        "verdict": HOSTILE, "summary": HOSTILE, "reasons": [HOSTILE], "command": HOSTILE,
        "services": [answer["services"][0] | {"service": HOSTILE, "incidents": [HOSTILE]}],
        "slos": [answer["slos"][0] | {"name": HOSTILE, "dashboard": HOSTILE}],
    }  # fmt: skip
    out = shown(tocsin, **hostile)
    assert out.count("[red]") == 9
    assert not {"\x1b", "\u202e"} & set(out)


def test_a_real_tocsin_is_asked_and_json_is_for_programs(running: Running) -> None:
    running.done("incident", "declare", "Checkout is down", "-s", "s2", "--service", "checkout")
    found = running.done("triage")
    assert (found["verdict"], found["summary"]) == ("incident", "Yes: INC-1 is open.")
    out = running("triage").out
    assert out.startswith("incident  Yes: INC-1 is open.\n\nWhy:\n  - INC-1 is active, S2 for checkout\n")
    assert "no Prometheus is configured" in out
    assert "Checkout is down" in out
