"""`tocsin oncall`: who it is, until when, who is next, what is missing; and standing in."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Running, Tocsin, answering

HOSTILE = "[red]\x1b[2J\u202e evil"


def shift(person: str | None, starts: str, ends: str, **more: object) -> dict[str, Any]:
    given = {"person": person, "name": person and person.title(), "starts": starts, "ends": ends}
    return {**given, "layer": "nights" if person else None, "source": "layer" if person else None} | more


def item(**more: object) -> dict[str, Any]:
    """One rotation, as the API tells of it."""
    now = shift("ann", "2026-11-16T08:00:00Z", "2026-11-23T08:00:00Z", until="2026-11-23T08:00:00Z", why="")
    return {
        "role": "eoc", "rotation": "eoc", "services": [], "falls_to": None, "zone": "Europe/Berlin", "now": now,
        "next": shift("bob", "2026-11-23T08:00:00Z", "2026-11-30T08:00:00Z"), "gaps": [], "feed": None,
    } | more  # fmt: skip


def told(tocsin: Tocsin, *items: dict[str, Any], **more: object) -> list[str]:
    """The lines that are printed for an answer of the API."""
    answer = {"at": "", "until": "", "items": items, "double_bookings": [], "warnings": []} | more
    with answering(200, json.dumps(answer)) as url:
        outcome = tocsin("oncall", "--url", url)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.out.splitlines()


def hours(starts: str, ends: str, **more: object) -> dict[str, object]:
    return {"starts": f"2026-11-{starts}:00Z", "ends": f"2026-11-{ends}:00Z"} | more


def test_each_rotation_is_a_line_by_its_own_clocks(tocsin: Tocsin) -> None:
    nobody = shift(None, "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z", until=None, why="")
    db = item(rotation="db", services=["db", "cache"], falls_to="eoc", zone="America/New_York", now=nobody, next=None)
    assert told(tocsin, item(), db, item(rotation="alone", now=nobody)) == [
        "ROLE  ROTATION        ON CALL          UNTIL                     NEXT       BY",
        "EOC   eoc             Ann (ann)        Mon 2026-11-23 09:00 CET  Bob (bob)  nights",
        "EOC   db (db, cache)  nobody, see eoc  -                         -          -",
        "EOC   alone           nobody           -                         Bob (bob)  -",
    ]


@pytest.mark.parametrize(
    ("source", "age", "said"),
    [
        ("feed", 240, "calendar read 4m ago"),
        ("feed", 187_200, "calendar read 2d 4h ago"),
        ("layer", 240, "nights, calendar read 4m ago"),
        ("layer", None, "nights, calendar never read"),
        (None, None, "calendar never read"),
    ],
)
def test_the_age_of_a_calendar_is_told(tocsin: Tocsin, source: str | None, age: int | None, said: str) -> None:
    now = item()["now"] | {"source": source, "layer": "nights" if source == "layer" else None}
    assert told(tocsin, item(now=now, feed={"age_seconds": age}))[1].endswith(f"  {said}")


def test_gaps_double_bookings_and_warnings_come_below_and_no_more_than_a_few_of_each(tocsin: Tocsin) -> None:
    gaps = [hours(f"{day}T16:00", f"{day + 1}T08:00") for day in range(23, 28)]
    booking = hours("23T08:00", "23T09:30", rotations=["eoc", "imoc"], text="ann is on call in eoc and imoc at once")
    assert told(tocsin, item(gaps=gaps), double_bookings=[booking], warnings=["the calendar of x fails"])[2:] == [
        "",
        "Nobody is on call:",
        "  eoc: Mon 2026-11-23 17:00 CET to Tue 2026-11-24 09:00 CET (16h)",
        "  eoc: Tue 2026-11-24 17:00 CET to Wed 2026-11-25 09:00 CET (16h)",
        "  eoc: Wed 2026-11-25 17:00 CET to Thu 2026-11-26 09:00 CET (16h)",
        "  eoc: 2 times more, 1d 8h together",
        "",
        "Booked twice:",
        "  ann is on call in eoc and imoc at once: Mon 2026-11-23 09:00 CET to Mon 2026-11-23 10:30 CET (1h 30m)",
        "",
        "Look at this:",
        "  the calendar of x fails",
    ]


def test_what_others_wrote_does_nothing_to_the_terminal(tocsin: Tocsin) -> None:
    now = item()["now"] | {"name": HOSTILE, "layer": HOSTILE}
    lines = told(tocsin, item(now=now, services=[HOSTILE]), warnings=[HOSTILE])
    assert not any(sign in line for line in lines for sign in "\x1b\u202e")


def test_without_rotations_that_is_said(running: Running) -> None:
    assert running("oncall").out == "No rotation is configured.\n"
    assert running("oncall", "overrides").out == "Nobody stands in for anybody.\n"
    assert running.done("oncall", "--weeks", "4")["items"] == []


def test_a_refusal_is_told_with_its_places(running: Running) -> None:
    outcome = running("oncall", "override", "ann", "--role", "eoc", "--for", "4h", "--reason", "x")
    assert (outcome.status, outcome.err) == (1, "error: No rotation is for the role eoc.\n")
    outcome = running("oncall", "--at", "nonsense", "--weeks", "1")
    assert outcome.status == 1 and outcome.err.startswith("error: at: 'nonsense' is no date and time")


def override(**more: object) -> dict[str, Any]:
    return {
        "id": "OV-7", "state": "coming", "role": "eoc", "rotation": "eoc", "person": "cid", "starts": "2026-11-23T08:00:00Z",
        "ends": "2026-11-23T12:00:00Z", "reason": "ill", "by": "ann", "end_reason": None,
    } | more  # fmt: skip


def test_overrides_are_a_table(tocsin: Tocsin) -> None:
    page = {"items": [override(), override(id="OV-6", state="ended", end_reason="well")], "next": None}
    with answering(200, json.dumps(page)) as url:
        lines = tocsin("oncall", "overrides", "--url", url).out.splitlines()
    assert lines == [
        "ID    STATE   ROTATION  PERSON  FROM (UTC)            TO (UTC)              BY   WHY",
        "OV-7  coming  eoc       cid     Mon 2026-11-23 08:00  Mon 2026-11-23 12:00  ann  ill",
        "OV-6  ended   eoc       cid     Mon 2026-11-23 08:00  Mon 2026-11-23 12:00  ann  well",
    ]


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (
            "override cid --role eoc --for 4h --reason ill", "PUT", "/api/v1/oncall/eoc/override",
            {"person": "cid", "for": "4h", "reason": "ill"},
        ),
        (
            "override cid --role EOC --starts 2026-12-24T20:00 --ends 2026-12-26T08:00 --rotation eoc-db --reason x", "PUT",
            "/api/v1/oncall/EOC/override",
            {
                "person": "cid", "starts": "2026-12-24T20:00", "ends": "2026-12-26T08:00", "rotation": "eoc-db", "reason": "x",
            },
        ),
        (
            "swap ann bob --role imoc --with-at 2026-12-24T20:00 --reason x", "POST", "/api/v1/oncall/imoc/swap",
            {"person": "ann", "with": "bob", "with_at": "2026-12-24T20:00", "reason": "x"},
        ),
        ("end OV-7 --reason well", "DELETE", "/api/v1/oncall/overrides/OV-7", {"reason": "well"}),
    ],
)  # fmt: skip
def test_what_is_typed_is_what_is_asked_for(tocsin: Tocsin, words: str, method: str, path: str, body: dict[str, object]) -> None:
    seen: list[tuple[str, str, object]] = []
    with answering(200, json.dumps({"items": [override()], "next": None}), heard=seen) as url:
        outcome = tocsin("oncall", *words.split(), "--url", url)
    assert outcome.out == "OV-7 cid is on call in eoc from Mon 2026-11-23 08:00 UTC to Mon 2026-11-23 12:00 UTC\n"
    assert seen == [(method, path, body)]
