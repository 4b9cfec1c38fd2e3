"""`tocsin maintenance`, against a real Tocsin."""

from typing import Any

import pytest

from tests.unit.cli.conftest import Running

PLAN = ("maintenance", "add", "Database upgrade", "--match", 'service="db"', "-m", "env=gprd", "-r", "new disks")


def planned(running: Running, *more: str) -> dict[str, Any]:
    item: dict[str, Any] = running.done(*PLAN, *more)
    return item


def test_it_begins_now_and_is_ended_early(running: Running) -> None:
    item = planned(running, "--for", "2h")
    assert (item["state"], item["match"], item["duration"]) == ("active", ['service="db"', 'env="gprd"'], "2h")
    name = item["id"]
    assert name in running("maintenance", "list", "--active").out
    ended = running.done("maintenance", "end", name.lower(), "-r", "went well")
    assert (ended["state"], ended["end_reason"]) == ("over", "went well")
    assert name not in running("maintenance", "list").out
    assert "went well" in running("maintenance", "list", "--all").out


def test_one_that_recurs_in_a_zone(running: Running) -> None:
    when = ("--starts", "2196-12-01T22:00", "--ends", "2196-12-02T00:30", "--zone", "Europe/Berlin", "--rrule", "FREQ=WEEKLY")
    item = planned(running, *when)
    assert (item["next"], item["duration"]) == ("2196-12-01T21:00:00Z", "2h30m")
    (line,) = [line for line in running("maintenance", "list").out.splitlines() if item["id"] in line]
    for part in ("coming", "from 2196-12-01 21:00 for 2h30m", "FREQ=WEEKLY at 22:00 Europe/Berlin", "admin: new disks"):
        assert part in line
    running.done("maintenance", "end", item["id"], "-r", "not needed")


def test_people_are_told_in_a_line(running: Running) -> None:
    said = running(*PLAN, "--starts", "2196-12-01T22:00", "--for", "1h").out
    name = said.split()[0]
    assert said == f"{name} is coming from 2196-12-01 22:00 for 1h: Database upgrade\n"
    said = running("maintenance", "end", name, "-r", "not needed").out
    assert said.startswith(f"{name} is over since 20")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--for", "soon"), "/duration: expected a duration like"),
        (("--for", "1h", "--zone", "Europe/Berln"), "/zone: 'Europe/Berln' is no time zone"),
        (("--for", "1h", "--rrule", "FREQ=SECONDLY"), "/rrule: FREQ=SECONDLY is too often"),
        (("--for", "1h", "-m", "oops"), "/match/2: "),
        ((), "/duration: nothing says how long it lasts"),
    ],
)
def test_what_cannot_be_planned_is_said_with_its_place(running: Running, more: tuple[str, ...], said: str) -> None:
    refused = running(*PLAN, *more)
    assert (refused.status, refused.out) == (1, "")
    assert said in refused.err


def test_what_cannot_be_ended_is_said_in_words(running: Running) -> None:
    refused = running("maintenance", "end", "MW-999", "-r", "x")
    assert refused.status == 1
    assert "There is no maintenance MW-999." in refused.err


def test_hostile_text_is_shown_but_does_nothing(running: Running) -> None:
    item = running.done(
        "maintenance", "add", "[red]\x1b[2J evil \u202e", "-m", 'a=~"\u202ex"', "-r", "\x1b]0;x\x07", "--for", "1h"
    )
    listed = running("maintenance", "list")
    assert "[red]" in listed.out
    assert not {"\x1b", "\u202e", "\x07"} & set(listed.out)
    running.done("maintenance", "end", item["id"], "-r", "x")


def test_nothing_planned_is_said(running: Running) -> None:
    assert running("maintenance", "list", "--active").out == "Nothing is planned.\n"
